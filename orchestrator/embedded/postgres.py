"""The embedded PostgreSQL: durable, on a private socket, with pgvector.

The first start initialises into ``postgres.new`` and renames it, so that a full disk or a kill leaves nothing half-made. Local
trust is sound because only this user can reach the socket; there is no TCP.
"""

import os
import shutil
import signal
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from orchestrator.embedded.binaries import PostgresBinaries, postgres_binaries
from orchestrator.embedded.places import PlaceRefused, Places, private_folder, reachable_copy
from orchestrator.programs import LINUX, CannotStart, NotReady, Program

USER = "orchestrator"
DATABASE = "orchestrator"
PORT = 5432  # only the socket's name; nothing listens on TCP
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": str(PORT),
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "logging_collector": "off",
    "log_destination": "stderr",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class OtherVersion(CannotStart):
    """The data folder was written by another major version of PostgreSQL; the message says how to bring it over."""


def postgres_program(at: Places) -> Program:
    """The server over ``<home>/postgres``; initialised first where there is none. Raises `OtherVersion`, `ServerMissing`,
    `PlaceRefused`."""
    binaries = _runnable(postgres_binaries(), at)
    folder = at.home / "postgres"
    _initialise(binaries, folder, at)
    options = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
    return Program(
        name="postgres",
        command=[str(binaries.folder / "postgres"), "-D", str(folder), "-c", f"unix_socket_directories={at.sockets}", *options],
        environment=_environment(),
        folder=str(folder),
        ready=partial(is_ready, at.sockets),
        account=at.account,
        death_signal=signal.SIGINT,  # its fast shutdown: a clean end even when the parent was killed
        endings=((signal.SIGINT, 5.0), (signal.SIGQUIT, 2.0), (signal.SIGKILL, 1.0)),
        prepare=partial(clear_crash, folder, at.sockets),
        quiet=True,
    )


def is_ready(sockets: Path) -> bool:
    """Whether the server answers; makes the product's database where it is missing."""
    try:
        with _connection(sockets, DATABASE):
            return True
    except psycopg.OperationalError as error:
        if "does not exist" not in str(error):
            return False
    try:
        with _connection(sockets, "postgres") as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    except (psycopg.OperationalError, psycopg.errors.DuplicateDatabase):
        return False
    return True


def clear_crash(folder: Path, sockets: Path, patience: float = 10.0) -> None:
    """Removes what a crashed server left, so that the next can start. To be called only by the holder of the lock.

    A process of that number may be a stranger (numbers start anew after a power loss): the file is then removed. A server of
    this folder that still runs, as it does for a moment after its parent was killed, is waited for and then ended.
    """
    pid_file = folder / "postmaster.pid"
    deadline = time.monotonic() + patience
    while (pid := _recorded_pid(pid_file)) is not None and _is_server_of(pid, folder):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGQUIT)
            deadline += patience
        time.sleep(0.05)
    for leftover in (pid_file, sockets / f".s.PGSQL.{PORT}", sockets / f".s.PGSQL.{PORT}.lock"):
        leftover.unlink(missing_ok=True)


def _connection(sockets: Path, database: str) -> psycopg.Connection:
    return psycopg.connect(host=str(sockets), port=PORT, user=USER, dbname=database, autocommit=True, connect_timeout=2)


def _environment() -> dict[str, str]:
    """No variable that PostgreSQL would read from the caller's environment; plain C messages."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return kept | {"LC_ALL": "C"}


def _runnable(binaries: PostgresBinaries, at: Places) -> PostgresBinaries:
    """The same binaries where the account can run them; they find their libraries beside themselves."""
    if binaries.package is None:
        return binaries
    within = binaries.folder.parent.relative_to(binaries.package.parent)
    parts = [str(within), f"{binaries.package.name}.libs"]
    root = reachable_copy(binaries.package.parent, [part for part in parts if (binaries.package.parent / part).exists()], at)
    return PostgresBinaries(root / within / "bin", root / binaries.package.name)


def _initialise(binaries: PostgresBinaries, folder: Path, at: Places) -> None:
    major = binaries.major()
    if folder.exists():
        _check_version(folder, major)
        return
    draft = folder.with_name("postgres.new")
    if draft.exists():
        shutil.rmtree(draft)
    private_folder(draft, at.account)
    locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if major >= 17 else []
    command = [
        str(binaries.folder / "initdb"), "--pgdata", str(draft), "--username", USER, "--encoding=UTF8", *locale, "--locale=C",
        "--data-checksums", "--auth-local=trust", "--auth-host=reject",
    ]  # fmt: skip
    account: dict[str, Any] = {"user": at.account.uid, "group": at.account.gid, "extra_groups": []} if at.account else {}
    made = subprocess.run(
        command, cwd=draft, env=_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, **account
    )
    if made.returncode:
        shutil.rmtree(draft, ignore_errors=True)
        last = "\n".join((made.stdout + made.stderr).strip().splitlines()[-8:])
        raise NotReady(f"PostgreSQL could not initialise {folder}:\n{last}")
    draft.rename(folder)


def _check_version(folder: Path, major: int) -> None:
    try:
        written = (folder / "PG_VERSION").read_text(encoding="ascii").strip()
    except PermissionError as error:
        raise PlaceRefused(f"{folder} belongs to another user; run as that user or choose another ORCHESTRATOR_DATA.") from error
    except FileNotFoundError:
        raise PlaceRefused(f"{folder} holds no PostgreSQL data (PG_VERSION is missing); move it away.") from None
    if written != str(major):
        raise OtherVersion(
            f"{folder} was written by PostgreSQL {written}, the server here is {major}. Keep a copy of the folder, then bring it"
            f" over with pg_upgrade, or name a PostgreSQL {written} server in DATABASE_URL."
        )


def _recorded_pid(pid_file: Path) -> int | None:
    try:
        return abs(int(pid_file.read_text(encoding="utf-8", errors="replace").splitlines()[0]))
    except (FileNotFoundError, IndexError, ValueError):
        return None


def _is_server_of(pid: int, folder: Path) -> bool:
    """Whether process `pid` is a PostgreSQL that runs over `folder` (a server's working folder is its data folder)."""
    if LINUX:
        try:
            executable = os.readlink(f"/proc/{pid}/exe")
            return "postgres" in Path(executable).name and os.path.samefile(f"/proc/{pid}/cwd", folder)
        except OSError:
            return False
    answer = subprocess.run(["ps", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False)
    return "postgres" in answer.stdout and str(folder) in answer.stdout
