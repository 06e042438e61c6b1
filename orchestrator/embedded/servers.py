"""The embedded servers for the length of a command or a test session.

A command that finds none running starts them and stops what it started; one that finds them running (``up``, or another
command) uses those. Servers given by DATABASE_URL or REDIS_URL are left alone.
"""

import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from orchestrator.embedded import postgres, valkey
from orchestrator.embedded.lock import Held, Lock
from orchestrator.embedded.places import Places, places
from orchestrator.environment import env_str
from orchestrator.programs import NotReady, Program, start_command, start_options

PATIENCE = 60.0  # seconds until a server must answer; recovery after a power loss takes some
POLL = 0.02


def needed_programs(at: Places) -> list[Program]:
    """The servers that this installation runs itself, in the order of starting."""
    programs = []
    if not env_str("DATABASE_URL"):
        programs.append(postgres.postgres_program(at))
    if not env_str("REDIS_URL"):
        programs.append(valkey.valkey_program(at))
    return programs


@contextmanager
def running_servers(data: Path, holder: str = "a command") -> Iterator[None]:
    """Promises that PostgreSQL and Redis of `data` answer inside the block. Raises `NotReady`, `Held`, `ServerMissing`,
    `PlaceRefused`, `OtherVersion`. To be entered by the main thread: the servers die with the thread that started them."""
    if env_str("DATABASE_URL") and env_str("REDIS_URL"):
        yield
        return
    at = places(data)
    with _guest_book(data) as guests, ExitStack() as stack:
        lock = Lock(data, holder)
        if _take_or_find(lock, at):
            stack.callback(lock.release)
            stack.callback(leave, at)
            stack.enter_context(started(needed_programs(at), data))
            stack.callback(_wait_for_guests, guests)
        yield


@contextmanager
def started(programs: list[Program], data: Path) -> Iterator[None]:
    """Runs `programs` inside the block; each is ready before the next starts, and ended in the opposite order."""
    with ExitStack() as stack:
        for program in programs:
            log = stack.enter_context(_log_file(data, program.name))
            program.prepare()
            process = subprocess.Popen(
                start_command(program), stdin=subprocess.DEVNULL, stdout=log, stderr=log, **start_options(program)
            )
            stack.callback(end, process, program)
            _await_ready(process, program, log)
        yield


def end(process: subprocess.Popen[bytes], program: Program) -> None:
    """Ends a program by its signals, the gentlest first."""
    for ending, seconds in program.endings:
        if process.poll() is None:
            process.send_signal(ending)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue
    process.wait()


def leave(at: Places) -> None:
    """Removes the folder of the sockets where it lies outside the data folder; to be called when the servers have ended."""
    if at.sockets.parent != at.data:
        with suppress(OSError):
            for leftover in at.sockets.iterdir():
                leftover.unlink()
            at.sockets.rmdir()


def last_lines(text: str, count: int = 8) -> str:
    return "\n".join(f"    {line}" for line in text.strip().splitlines()[-count:])


def _take_or_find(lock: Lock, at: Places) -> bool:
    """True: we hold the lock and must start the servers. False: another holder's servers answer."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            lock.take()
            return True
        except Held:
            if _answer(at):
                return False
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL)


def _answer(at: Places) -> bool:
    own_postgres, own_valkey = not env_str("DATABASE_URL"), not env_str("REDIS_URL")
    return (not own_postgres or postgres.is_ready(at.sockets)) and (not own_valkey or valkey.is_ready(at.sockets / "redis.sock"))


def _await_ready(process: subprocess.Popen[bytes], program: Program, log: IO[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not program.ready():
        if process.poll() is not None or time.monotonic() > deadline:
            ended = f"ended with {process.returncode}" if process.poll() is not None else f"did not answer in {PATIENCE:.0f} s"
            raise NotReady(f"{program.name} {ended}:\n{last_lines(Path(log.name).read_text(errors='replace'))}")
        time.sleep(POLL)


def _log_file(data: Path, name: str) -> IO[bytes]:
    folder = data / "logs"
    folder.mkdir(exist_ok=True)
    return (folder / f"{name}.log").open("wb")


@contextmanager
def _guest_book(data: Path) -> Iterator[int]:
    """Everyone who uses the servers holds a shared lock on this file, so that a command that started them can wait until
    the last has finished."""
    descriptor = os.open(data / "users.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield descriptor
    finally:
        os.close(descriptor)


def _wait_for_guests(descriptor: int) -> None:
    fcntl.flock(descriptor, fcntl.LOCK_EX)
