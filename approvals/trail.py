"""What people and time do to requests, in the audit log: always with revision, policy and the hash of what is decided on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from flows.access.actor import Actor
from flows.access.audit import MOST_REFUSALS, record_change
from flows.access.refusals import NotFound, Refusal
from flows.models import AuditRow, Request


def record(actor: Actor, act: str, request: Request, **facts: Any) -> None:
    """Writes `approval.<act>`, in the transaction of the act."""
    record_change(actor, f"approval.{act}", "request", request.public_id, {**facts_of(request), **facts})


def facts_of(request: Request) -> dict[str, Any]:
    facts: dict[str, Any] = {"revision": request.revision, "payload_hash": request.payload_hash}
    if request.terms.get("policy_version"):
        facts["policy"] = f"{request.terms['policy']} v{request.terms['policy_version']}"
    return facts


def _keeps_trying(actor: Actor) -> bool:
    """Whether so much was refused to somebody within a minute that more of it would only fill the log."""
    recent = AuditRow.objects.filter(action="approval.refuse", actor=actor.person, at__gte=Now() - timedelta(minutes=1))
    return recent.count() >= MOST_REFUSALS


@contextmanager
def refusals_recorded(actor: Actor, request_id: UUID, act: str) -> Iterator[None]:
    """What is refused within is in the audit log, too: who tried what, and why not. What one may not see does not exist."""
    try:
        yield
    except NotFound:
        raise
    except Refusal as refusal:
        refusal.recorded = True
        request = Request.objects.filter(id=request_id).first()
        if request is not None and not _keeps_trying(actor):
            with transaction.atomic():
                faults = [fault.place for fault in refusal.problems]
                record(actor, "refuse", request, tried=act, why=refusal.slug, said=refusal.message, fields=faults)
        raise
