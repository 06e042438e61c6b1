"""Pausing a flow, and letting it go on."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.rights import Right, require
from flows.builder.publishing import locked
from flows.builder.reads import flow_named
from flows.models import Flow


def pause_flow(actor: Actor, slug: str, *, paused: bool = True) -> Flow:
    """A paused flow starts no new run; those under way go on. With `paused` False it starts runs again. Doing it twice changes
    nothing. Raises `NotFound`, `Forbidden`, `FlowArchived`."""
    flow = flow_named(actor, slug)
    require(actor, Right.CONTROL_RUNS, flow)
    with transaction.atomic():
        flow = locked(flow)
        if (flow.paused_at is not None) == paused:
            return flow
        flow.paused_at, flow.paused_by = (timezone.now(), actor.person) if paused else (None, None)
        flow.save(update_fields=["paused_at", "paused_by"])
        record_change(actor, "flow.pause" if paused else "flow.resume", "flow", flow.slug)
    return flow
