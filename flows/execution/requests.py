"""Answers to what a run asks of people. Asking happens in the engine's journal; an answer has one winner, whoever tries."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from flows.access.refusals import Conflict
from flows.engine.canonical import canonical, sha256_of
from flows.engine.states import OPEN_REQUEST_STATES
from flows.execution.doorbells import inbox_changed
from flows.execution.moves import announce, append_event, lock_run, signal
from flows.models import Person, Request, Run


class AlreadyDecided(Conflict):
    """Somebody else was first."""

    slug = "already-decided"

    def __init__(self, request: Request) -> None:
        self.state = request.state
        self.by = request.decided_by.username if request.decided_by is not None else None
        self.outcome = request.outcome
        self.at: datetime | None = request.decided_at
        super().__init__(_said(request.state, self.by, self.outcome, self.at))

    def facts(self) -> dict[str, Any]:
        at = self.at.isoformat().replace("+00:00", "Z") if self.at is not None else None
        return {"state": self.state, "by": self.by, "outcome": self.outcome, "at": at}


class ChangedSince(Conflict):
    """This request changed since you opened it. Read it again before you decide."""

    slug = "stale-revision"

    def __init__(self, current: int) -> None:
        self.current = current
        super().__init__()

    def facts(self) -> dict[str, Any]:
        return {"revision": self.current}


def answer(
    request_id: UUID,
    *,
    revision: int,
    state: str,
    outcome: str,
    payload: Any = None,
    comment: str = "",
    by: Person | None = None,
) -> Request:
    """Decides a request for good and wakes its run, in one transaction (T5 of docs/architecture.md).

    `state` is what the outcome means: approved | rejected | changes_requested | expired. `payload` is the payload as decided (a
    JSON value; None: as it was asked). `by` is None where a deadline decides. Raises `AlreadyDecided`, naming who won, and
    `ChangedSince` where `revision` is not the request's newest.
    """
    run_id = Request.objects.values_list("run_id", flat=True).get(id=request_id)
    with transaction.atomic():
        run = lock_run(run_id) if run_id is not None else None
        request = Request.objects.select_related("decided_by").get(id=request_id)
        text = request.payload if payload is None else canonical(payload)
        won = Request.objects.filter(id=request_id, state__in=OPEN_REQUEST_STATES, revision=revision).update(
            state=state, outcome=outcome, answer=text, comment=comment, decided_by=by, decided_at=Now()
        )
        if not won:
            raise _why_lost(request_id)
        request = Request.objects.select_related("decided_by", "flow").get(id=request_id)
        if run is not None:
            request.run = run
            _tell_run(run, request, payload)
        transaction.on_commit(inbox_changed)
    return request


def withdraw(run: Run) -> int:
    """Withdraws what the run still asks, since it ends; gives how many. The run's row must be locked by this transaction."""
    still_open = list(Request.objects.filter(run=run, state__in=OPEN_REQUEST_STATES).order_by("id"))
    if not still_open:
        return 0
    Request.objects.filter(id__in=[request.id for request in still_open]).update(state="withdrawn", decided_at=Now())
    for request in still_open:
        append_event(run, "request.withdrawn", request.path, {"request": request.public_id})
    transaction.on_commit(inbox_changed)
    return len(still_open)


def _tell_run(run: Run, request: Request, payload: Any) -> None:
    signal(run)
    data = {
        "request": request.public_id,
        "state": request.state,
        "outcome": request.outcome,
        "by": request.decided_by.username if request.decided_by is not None else None,
        "payload_hash": request.payload_hash if payload is None else sha256_of(payload),
        "run_state": run.status,
    }
    append_event(run, "request.answered", request.path, data)
    announce(run)


def _why_lost(request_id: UUID) -> Conflict:
    request = Request.objects.select_related("decided_by").get(id=request_id)
    return ChangedSince(request.revision) if request.state in OPEN_REQUEST_STATES else AlreadyDecided(request)


def _said(state: str, by: str | None, outcome: str, at: datetime | None) -> str:
    when = f" at {at.astimezone(UTC):%H:%M:%S} UTC" if at is not None else ""
    if state == "withdrawn":
        return f"The request was withdrawn{when}: its run has ended."
    return f"{by or 'The deadline'} was first: {outcome or state}{when}."
