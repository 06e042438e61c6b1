"""Starts stages of programs one after the other, watches over them, and ends them in the opposite order."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any

from orchestrator.embedded.lock import Lock
from orchestrator.programs import Program
from orchestrator.supervisor.keeper import Keeper, Say

PATIENCE = 60.0  # seconds until a program must serve
LOCK_CHECK = 1.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(Exception):
    """Somebody asked for the end while things were still starting."""


class Supervisor:
    """Promises: what `start` started runs until the end of `run`, again after each crash; at the end nothing is left.

    Stages end in the opposite order of their start, the programs of one stage together."""

    def __init__(self, lock: Lock, say: Say) -> None:
        self.lock = lock
        self.say = say
        self.stages: list[list[Keeper]] = []
        self._stop = asyncio.Event()
        self._logs = ExitStack()

    async def run(self, build: Callable[["Supervisor"], Coroutine[Any, Any, None]]) -> None:
        """Runs `build`, which starts the stages, then watches until a signal or the loss of the lock. Raises what `build`
        raises, after everything has ended."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self.stop)
        watch = asyncio.create_task(self._watch_lock())
        try:
            with suppress(Stopped):
                await self._unless_stopped(build(self))
                await self._stop.wait()
        finally:
            watch.cancel()
            self.say("Stopping.")
            await self._end_all()
            for number in SIGNALS:
                loop.remove_signal_handler(number)

    def stop(self) -> None:
        self._stop.set()

    async def start(self, programs: list[Program], *, wait: bool = True) -> list[Keeper]:
        """Starts one stage; with `wait`, returns when each of its programs serves. Raises `NotReady`."""
        keepers = [Keeper(program, self.say, self._log(program.name)) for program in programs]
        self.stages.append(keepers)
        for keeper in keepers:
            keeper.start()
        if wait:
            await asyncio.gather(*(keeper.ready(PATIENCE) for keeper in keepers))
        return keepers

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task
            raise Stopped
        task.result()

    async def _watch_lock(self) -> None:
        while True:
            await asyncio.sleep(LOCK_CHECK)
            if not self.lock.is_ours():
                self.say(f"{self.lock.path} was removed or replaced: another `up` could start over the same data.")
                self.stop()
                return

    async def _end_all(self) -> None:
        for keepers in reversed(self.stages):
            await asyncio.gather(*(keeper.stop() for keeper in keepers))
        self._logs.close()

    def _log(self, name: str) -> IO[bytes]:
        folder: Path = self.lock.data / "logs"
        folder.mkdir(exist_ok=True)
        return self._logs.enter_context((folder / f"{name}.log").open("wb"))
