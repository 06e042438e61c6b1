"""Where the servers are: the user's own, by URL, or the embedded ones, by their sockets.

Three clients want the same Redis spelled in different ways (redis-py and Channels ``unix://``, Celery ``redis+socket://``),
and Django wants PostgreSQL as a dictionary.
"""

import hashlib
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from orchestrator.environment import BadSetting

LONGEST_SOCKET_FOLDER = 80  # bytes; sun_path holds 108, and PostgreSQL adds "/.s.PGSQL.5432.lock"


@dataclass(frozen=True, slots=True)
class RedisAddresses:
    """One server, spelled for redis-py and Channels (`client`) and for Celery (`celery`)."""

    client: str
    celery: str


def socket_folder(data: Path) -> Path:
    """The folder of the embedded servers' sockets: inside the data folder where its path is short and plain (and, for root,
    reachable by the account that the servers run as), else a folder of its own in the system's temporary folder, named by
    the data folder's path."""
    folder = data / "sockets"
    text = str(folder)
    plain = text.isascii() and all(char.isalnum() or char in "/._-" for char in text)
    if plain and len(os.fsencode(text)) <= LONGEST_SOCKET_FOLDER and (os.geteuid() != 0 or open_to_others(data)):
        return folder
    temporary = Path(tempfile.gettempdir())
    short = len(os.fsencode(temporary)) <= LONGEST_SOCKET_FOLDER - 40
    if not short or (os.geteuid() == 0 and not open_to_others(temporary)):
        temporary = Path("/tmp")  # noqa: S108 (the folder below it is private and its owner is checked)
    return temporary / f"orchestrator-{private_name(data)}"


def private_name(data: Path) -> str:
    """What a data folder is called where its own path cannot be used."""
    return hashlib.sha256(os.fsencode(data)).hexdigest()[:16]


def open_to_others(folder: Path) -> bool:
    """Whether any account may pass through `folder` and the folders above it, as far as they exist."""
    real = folder.resolve()
    return all(place.stat().st_mode & 0o001 for place in (real, *real.parents) if place.exists())


POOL_PATIENCE = 5.0  # seconds until a request that gets no connection fails


def database_settings(url: str, data: Path, pool: int = 0) -> dict[str, Any]:
    """Django's entry for ``DATABASE_URL``, or for the embedded server where the URL is empty. With `pool` at most so many connections
    are kept and shared by the threads of a process."""
    common: dict[str, Any] = {"ENGINE": "django.db.backends.postgresql", "CONN_HEALTH_CHECKS": True}
    kept = {"pool": {"min_size": 1, "max_size": pool, "timeout": POOL_PATIENCE, "num_workers": 1}} if pool else {}
    if not url:
        place = {"NAME": "orchestrator", "USER": "orchestrator", "HOST": str(socket_folder(data)), "PORT": "5432"}
        return common | place | {"OPTIONS": kept}
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise BadSetting(f"DATABASE_URL: {parts.scheme!r} is not supported; use postgresql://user:password@host:5432/name.")
    options = dict(parse_qsl(parts.query))
    host = options.pop("host", None) or unquote(parts.hostname or "")
    return common | {
        "NAME": unquote(parts.path.lstrip("/")) or "orchestrator",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(parts.port or ""),
        "OPTIONS": options | kept,
    }


def redis_addresses(url: str, data: Path) -> RedisAddresses:
    """The two spellings of ``REDIS_URL``, or of the embedded server where the URL is empty."""
    if not url:
        path = socket_folder(data) / "redis.sock"
        return RedisAddresses(f"unix://{path}", f"redis+socket://{path}")
    parts = urlsplit(url)
    if parts.scheme in {"redis", "rediss"}:
        return RedisAddresses(url, url)
    if parts.scheme == "unix":
        number = dict(parse_qsl(parts.query)).get("db", "0")
        return RedisAddresses(url, f"redis+socket://{parts.path}?virtual_host={number}")
    raise BadSetting(f"REDIS_URL: {parts.scheme!r} is not supported; use redis://, rediss:// or unix://.")


def secret_key(data: Path) -> str:
    """The signing key of this installation: made once, kept in a file that only its owner can read."""
    file = data / "secret-key"
    try:
        return file.read_text(encoding="ascii")
    except FileNotFoundError:
        data.mkdir(parents=True, exist_ok=True)
        draft = data / f"secret-key.{os.getpid()}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(secrets.token_urlsafe(48))
        try:
            os.link(draft, file)  # the first of several processes wins; the others read its key
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        return file.read_text(encoding="ascii")
