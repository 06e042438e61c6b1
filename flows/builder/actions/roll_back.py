"""Going back to an older version."""

from __future__ import annotations

from django.db import transaction

from flows.access.actor import Actor
from flows.access.refusals import Conflict
from flows.access.rights import Right, require
from flows.builder.publishing import NeedsSecondPerson, locked, make_version
from flows.builder.reads import flow_named, version_of
from flows.models import FlowVersion


class LiveChanged(Conflict):
    """Another version was published since you looked. Compare again before you go back."""

    slug = "live-changed"


def roll_back(actor: Actor, slug: str, number: int, *, live: int | None = None, note: str = "") -> FlowVersion:
    """A new version that equals version `number`: history is added to, never rewritten. The draft stays as it is.

    `live` is the version that was published when the actor looked. Raises `NotFound`, `Forbidden`, `LiveChanged`,
    `NeedsSecondPerson`, `FlowArchived`, and `DocumentRefused` where the old version no longer fits the catalogue.
    """
    flow = flow_named(actor, slug)
    require(actor, Right.PUBLISH_FLOWS, flow)
    with transaction.atomic():
        flow = locked(flow)
        old = version_of(flow, number)
        if live is not None and (flow.published is None or flow.published.number != live):
            raise LiveChanged
        if flow.needs_second:
            raise NeedsSecondPerson
        return make_version(
            actor, flow, old.document, note or f"Rolled back to v{number}", "flow.roll_back", rolled_back_to=number
        )
