"""Opening a request: noted once a person and revision. It decides nothing."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from approvals.models import View
from approvals.trail import record
from flows.access.actor import Actor
from flows.engine.states import OPEN_REQUEST_STATES
from flows.models import Request


def note_view(actor: Actor, request: Request) -> bool:
    """Notes that the actor has seen this revision of an open request; False where that was known."""
    if actor.person is None or request.state not in OPEN_REQUEST_STATES:
        return False
    seen: dict[str, Any] = {"request": request, "person": actor.person, "revision": request.revision}
    known: bool | None = getattr(request, "seen", None)  # where it was asked for with the request
    if known or (known is None and View.objects.filter(**seen).exists()):
        return False
    with transaction.atomic():
        _, new = View.objects.get_or_create(**seen)
        if new:
            record(actor, "view", request)
    return new
