"""The application's real web process, on a loopback socket, over this test session's servers and database."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

from orchestrator.supervisor.children import answers

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0  # seconds


class Clock:
    """The server's and (by `Visit.at`) the browser's idea of now."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.now: datetime | None = None

    def freeze(self, now: datetime) -> None:
        self.now = now
        self.file.write_text(now.isoformat(), encoding="ascii")

    def advance(self, **parts: float) -> None:
        assert self.now is not None, "freeze it first"
        self.freeze(self.now + timedelta(**parts))

    def release(self) -> None:
        self.now = None
        self.file.write_text("", encoding="ascii")


class Site:
    """One web process. `lines` is where its log goes."""

    def __init__(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="o-site-"))
        self.log = folder / "log"
        self.clock = Clock(folder / "clock")
        self.clock.release()
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self.listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        descriptor = self.listening.fileno()
        environment = dict(
            os.environ,
            DJANGO_SETTINGS_MODULE="tests.browser.settings",
            ORCHESTRATOR_TEST_CLOCK=str(self.clock.file),
            LITELLM_LOCAL_MODEL_COST_MAP="True",
        )
        command = f"-m uvicorn orchestrator.asgi:application --fd {descriptor} --lifespan off --log-level warning --no-access-log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *command.split()], cwd=ROOT, env=environment, pass_fds=(descriptor,), stdout=log, stderr=log
            )
        deadline = time.monotonic() + PATIENCE
        while not answers(self.port, "/healthz"):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """Ends the process; the socket stays bound, so that browsers find nobody there rather than another."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
