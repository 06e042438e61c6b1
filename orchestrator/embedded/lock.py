"""One holder at a time of a data folder's servers: ``up.lock``, released by the kernel when its holder dies, however it died."""

import fcntl
import os
from pathlib import Path

from orchestrator.programs import CannotStart


class Held(CannotStart):
    """Another process runs the servers of this data folder; the message names it."""

    def __init__(self, data: Path, holder: str, pid: int | None) -> None:
        who = f"{holder} (pid {pid})" if pid else "another process"
        super().__init__(f"{data} is in use: {who} runs its servers. Stop that first, or choose another ORCHESTRATOR_DATA.")
        self.holder = holder
        self.pid = pid


class Lock:
    """The lock of `data`, held from `take` until `release`. `holder` is what others are told, such as ``up``."""

    def __init__(self, data: Path, holder: str) -> None:
        self.data = data
        self.path = data / "up.lock"
        self.holder = holder
        self._descriptor = -1

    def take(self) -> None:
        """Raises `Held` at once if another process has it."""
        self.data.mkdir(parents=True, exist_ok=True)
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                text = os.pread(descriptor, 200, 0).decode("utf-8", "replace")
                os.close(descriptor)
                pid, _, holder = text.strip().partition(" ")
                raise Held(self.data, holder or "another command", int(pid) if pid.isdigit() else None) from None
            self._descriptor = descriptor
            if self.is_ours():
                break
            os.close(descriptor)  # the file was replaced between opening and locking
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {self.holder}\n".encode(), 0)

    def is_ours(self) -> bool:
        """Whether the file that we hold is still the one of that name: a removed data folder would let a second one in."""
        try:
            named = self.path.stat()
        except FileNotFoundError:
            return False
        held = os.fstat(self._descriptor)
        return (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino)

    def release(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1
