"""Publishing what somebody has approved."""

from __future__ import annotations

from django.db import transaction

from flows.access.actor import Actor
from flows.access.refusals import Conflict
from flows.builder.publishing import locked, make_version
from flows.models import FlowVersion, Request


class LiveMovedOn(Conflict):
    """Another version was published since this was asked, so it was compared with something else. Reject it, and ask anew."""

    slug = "live-changed"


def publish_as_approved(actor: Actor, request: Request) -> FlowVersion:
    """Publishes exactly the document that a request of kind `publish` holds; `actor` is who approved it and was found to be
    somebody else than its authors. Call it in the decision's own transaction. Raises `LiveMovedOn`, `DocumentRefused`,
    `FlowArchived`; then the request stays open."""
    assert request.flow is not None
    with transaction.atomic():
        flow = locked(request.flow)
        if (flow.published.number if flow.published is not None else 0) != request.terms["based_on"]:
            raise LiveMovedOn
        facts = {"request": request.public_id, "authors": request.terms["authors"]}
        note = str(request.terms.get("note") or "")
        return make_version(actor, flow, request.terms["document"], note, **facts)
