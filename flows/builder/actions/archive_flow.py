"""Putting a flow away, and bringing it back."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.rights import Right, require
from flows.builder.reads import flow_named
from flows.models import Flow


def archive_flow(actor: Actor, slug: str, *, archived: bool = True) -> Flow:
    """An archived flow starts no run and is read only; its runs, versions and costs stay. With `archived` False it is as before.
    Doing it twice changes nothing. Raises `NotFound`, `Forbidden`."""
    flow = flow_named(actor, slug)
    require(actor, Right.PUBLISH_FLOWS, flow)
    with transaction.atomic():
        flow = Flow.objects.select_for_update(of=("self",)).select_related("team", "published").get(id=flow.id)
        if (flow.archived_at is not None) == archived:
            return flow
        flow.archived_at, flow.archived_by = (timezone.now(), actor.person) if archived else (None, None)
        flow.save(update_fields=["archived_at", "archived_by"])
        record_change(actor, "flow.archive" if archived else "flow.unarchive", "flow", flow.slug)
    return flow
