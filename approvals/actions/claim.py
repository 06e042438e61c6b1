"""Claiming a request: saying that one is at it. It keeps nobody from deciding."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now

from approvals.actions.opened import locked_open
from approvals.models import Docket
from approvals.notices.notify import tell_about
from approvals.standing import require_decision
from approvals.trail import record, refusals_recorded
from flows.access.actor import Actor
from flows.execution.doorbells import inbox_changed
from flows.models import Request

CLAIM = timedelta(minutes=10)


def claim(actor: Actor, request: Request, *, release: bool = False) -> Docket:
    """Claims the request for ten minutes, or with `release` gives it up again. Somebody else's claim is taken over, and they are told.

    Raises `Forbidden` and `SelfApproval` where the actor may not decide on it, and `AlreadyDecided`.
    """
    with refusals_recorded(actor, request.id, "claim"):
        standing = require_decision(actor, request)
        with transaction.atomic():
            request, docket = locked_open(request)
            before = docket.claimed_by if docket.claimed_until is not None else None
            if release and before != standing.person:
                return docket
            docket.claimed_by = None if release else standing.person
            Docket.objects.filter(request=request).update(
                claimed_by=docket.claimed_by, claimed_until=None if release else Now() + CLAIM
            )
            record(actor, "release" if release else "claim", request, **({"from": before.username} if before else {}))
            if before is not None and before != standing.person:
                docket.refresh_from_db()
                key = f"taken:{request.id.hex}:{docket.claimed_until}:{standing.person.username}"
                subject = f"{standing.person} took over: {request.title}"
                tell_about(request, "taken_over", key, subject, people=[before], channels=False)
            transaction.on_commit(inbox_changed)
    docket.refresh_from_db()
    return docket
