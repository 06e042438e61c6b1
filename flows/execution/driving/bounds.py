"""The times that steps have as a whole: containers, and steps that wait.

`timeout` and `deadline` of a container or a `wait` bound it from its beginning to its end, without the time in which people are asked;
`limits.duration`, also of the flow that a sub-flow runs, bounds all of it. When the time is over the step fails as `timeout`, or, at
a limit that says `finish`, the run ends with what there is.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flows.engine.containers import SubflowContainer
from flows.engine.failures import TimedOut
from flows.engine.frames import Task
from flows.engine.kinds import Role
from flows.engine.paths import is_inside
from flows.execution.driving.desk import Desk
from flows.execution.driving.inside import Inside
from flows.execution.driving.purse import RUN, Purse
from flows.execution.driving.steps import Steps
from flows.execution.driving.waits import Waits


@dataclass(slots=True)
class Bound:
    """One time of one step. `left` seconds were left when it began to run down at `since`, by the monotonic clock; None: it rests."""

    name: str  # timeout | deadline | limits.duration
    seconds: float
    left: float
    since: float | None
    for_people: bool  # whether it rests while people are asked
    finishes: bool

    def seconds_left(self, now: float) -> float:
        return self.left if self.since is None else self.left - (now - self.since)


class Bounds:
    """The times of the open steps of one run."""

    __slots__ = ("_bounds", "_desk", "_purse", "_steps", "_waits")

    def __init__(self, desk: Desk, purse: Purse, steps: Steps, waits: Waits) -> None:
        self._desk = desk
        self._purse = purse
        self._steps = steps
        self._waits = waits
        self._bounds: dict[str, list[Bound]] = {}  # by path

    def take_up(self, inside: Mapping[str, Inside]) -> None:
        """Watch what had begun in an earlier life of the run."""
        for path, known in inside.items():
            self.watch(path, known)

    def watch(self, path: str, known: Inside | None = None) -> None:
        """The step has opened or begun to wait; `known` is for how long already."""
        task = self._desk.planner.tasks.get(path)
        if task is None or path in self._bounds or not (task.container or task.node.role in {Role.STRUCTURE, Role.WAIT}):
            return
        now, known = time.monotonic(), known or Inside()
        bounds = [
            Bound(name, seconds, seconds - (known.working if for_people else known.age), now, for_people, finishes)
            for name, seconds, for_people, finishes in _times(task)
        ]
        if bounds:
            self._bounds[path] = bounds

    def soonest(self) -> float | None:
        """Seconds until the next time is over; None where none runs down."""
        if not self._bounds:
            return None
        now = time.monotonic()
        self._heed_people(now)
        running = [bound for bounds in self._bounds.values() for bound in bounds if bound.since is not None]
        return min((bound.seconds_left(now) for bound in running), default=None)

    def look(self) -> None:
        """Ends the steps whose time is over."""
        if not self._bounds:
            return
        now = time.monotonic()
        self._heed_people(now)
        for path, bounds in list(self._bounds.items()):
            over = next((bound for bound in bounds if bound.since is not None and bound.seconds_left(now) <= 0), None)
            if over is not None:
                del self._bounds[path]
                self._end(path, over)

    def _end(self, path: str, bound: Bound) -> None:
        desk = self._desk
        if bound.finishes:
            desk.planner.stop("succeeded", "limited", otherwise=f"duration of {path}"[:60])
        else:
            if path in self._waits.asking:
                desk.sheet.withdraw(path)
            self._waits.forget(path)
            failure = TimedOut(f"{path} took longer than its `{bound.name}` of {bound.seconds:g} s.")
            desk.planner.time_out(path, failure, repeatable=bound.name == "timeout")
        self._steps.break_off_inside(path)

    def _heed_people(self, now: float) -> None:
        """Forgets steps that have come to their end, and lets times rest while people are asked."""
        tasks = self._desk.planner.tasks
        self._bounds = {
            path: bounds for path, bounds in self._bounds.items() if path in tasks and tasks[path].status in {"open", "waiting"}
        }
        for path, bounds in self._bounds.items():
            asked = RUN in self._purse.questions or any(
                is_inside(question, path) or question == path for question in (*self._waits.asking, *self._purse.questions)
            )
            for bound in bounds:
                rests = asked and bound.for_people
                if rests and bound.since is not None:
                    bound.left, bound.since = bound.seconds_left(now), None
                elif not rests and bound.since is None:
                    bound.since = now


def _times(task: Task) -> Iterator[tuple[str, float, bool, bool]]:
    """Name, seconds, whether waits for people are left out, whether the run finishes."""
    node = task.node
    container = task.container
    if container is not None or node.role is Role.STRUCTURE or node.kind.slug == "wait":
        within = container.within if isinstance(container, SubflowContainer) else None
        for name, seconds in (("timeout", node.timeout), ("timeout", within), ("deadline", node.deadline)):
            if seconds is not None:
                yield name, seconds, True, False
    if container is not None and container.bounds_itself:
        return
    for limits in task.limits:
        if limits.duration is not None:
            yield "limits.duration", limits.duration.seconds, False, limits.at_limit == "finish"
