"""Keeps one program running: starts it, shows its lines, starts it again when it ends, and ends it when asked."""

import asyncio
import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import IO

from orchestrator.programs import NotReady, Program, start_command, start_options

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0  # seconds before it is started again, doubled each time
STEADY = 10.0  # a program that ran this long starts over with the first pause
LAST_LINES = 12
HOPELESS = 4  # starts that end before the program was ever ready
POLL = 0.05

Say = Callable[[str], None]


class Keeper:
    """Runs `program` until `stop`. What happens is told to `say`, the program's own lines go to `log` too."""

    def __init__(self, program: Program, say: Say, log: IO[bytes]) -> None:
        self.program = program
        self.say = say
        self.log = log
        self.process: asyncio.subprocess.Process | None = None
        self.failures = 0  # ends before it was ever ready
        self._was_ready = False
        self._stopping = False
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process and self.process.returncode is None else None

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep(), name=self.program.name)

    async def ready(self, patience: float) -> None:
        """Returns when the program serves. Raises `NotReady` with its last lines when it does not."""
        deadline = time.monotonic() + patience
        while not (self.pid and await asyncio.to_thread(self.program.ready)):
            if self._task is not None and self._task.done():
                self._task.result()  # what stopped the keeper itself
            if self.failures >= HOPELESS or time.monotonic() > deadline:
                raise NotReady(f"{self.program.name} does not start. Its last lines:\n{self.last_lines()}")
            await asyncio.sleep(POLL)
        self._was_ready = True

    async def stop(self) -> None:
        """Ends the program by its signals, the gentlest first; the last goes to its whole process group."""
        self._stopping = True
        for number, (ending, seconds) in enumerate(self.program.endings, start=1):
            process = self.process
            if process is None or process.returncode is not None:
                break
            with suppress(ProcessLookupError):
                if number == len(self.program.endings):
                    os.killpg(process.pid, ending)
                else:
                    process.send_signal(ending)
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), seconds)
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await self._task

    def last_lines(self) -> str:
        return "\n".join(f"    {line}" for line in self._lines) or "    (it said nothing)"

    async def _keep(self) -> None:
        pause = FIRST_PAUSE
        while True:
            began = time.monotonic()
            try:
                code = await self._run_once()
            except (OSError, subprocess.SubprocessError) as error:  # no memory, no executable, no room: it may come back
                self._lines.append(str(error))
                code = 1
            if code is None or self._stopping:
                return
            if not self._was_ready:
                self.failures += 1
            if time.monotonic() - began >= STEADY:
                pause = FIRST_PAUSE
            self.say(f"{self.program.name} ended ({how_it_ended(code)}); starting it again in {pause:g} s.")
            if self.program.quiet and self._lines:
                self.say(f"Its last lines:\n{self.last_lines()}")
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _run_once(self) -> int | None:
        """Its exit code; None if it was to stop."""
        await asyncio.to_thread(self.program.prepare)
        if self._stopping:
            return None
        # From the main thread: the kernel's death signal follows the thread that forked, not the process.
        self.process = process = await asyncio.create_subprocess_exec(
            *start_command(self.program),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=1 << 20,
            **start_options(self.program),
        )
        reader = asyncio.create_task(self._relay(process))
        code = await process.wait()
        with suppress(TimeoutError):  # a grandchild may hold the pipe open
            await asyncio.wait_for(reader, 0.2)
        return None if self._stopping else code

    async def _relay(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while True:
            try:
                raw = await process.stdout.readline()
            except ValueError:  # a line beyond the limit
                continue
            if not raw:
                return
            with suppress(OSError):  # a full disk must not stop a server
                self.log.write(raw)
                self.log.flush()
            line = raw.decode("utf-8", "replace").rstrip()
            if line:
                self._lines.append(line)
                if not self.program.quiet:
                    self.say(f"{self.program.name}: {line}")


def how_it_ended(code: int) -> str:
    if code < 0:
        with suppress(ValueError):
            return f"by {signal.Signals(-code).name}"
    return f"code {code}"
