"""A started installation to measure: ``up`` in a process group of its own, in a folder and on a port of its own."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from orchestrator.supervisor.children import answers

PATIENCE = 300.0  # seconds until the first page must be there


class DidNotStart(Exception):
    """The first page did not come; the message holds what was said."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(command: list[str], port: int, folder: Path, environment: dict[str, str]) -> Iterator[tuple[int, float]]:
    """Runs `command` inside the block, which begins when its first page was answered: its pid and the seconds it took."""
    said = folder / "bench-said"
    with said.open("wb") as stream:
        began = time.monotonic()
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True
        )
        try:
            while not answers(port, "/healthz"):
                if process.poll() is not None or time.monotonic() - began > PATIENCE:
                    raise DidNotStart(said.read_text(errors="replace")[-4000:])
                time.sleep(0.02)
            yield process.pid, time.monotonic() - began
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
            process.wait(30)


def bare_environment(**more: str) -> dict[str, str]:
    """The environment of a newcomer: nothing of this checkout's or of Django's."""
    dropped = {"VIRTUAL_ENV", "DATABASE_URL", "REDIS_URL", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {name: value for name, value in kept.items() if not name.startswith(("ORCHESTRATOR_", "DJANGO_"))} | more
