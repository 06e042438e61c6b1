"""Publishing a flow."""

from __future__ import annotations

from django.db import transaction

from flows.access.actor import Actor
from flows.access.rights import Right, require
from flows.builder.actions.save_draft import DraftChanged
from flows.builder.publishing import NeedsSecondPerson, locked, make_version
from flows.builder.reads import flow_named
from flows.models import FlowVersion


def publish_flow(actor: Actor, slug: str, *, revision: int | None = None, note: str = "") -> FlowVersion:
    """Makes the draft the version that new runs use; runs under way keep theirs.

    A draft that equals the published version (its layout aside) gives that version. `revision` is the one that was looked at.
    Raises `NotFound`, `Forbidden`, `DocumentRefused` with every problem, `DraftChanged`, `NeedsSecondPerson`, `FlowArchived`.
    """
    flow = flow_named(actor, slug)
    require(actor, Right.PUBLISH_FLOWS, flow)
    with transaction.atomic():
        flow = locked(flow)
        if revision is not None and flow.revision != revision:
            raise DraftChanged(flow.revision)
        if flow.needs_second:
            raise NeedsSecondPerson
        return make_version(actor, flow, flow.draft, note)
