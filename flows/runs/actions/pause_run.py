"""Pausing a run, and resuming it."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Conflict
from flows.access.rights import Right, require
from flows.engine.states import TERMINAL_STATES
from flows.execution.moves import announce, append_event, lock_run, requeue
from flows.models import Run
from flows.runs.actions.cancel_run import RunEnded


class NotPaused(Conflict):
    """The run is not paused, so there is nothing to resume."""

    slug = "not-paused"


def pause_run(actor: Actor, run: Run) -> Run:
    """Lets nothing new of the run begin. Calls in flight finish and are recorded; then the run rests as `waiting`, reason `paused`.

    A run that nobody drives rests at once. Decisions and events are kept until it is resumed; its deadline still counts. Pausing a
    paused run changes nothing. Raises `NotFound`, `Forbidden`, `RunEnded`. Gives the run as it is afterwards.
    """
    require(actor, Right.CONTROL_RUNS, run)
    with transaction.atomic():
        run = lock_run(run.id)
        if run.status in TERMINAL_STATES:
            raise RunEnded(run)
        if run.paused:
            return run
        run.paused = True
        run.signals += 1
        changes: dict[str, Any] = {"paused": True, "signals": run.signals}
        if run.owner is None and not run.open_calls:
            run.status, run.reason, run.wake_at = "waiting", "paused", None
            changes |= {"status": run.status, "reason": run.reason, "wake_at": None}
        Run.objects.filter(id=run.id).update(**changes)
        append_event(run, "run.paused", data={"by": actor.name, "door": actor.door, "state": run.status})
        record_change(actor, "run.pause", "run", run.public_id, {"state": run.status})
        announce(run)
    return run


def resume_run(actor: Actor, run: Run) -> Run:
    """Lets a paused run go on. Gives the run as it is afterwards.

    Raises `NotFound`, `Forbidden`, `NotPaused`, and `RunEnded`, which says what to do instead.
    """
    require(actor, Right.CONTROL_RUNS, run)
    with transaction.atomic():
        run = lock_run(run.id)
        if run.status in TERMINAL_STATES:
            again = (
                "To run a part of it again, retry it from a step."
                if run.status == "succeeded"
                else "To go on from there, retry it."
            )
            raise RunEnded(run, f"Only a paused run is resumed. {again}")
        if not run.paused:
            raise NotPaused
        run.paused = False
        run.signals += 1
        Run.objects.filter(id=run.id).update(paused=False, signals=run.signals)
        requeue(run)
        append_event(run, "run.resumed", data={"by": actor.name, "door": actor.door})
        record_change(actor, "run.resume", "run", run.public_id, {"state": run.status})
        announce(run)
    return run
