"""The embedded Valkey: rings, live events and counters, never truth; so it keeps nothing on disk."""

import os
import signal
from functools import partial
from pathlib import Path

import redis

from orchestrator.embedded.binaries import valkey_binary
from orchestrator.embedded.places import Places, reachable_copy
from orchestrator.programs import Program

SETTINGS = {
    "--port": "0",
    "--unixsocketperm": "700",
    "--save": "",
    "--appendonly": "no",
    "--maxmemory": "256mb",
    "--maxmemory-policy": "noeviction",
    "--daemonize": "no",
}


def valkey_program(at: Places) -> Program:
    """The server on ``redis.sock``. Raises `ServerMissing`."""
    binary = valkey_binary()
    binary = reachable_copy(binary.parent, [binary.name], at) / binary.name
    socket = at.sockets / "redis.sock"
    options = [part for pair in SETTINGS.items() for part in pair]
    return Program(
        name="redis",
        command=[str(binary), "--unixsocket", str(socket), *options],
        environment=dict(os.environ),
        folder=str(at.sockets),
        ready=partial(is_ready, socket),
        account=at.account,
        endings=((signal.SIGTERM, 3.0), (signal.SIGKILL, 1.0)),
        prepare=partial(socket.unlink, missing_ok=True),
        quiet=True,
    )


def is_ready(socket: Path) -> bool:
    try:
        with redis.Redis(unix_socket_path=str(socket), socket_timeout=1.0) as client:
            return bool(client.ping())
    except (redis.ConnectionError, redis.TimeoutError):
        return False
