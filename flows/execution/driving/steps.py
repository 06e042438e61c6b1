"""The steps of one run that are being carried out, each an asyncio task, and what they came to."""

from __future__ import annotations

import asyncio
import functools
import logging
import time

from flows.engine.failures import Failure, TimedOut, UnknownOutcome
from flows.engine.kinds import Done
from flows.engine.paths import is_inside
from flows.engine.plan import Begin
from flows.execution.context import ONCE, Outcome, Past, StepContext, WorkKind
from flows.execution.driving.calls import Calls
from flows.execution.driving.desk import Desk
from flows.execution.driving.purse import HeldBack
from flows.execution.jsontext import kept

log = logging.getLogger(__name__)

Result = tuple[StepContext, Outcome | Failure | HeldBack | None]
"""A step and what it came to; None where it was broken off."""


class Steps:
    """Begins attempts, breaks them off, and gathers their results until the run is planned."""

    __slots__ = ("_calls", "_desk", "results", "tasks")

    def __init__(self, desk: Desk, calls: Calls) -> None:
        self._desk = desk
        self._calls = calls
        self.tasks: dict[str, asyncio.Task[None]] = {}  # by path
        self.results: list[Result] = []

    def begin(self, decision: Begin) -> None:
        desk = self._desk
        past = desk.pasts.setdefault(decision.path, Past())
        if past.calls == 0:
            past.began = time.monotonic()
        context = StepContext(self._calls, decision, past, desk.engine.services.under(desk.handling))
        task = desk.engine.loop.create_task(self._perform(context))
        task.add_done_callback(functools.partial(self._home, context))
        self.tasks[decision.path] = task

    def break_off(self) -> None:
        for task in list(self.tasks.values()):
            task.cancel()

    def break_off_inside(self, path: str) -> None:
        """What is in flight inside the container at `path`."""
        for inner, task in list(self.tasks.items()):
            if is_inside(inner, path):
                task.cancel()

    def take_results(self) -> list[Result]:
        results, self.results = self.results, []
        return results

    async def _perform(self, context: StepContext) -> None:
        """Carry out one attempt. Its outcome reaches the run through `_home`, whatever happens to this task."""
        kind = context.node.kind
        if not isinstance(kind, WorkKind):
            raise TypeError(f"{kind.slug} cannot be carried out")
        if context.node.timeout is None:
            outcome = await kind.perform(context)
        else:
            try:
                async with asyncio.timeout(context.node.timeout):
                    outcome = await kind.perform(context)
            except TimeoutError:
                if context.open_call is not None and context.open_call.intent.repeat in ONCE:
                    raise UnknownOutcome("The step's time was over before the outcome of its call was known.") from None
                raise TimedOut(f"The step took longer than its limit of {context.node.timeout:g} s.", sent=True) from None
        if isinstance(outcome, Done):  # an output that cannot be kept fails the attempt, not the run
            outcome = Done(kept(outcome.output), outcome.port, outcome.state, outcome.keeps)
        self.results.append((context, outcome))

    def _home(self, context: StepContext, task: asyncio.Task[None]) -> None:
        """A task has ended: with a result, a failure, or broken off. (A task that is cancelled before its first step never enters
        its own `try`, so this is where everything is heard of.)"""
        if self.tasks.get(context.path) is task:
            del self.tasks[context.path]
        if self._desk.dropped:
            return
        failure: Failure | None = None
        if task.cancelled():
            self._calls.close(context, "cancelled", "The call was broken off.")
            self.results.append((context, None))
        elif isinstance(error := task.exception(), HeldBack):
            self.results.append((context, error))
        elif error is not None:
            if isinstance(error, Failure):
                failure = error
            else:
                log.error("run %s, step %s: %s", self._desk.run.id, context.path, type(error).__name__, exc_info=error)
                failure = Failure(f"{type(error).__name__} in the step's own code; the worker's log has the details.", sent=True)
            self._calls.close(context, failure.slug, failure.message)
            self.results.append((context, failure))
        self._desk.schedule()
