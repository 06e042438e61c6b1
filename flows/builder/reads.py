"""Flows and their versions, as somebody may see them."""

from __future__ import annotations

from flows.access.actor import Actor
from flows.access.querysets import flows_for
from flows.access.refusals import NotFound
from flows.models import Flow, FlowVersion


def visible_flow(actor: Actor, slug: str) -> Flow | None:
    if "\x00" in slug:  # no text of the database's
        return None
    return flows_for(actor).filter(slug=slug[:80]).select_related("team", "published").first()


def flow_named(actor: Actor, slug: str) -> Flow:
    """The flow of this slug. Raises `NotFound`."""
    flow = visible_flow(actor, slug)
    if flow is None:
        raise NotFound(f"flow {slug[:80]!r}")
    return flow


def version_of(flow: Flow, number: int) -> FlowVersion:
    """The version of this number. Raises `NotFound`."""
    version = FlowVersion.objects.filter(flow=flow, number=number).first() if 0 < number < 2**31 else None
    if version is None:
        raise NotFound(f"version {number} of {flow.slug}")
    return version
