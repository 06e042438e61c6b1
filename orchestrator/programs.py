"""A program that this product runs beside itself: how it starts, when it is ready, how it ends.

Every program gets a session of its own, so that Ctrl-C reaches only the one that started it, and dies with its parent: the
kernel sends `death_signal` when the parent is gone, however it went (Linux; elsewhere `orchestrator.lifeline` stands between).
"""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LINUX = sys.platform.startswith("linux")
PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None, use_errno=True) if LINUX else None  # loaded here: between fork and exec nothing may be imported


class CannotStart(Exception):
    """A server or process cannot run here; the message is for a person and says what to do."""


class NotReady(CannotStart):
    """A program that was started ended or did not get ready in time; its last lines say why."""


@dataclass(frozen=True, slots=True)
class Account:
    """An unprivileged account that a server runs as when this process is root."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Program:
    """What to run. `ready` answers whether it serves; `endings` are the signals that end it, each with the seconds
    that it gets before the next; `prepare` mends what a crash left and runs before each start; `pass_fds` stay open in it."""

    name: str
    command: list[str]
    environment: dict[str, str]
    ready: Callable[[], bool]
    folder: str = "/"
    account: Account | None = None
    death_signal: signal.Signals = signal.SIGKILL
    endings: tuple[tuple[signal.Signals, float], ...] = ((signal.SIGTERM, 5.0), (signal.SIGKILL, 2.0))
    prepare: Callable[[], None] = field(default=lambda: None)
    pass_fds: tuple[int, ...] = ()
    quiet: bool = False  # its lines are shown only when it fails


def die_with_parent(parent: int, death_signal: signal.Signals) -> None:
    """To be called in a fresh child: asks the kernel for `death_signal` at the parent's death, and is gone if that has been."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def start_options(program: Program) -> dict[str, Any]:
    """The arguments for ``subprocess.Popen`` and ``asyncio.create_subprocess_exec``, beside the command and its streams.

    The accounts are changed before `preexec_fn` runs, which matters: a change of account clears the death signal.
    """
    parent, death_signal = os.getpid(), program.death_signal
    options: dict[str, Any] = {
        "cwd": program.folder,
        "env": program.environment,
        "start_new_session": True,
        "pass_fds": program.pass_fds,
        "preexec_fn": lambda: die_with_parent(parent, death_signal),
    }
    if program.account is not None:
        options |= {"user": program.account.uid, "group": program.account.gid, "extra_groups": []}
    return options


def start_command(program: Program) -> list[str]:
    """The command itself; where the kernel has no death signal, behind a process that watches for ours."""
    if LINUX:
        return program.command
    lifeline = str(Path(__file__).with_name("lifeline.py"))  # by its path: the program's folder and environment are not ours
    return [sys.executable, "-I", lifeline, str(os.getpid()), str(int(program.death_signal)), *program.command]
