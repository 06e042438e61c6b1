"""Another pass: a run that has ended goes through its flow again, taking along what still counts.

The journal of the new pass begins with *carried* rows, copies of the attempts that count on; calls are never copied, so the ledger
grows only by what is really done. Which rows count is `flows/engine/courses.py`'s to say; here they are written.
"""

from __future__ import annotations

from typing import Any, Final

from django.db import connection
from django.db.models import Q
from django.db.models.functions import Now

from flows.access.actor import Actor
from flows.access.refusals import Conflict
from flows.engine.courses import Course, Outcome
from flows.engine.states import TERMINAL_STATES
from flows.execution.jsontext import load
from flows.execution.moves import announce, append_event
from flows.models import Attempt, Intervention, Run, RunPass

CARRY: Final = """
INSERT INTO flows_attempt (run_id, pass, path, n, kind, status, seq, port, output, state, error, checkpoint, next_at,
    started_at, ended_at, carried)
SELECT %(run)s, %(pass)s, a.path, a.n, a.kind, CASE WHEN k.reopened THEN 'open' ELSE a.status END, %(seq)s,
    CASE WHEN k.reopened THEN '' ELSE a.port END, CASE WHEN NOT k.reopened THEN a.output END,
    CASE WHEN NOT k.reopened THEN a.state END, CASE WHEN NOT k.reopened THEN a.error END,
    CASE WHEN NOT k.reopened OR a.kind <> 'loop' THEN a.checkpoint END, NULL, a.started_at,
    CASE WHEN NOT k.reopened THEN a.ended_at END, true
FROM (SELECT k.id, k.n, k.id = ANY(%(reopened)s::bigint[]) AS reopened FROM unnest(%(kept)s::bigint[]) WITH ORDINALITY AS k(id, n)) k
JOIN flows_attempt a ON a.id = k.id ORDER BY k.n
"""


class PayloadsRemoved(Conflict):
    """What this run was given and what it gave was removed when it was old enough; it cannot be done again. Start a new one."""

    slug = "payloads-removed"


class RunGoesOn(Conflict):
    """The run has not ended."""

    slug = "run-goes-on"

    def __init__(self, run: Run) -> None:
        self.state, self.number = run.status, run.pass_number
        begun = RunPass.objects.filter(run=run, number=run.pass_number).select_related("by").first()
        who = f": pass {begun.number} was begun by {begun.by or 'the system'}" if begun is not None else ""
        super().__init__(f"The run goes on: it is {run.status}{who}. Wait for its end, or cancel it first.")

    def facts(self) -> dict[str, Any]:
        return {"state": self.state, "pass": self.number}


def outcomes_of(run: Run) -> list[Outcome]:
    """What the journal of the run's newest pass says, in the order in which it is read."""
    rows = Attempt.objects.filter(run=run, pass_number=run.pass_number).order_by("seq", "id")
    listed = rows.values_list("id", "path", "status", "next_at", "error")
    return [
        Outcome(id_, path, status, status != "failed" or next_at is None, bool((load(error) or {}).get("fails_run")))
        for id_, path, status, next_at, error in listed
    ]


def begin_pass(run: Run, actor: Actor, course: Course, *, verb: str, from_path: str = "") -> RunPass:
    """Begins the run's next pass: its journal starts with what `course` keeps, and the run is queued.

    The run's row must be locked by this transaction. The run has its whole time again; what it has spent stays spent, so a limit
    that was reached must be raised by the caller. Edits of inputs that somebody made stay with their steps. Raises `RunGoesOn`
    where the run has not ended, `PayloadsRemoved` where too little is left of it.
    """
    if run.status not in TERMINAL_STATES:
        raise RunGoesOn(run)
    if run.purged_at is not None:
        raise PayloadsRemoved
    before = run.pass_number
    began = RunPass.objects.filter(run=run, number=before).values_list("at", flat=True).first() or run.created_at
    time = run.deadline - began if run.deadline is not None else None
    run.pass_number += 1
    run.status, run.reason, run.cancel_requested, run.paused = "queued", "", False, False
    run.wake_at = run.ended_at = run.output = run.error = None
    run.signals += 1
    changed = {
        name: getattr(run, name)
        for name in ("pass_number", "status", "reason", "cancel_requested", "paused", "wake_at", "ended_at", "output", "error")
    }
    deadline = Now() + time if time is not None else None
    Run.objects.filter(id=run.id).update(**changed, signals=run.signals, claims=0, deadline=deadline)
    begun = RunPass.objects.create(
        run=run, number=run.pass_number, verb=verb, by=actor.person, from_path=from_path, redone=list(course.redone)
    )
    data = {
        "verb": verb,
        "by": actor.name,
        "door": actor.door,
        "from_step": from_path or None,
        "kept": len(course.kept),
        "again": list(course.again[:20]),
    }
    carry(run, course, append_event(run, "pass.started", data=data))
    keep_edits(run, run, before)
    announce(run)
    return begun


def carry(run: Run, course: Course, seq: int) -> None:
    """Copies the rows that count on into the run's newest pass, as recorded by its event `seq`."""
    if course.kept:
        values: dict[str, Any] = {
            "run": run.id,
            "pass": run.pass_number,
            "seq": seq,
            "kept": list(course.kept),
            "reopened": list(course.reopened),
        }
        with connection.cursor() as cursor:
            cursor.execute(CARRY, values)


def keep_edits(source: Run, target: Run, pass_number: int, paths: frozenset[str] | None = None) -> None:
    """The inputs that were edited in a pass hold in the next one, or in the run that repeats this one (there for `paths` only)."""
    wanted = Q(run=source, pass_number=pass_number, kind="input")
    edits = [each for each in Intervention.objects.filter(wanted).order_by("id") if paths is None or each.path in paths]
    Intervention.objects.bulk_create(
        Intervention(
            run=target,
            pass_number=target.pass_number,
            path=each.path,
            kind="input",
            before=each.before,
            after=each.after,
            comment=each.comment,
            by_id=each.by_id,
        )
        for each in edits
    )
