"""The demonstration's receiver for a command that needs it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from orchestrator.receiver import Application, Receiver
from orchestrator.supervisor.children import answers

PATIENCE = 20.0  # seconds


def receiver_port(data: Path) -> int | None:
    """Where the receiver of this installation listens, or would; None where there never was one."""
    file = data / "receiver.port"
    return int(file.read_text(encoding="ascii")) if file.exists() else None


@contextmanager
def a_receiver(data: Path, say: Callable[[str], object]) -> Iterator[int]:
    """The port of the receiver that runs, else of one of the command's own for as long as it takes."""
    from orchestrator.management.commands.up import receiver_socket

    port = receiver_port(data)
    if port is not None and answers(port, "/healthz"):
        yield port
        return
    say("No receiver of the demonstration is running; this command brings one of its own meanwhile.")
    with receiver_socket(data) as listening:
        port = listening.getsockname()[1]
        receiver = Receiver(data / "receiver.jsonl")
        receiver.load()
        server = uvicorn.Server(uvicorn.Config(Application(receiver), lifespan="off", log_level="warning", access_log=False))
        thread = threading.Thread(target=server.run, args=([listening],), name="receiver", daemon=True)
        thread.start()
        deadline = time.monotonic() + PATIENCE
        while not answers(port, "/healthz") and time.monotonic() < deadline:
            time.sleep(0.05)
        try:
            yield port
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
