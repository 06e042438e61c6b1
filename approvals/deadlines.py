"""What happens to a request whose time is over. A time-out never approves."""

from __future__ import annotations

import logging
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from approvals.models import HeldDecision
from approvals.rules import rejecting_outcome
from approvals.trail import record
from flows.access.actor import system
from flows.engine.states import OPEN_REQUEST_STATES
from flows.execution.doorbells import inbox_changed
from flows.execution.moves import announce, append_event, lock_run
from flows.execution.requests import AlreadyDecided, ChangedSince, answer
from flows.models import Request

log = logging.getLogger(__name__)

DEADLINE = system("deadline")


def expire_due(limit: int = 200) -> int:
    """Acts on the requests whose time is over by the database's clock; gives how many. The reconciler calls it.

    Where the terms name a rejecting outcome for the deadline it is given, in state ``expired``; in any other case the request
    stays open and is escalated once. Each request is a transaction of its own, so that one that fails holds up no other.
    """
    acted = 0
    for request_id in _due(limit):
        try:
            acted += _act(request_id)
        except (AlreadyDecided, ChangedSince):
            continue  # a person was faster
        except Exception:
            log.exception("the deadline of request %s could not be kept", request_id)
    return acted


def _due(limit: int) -> list[UUID]:
    not_escalated = Q(terms__escalated__isnull=True)
    due = Request.objects.filter(not_escalated, state__in=sorted(OPEN_REQUEST_STATES), due__lte=Now())
    return list(due.order_by("due").values_list("id", flat=True)[:limit])


def _act(request_id: UUID) -> bool:
    with transaction.atomic():
        run_id = Request.objects.values_list("run_id", flat=True).get(id=request_id)
        run = lock_run(run_id) if run_id is not None else None
        request = Request.objects.select_for_update(of=("self",)).get(id=request_id)
        if request.state not in OPEN_REQUEST_STATES or request.terms.get("escalated"):
            return False
        if HeldDecision.objects.filter(request=request).exists():
            return False  # a person decided in time; it is carried out in a moment
        outcome = rejecting_outcome(request.terms)
        if outcome is not None:
            answer(request_id, revision=request.revision, state="expired", outcome=outcome, by=None)
            record(DEADLINE, "expire", request, outcome=outcome)
            return True
        Request.objects.filter(id=request_id).update(terms=request.terms | {"escalated": True})
        if run is not None:
            append_event(run, "request.escalated", request.path, {"request": request.public_id})
            announce(run)
        record(DEADLINE, "escalate", request)
        transaction.on_commit(inbox_changed)
    return True
