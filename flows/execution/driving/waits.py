"""What the steps of one run wait for: answers of people, events, times; and what becomes of a step when it comes."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from flows.engine.canonical import sha256_of
from flows.engine.failures import Failure, UnknownOutcome
from flows.engine.frames import Task
from flows.engine.kinds import Done
from flows.engine.nodes import NO_EDITS
from flows.engine.states import OPEN_REQUEST_STATES
from flows.execution.claims import DeliveryRow, RequestRow
from flows.execution.context import Answer, Ask, StepContext, Waiting, WorkKind
from flows.execution.driving import unknowns
from flows.execution.driving.desk import Desk
from flows.execution.driving.timers import Timers
from flows.execution.jsontext import load

ANSWERED = frozenset({"approved", "rejected", "changes_requested", "expired"})


class Waits:
    """The open questions of steps, the events that were delivered, and the times that steps wait for."""

    __slots__ = ("_asked", "_deliveries", "_desk", "_taken", "_timers", "asking")

    def __init__(self, desk: Desk, timers: Timers) -> None:
        self._desk = desk
        self._timers = timers
        self.asking: set[str] = set()  # paths of steps whose question is open
        self._asked: dict[str, float] = {}  # by path: since when people are asked, by the monotonic clock
        self._deliveries: list[DeliveryRow] = []  # oldest first
        self._taken: set[uuid.UUID] = set()  # deliveries that a step of this run has had

    # ------------------------------------------------------------------ steps that begin to wait

    def park(self, context: StepContext, waiting: Waiting) -> None:
        """The step has begun to wait."""
        desk, path = self._desk, context.path
        data: dict[str, Any] = {}
        if waiting.ask is not None:
            data = self._put_question(path, waiting.ask)
        if waiting.event is not None:
            data["event"] = waiting.event
        op = desk.sheet.result(path, context.attempt, context.node.kind.slug, "waiting", "step.waiting", data)
        seconds = waiting.seconds
        if waiting.until is not None:
            op["until"] = waiting.until.isoformat()
            seconds = (waiting.until - desk.engine.database_now()).total_seconds()
        elif seconds is not None:
            op["delay"] = seconds
        if seconds is not None:
            self._timers.set(path, seconds)
        desk.planner.wait(path)
        self.match()

    def ask_what_happened(self, context: StepContext, failure: UnknownOutcome) -> None:
        """Nobody knows what became of a call that may not be repeated. Where only looking it up failed, that is tried again as the
        step's retry policy says; else people are asked."""
        context.past.calls = context.calls
        looking, planner = failure.looking, self._desk.planner
        if looking is not None and planner.may_retry(context.path, looking, context.elapsed):
            planner.fail(context.path, looking, elapsed=context.elapsed)
        else:
            self.park(context, Waiting(unknowns.question(context, failure)))

    def _put_question(self, path: str, ask: Ask) -> dict[str, Any]:
        self._desk.asked = True
        self._asked[path] = time.monotonic()
        self.asking.add(path)
        return self._desk.sheet.ask(path, ask)

    def forget(self, path: str) -> None:
        """The step waits for nothing any more."""
        self.asking.discard(path)
        self._timers.forget(path)

    # ------------------------------------------------------------------ what comes

    def hear(self, newest: Iterable[RequestRow]) -> None:
        """Takes up the newest request of each path: its answer, or that it is open."""
        desk = self._desk
        for request in newest:
            if request.kind == "approval" and request.state in ANSWERED:
                desk.answers[request.path] = sha256_of(load(request.answer))
            elif request.kind == "unknown" and request.outcome == "repeat":
                desk.repeats[request.path] = unknowns.asked_in(request) + 1
            task = desk.planner.held.get(request.path)
            if task is None or task.status != "waiting" or request.kind == "budget":
                continue
            if request.state in OPEN_REQUEST_STATES:
                self.asking.add(request.path)
                self._asked.setdefault(request.path, time.monotonic())
            elif request.state in ANSWERED:
                self.asking.discard(request.path)
                self._take_answer(request, task)

    def _take_answer(self, request: RequestRow, task: Task) -> None:
        path, kind, planner = request.path, task.node.kind, self._desk.planner
        if request.kind == "unknown":
            if unknowns.asked_in(request) != task.n:
                return  # of an attempt that is over
            if request.outcome == "happened":
                self._desk.pasts.pop(path, None)
                planner.succeed(path, unknowns.result_of(request))
            elif request.outcome == "repeat":
                self._leave_out_the_wait(path)
                planner.repeat(path, UnknownOutcome("It may be repeated, people said."))
            else:
                planner.fail(path, unknowns.failure_of(request), repeatable=False)
        elif isinstance(kind, WorkKind):
            answer = Answer(request.state, request.outcome, load(request.answer), request.comment, request.by)
            self._finish(path, kind.on_answer, task.node.settings, answer)

    def _leave_out_the_wait(self, path: str) -> None:
        """A step's deadline does not count the time in which people were asked."""
        past, asked = self._desk.pasts.get(path), self._asked.pop(path, None)
        if past is not None and asked is not None:
            past.began += time.monotonic() - asked

    def deliver(self, deliveries: Iterable[DeliveryRow]) -> None:
        """Events that were delivered and that no step has had: each is kept until a step waits for it."""
        known = {delivery.id for delivery in self._deliveries} | self._taken
        self._deliveries += [delivery for delivery in deliveries if delivery.id not in known]
        self.match()

    def match(self) -> None:
        """Gives each step that waits for an event the oldest one of that name."""
        planner = self._desk.planner
        for path, task in list(planner.held.items()):
            kind = task.node.kind
            if task.status != "waiting" or not isinstance(kind, WorkKind) or not self._deliveries:
                continue
            rendered = (
                task.rendered
                if task.rendered is not None
                else task.node.render(task.names or {}, planner.edits.get(path) or NO_EDITS)
            )
            name = kind.event_name(task.node.settings, rendered)
            found = next((delivery for delivery in self._deliveries if delivery.event == name), None)
            if name is not None and found is not None:
                self._deliveries.remove(found)
                self._taken.add(found.id)
                self._desk.sheet.take(found.id, path)
                self._finish(path, kind.on_event, task.node.settings, load(found.payload))

    def look_at_times(self) -> None:
        """Goes on with the steps whose time has come."""
        planner = self._desk.planner
        self._timers.keep(planner.held)
        for path in self._timers.take_due():
            task = planner.held.get(path)
            if task is None:
                continue  # what came before has ended its wait
            if task.status == "retrying":
                planner.resume(path)
            elif isinstance(task.node.kind, WorkKind):
                self._finish(path, task.node.kind.on_time, task.node.settings)

    def _finish(self, path: str, result: Callable[..., Done], *given: Any) -> None:
        self.forget(path)
        try:
            self._desk.planner.succeed(path, result(*given))
        except Failure as failure:
            self._desk.planner.fail(path, failure, repeatable=False)
