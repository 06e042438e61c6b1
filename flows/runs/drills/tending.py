"""What a drill needs while it goes on: the late answer of its slow person, and an end."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db.models.functions import Now
from django.utils import timezone

from flows.access.actor import system
from flows.engine.states import OPEN_REQUEST_STATES, TERMINAL_STATES
from flows.execution.handling import FAULTS, Fault
from flows.execution.requests import AlreadyDecided, ChangedSince, answer
from flows.models import Drill, Request, Run
from flows.models.identifiers import parsed
from flows.runs.actions.answer_test import STATES
from flows.runs.actions.cancel_run import RunEnded, cancel_run

log = logging.getLogger(__name__)

LONGEST: Final = timedelta(minutes=5)
"""After which what is left of a drill is cancelled."""

DRILL: Final = system("fire drill")


def tend_drills() -> int:
    """Looks after the drills under way; gives how many. The reconciler calls it."""
    drills = list(Drill.objects.filter(ended_at=None).order_by("id")[:50])
    for drill in drills:
        going = [run for run in runs_of(drill).values() if run.status not in TERMINAL_STATES]
        for run in going:
            try:
                _tend(run, over=drill.created_at < timezone.now() - LONGEST)
            except (AlreadyDecided, ChangedSince, RunEnded):
                continue  # something was faster
            except Exception:
                log.exception("run %s of a drill could not be looked after", run.id)
        if not going:
            Drill.objects.filter(id=drill.id).update(ended_at=Now())
    return len(drills)


def runs_of(drill: Drill) -> dict[Fault, Run]:
    """The runs of a drill by the fault that each rehearses, in the order of `FAULTS`."""
    ids: dict[Fault, UUID] = {fault: parsed("run", drill.runs[fault]) for fault in FAULTS if fault in drill.runs}
    found = Run.objects.select_related("version").in_bulk(ids.values())
    return {fault: found[each] for fault, each in ids.items()}


def asks_approvers(asked: Request) -> bool:
    """Whether this is an approval's question; the engine's own (about money, an unknown outcome) name nobody."""
    return "approvers" in asked.terms


def _tend(run: Run, *, over: bool) -> None:
    asked = Request.objects.filter(run=run, state__in=sorted(OPEN_REQUEST_STATES)).order_by("id").first()
    if over:
        cancel_run(DRILL, run)
    elif run.status != "waiting_approval" or asked is None:
        return
    elif not asks_approvers(asked):  # about money, or an unknown outcome: a drill has nobody who would say
        cancel_run(DRILL, run)
    elif asked.due is None or asked.terms.get("escalated"):
        _answer_late(asked)


def _answer_late(asked: Request) -> None:
    outcome = next((name for name, meaning in asked.outcomes.items() if meaning == "approve"), next(iter(asked.outcomes)))
    state = STATES[asked.outcomes[outcome]]
    answer(asked.id, revision=asked.revision, state=state, outcome=outcome, comment="The late answer of a drill.")
