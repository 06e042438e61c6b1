"""When the steps of one run are to be looked at again, and when the run's own time is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Container


class Timers:
    """Due-times by path, on the monotonic clock. What they are for is the planner's and the caller's."""

    __slots__ = ("_alarm", "_deadline", "_due", "_loop", "_on_alarm")

    def __init__(self, loop: asyncio.AbstractEventLoop, on_alarm: Callable[[], None]) -> None:
        self._loop = loop
        self._on_alarm = on_alarm
        self._due: dict[str, float] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def set(self, path: str, seconds: float) -> None:
        self._due[path] = time.monotonic() + seconds

    def forget(self, path: str) -> None:
        self._due.pop(path, None)

    def keep(self, paths: Container[str]) -> None:
        """Forget all but these."""
        self._due = {path: due for path, due in self._due.items() if path in paths}

    def soonest(self) -> float | None:
        """Seconds until the next due-time; less than nothing where it is past, None where there is none."""
        return min(self._due.values()) - time.monotonic() if self._due else None

    def take_due(self) -> list[str]:
        """The paths whose time has come, which are forgotten."""
        now = time.monotonic()
        found = [path for path, due in self._due.items() if due <= now]
        for path in found:
            del self._due[path]
        return found

    def look_in(self, seconds: float) -> None:
        """Have the due-times looked at in so many seconds, or earlier where that was meant already."""
        if self._alarm is not None:
            if self._alarm.when() <= self._loop.time() + seconds:
                return
            self._alarm.cancel()
        self._alarm = self._loop.call_later(max(seconds, 0.0), self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self._on_alarm()

    def set_deadline(self, seconds: float | None, over: Callable[[], None]) -> None:
        """Has `over` called when the run's time is over; None where it has no end. Replaces the one before."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if seconds is not None:
            self._deadline = self._loop.call_later(max(seconds, 0.0), over)

    def stop(self) -> None:
        for handle in (self._alarm, self._deadline):
            if handle is not None:
                handle.cancel()
