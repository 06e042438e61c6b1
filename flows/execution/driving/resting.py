"""Whether a run rests: parked, or handed on, where nothing of it is being done here."""

from __future__ import annotations

from typing import Any

import orjson

from flows.engine.kinds import Role
from flows.execution.driving.bounds import Bounds
from flows.execution.driving.desk import Desk
from flows.execution.driving.purse import Purse
from flows.execution.driving.steps import Steps
from flows.execution.driving.timers import Timers
from flows.execution.driving.waits import Waits
from flows.execution.journal import Op
from flows.execution.killswitch import REASON as KILL_SWITCH

SHORT_WAIT = 2.0
"""Seconds: a run whose next attempt or timer is nearer than this stays in memory instead of being parked."""

SHOWN_REASONS = frozenset({"paused", "budget", "outcome_unknown", KILL_SWITCH})


class Resting:
    """The last look at a record before it is sent."""

    __slots__ = ("_bounds", "_desk", "_purse", "_steps", "_timers", "_waits")

    def __init__(self, desk: Desk, purse: Purse, steps: Steps, timers: Timers, waits: Waits, bounds: Bounds) -> None:
        self._bounds = bounds
        self._desk = desk
        self._purse = purse
        self._steps = steps
        self._timers = timers
        self._waits = waits

    def settle(self) -> None:
        """Writes into the record that the run rests, where nothing of it goes on here; else has its timers watched."""
        desk, planner, purse = self._desk, self._desk.planner, self._purse
        for path in purse.moot():
            desk.sheet.withdraw(path)
        seconds = min((due for due in (self._timers.soonest(), self._bounds.soonest()) if due is not None), default=None)
        if self._steps.tasks or self._steps.results or planner.ended or purse.preparing or desk.refreshing:
            if seconds is not None:  # a wait or a back-off beside what is in flight
                self._timers.look_in(seconds)
        elif desk.engine.draining:
            desk.sheet.ops.append({"op": "fate", "event": None, "next": "queued"})
        elif desk.paused:
            self._park("waiting", "paused", None)
        elif desk.stopped_by_switch:
            self._park("waiting", KILL_SWITCH, seconds)
        elif planner.more or not (planner.held or purse.questions):
            return
        elif seconds is not None and seconds < SHORT_WAIT:
            self._timers.look_in(seconds)
        else:
            status, reason = self._why()
            self._park(status, reason[:60], seconds)

    def _park(self, status: str, reason: str, seconds: float | None) -> None:
        data: dict[str, Any] = {"status": status, "paths": [*self._desk.planner.held, *sorted(self._purse.held)][:20]}
        if reason in SHOWN_REASONS:
            data["reason"] = reason
        op: Op = {"op": "fate", "event": "run.parked", "next": status, "reason": reason, "wake": seconds}
        op["data"] = orjson.dumps(data).decode()
        self._desk.sheet.ops.append(op)

    def _why(self) -> tuple[str, str]:
        """The state of a run that rests, and its reason: a question about money, an unknown outcome, or the path that is waited
        for."""
        held = self._desk.planner.held
        if self._purse.questions:
            return "waiting_approval", "budget"
        for path in held:
            if path in self._waits.asking:
                unknown = held[path].node.kind.role is Role.EFFECT
                return "waiting_approval", "outcome_unknown" if unknown else path
        statuses = {task.status for task in held.values()}
        return next(name for name in ("retrying", "waiting") if name in statuses), next(iter(held))
