"""Looking at processes from outside, and waiting for a fact with a deadline instead of sleeping."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def until(fact: Callable[[], object], seconds: float = 15.0, what: str = "") -> float:
    """Waits until `fact()` is true and returns how long it took; fails after `seconds`."""
    began = time.monotonic()
    while not fact():
        assert time.monotonic() - began < seconds, f"not within {seconds} s: {what or fact}"
        time.sleep(0.02)
    return time.monotonic() - began


def table() -> dict[int, tuple[int, str]]:
    """Every living process: its parent and its command; the dead that nobody has waited for do not count."""
    answer = subprocess.run(["ps", "-ww", "-eo", "pid=,ppid=,stat=,args="], capture_output=True, text=True, check=True)
    rows = (line.split(None, 3) for line in answer.stdout.splitlines())
    return {
        int(row[0]): (int(row[1]), row[3])
        for row in rows
        if len(row) == 4 and not row[2].startswith("Z") and "ps -ww" not in row[3]
    }


def descendants(pid: int) -> dict[int, str]:
    """The living children of `pid`, and theirs, with their commands."""
    processes = table()
    found: dict[int, str] = {}
    level = {pid}
    while level:
        level = {child for child, (parent, _) in processes.items() if parent in level}
        found |= {child: processes[child][1] for child in level}
    return found


def child(pid: int, word: str) -> int | None:
    """The direct child of `pid` whose command holds `word`."""
    return next((number for number, (parent, command) in table().items() if parent == pid and word in command), None)


def kill(pid: int | None) -> None:
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def end(process: subprocess.Popen[str]) -> None:
    """For the end of a test: gently, then for good."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
