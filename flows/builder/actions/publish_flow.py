"""Publishing a flow."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Max

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.rights import Right, require
from flows.builder.actions.save_draft import DraftChanged
from flows.builder.checking import read_document, require_runnable
from flows.builder.reads import flow_named
from flows.engine.document import version_hash
from flows.models import Flow, FlowVersion


def publish_flow(actor: Actor, slug: str, *, revision: int | None = None, note: str = "") -> FlowVersion:
    """Makes the draft the version that new runs use; runs under way keep theirs.

    A draft that equals the published version (its layout aside) gives that version. `revision` is the one that was looked at.
    Raises `NotFound`, `Forbidden`, `DocumentRefused` with every problem, `DraftChanged`.
    """
    flow = flow_named(actor, slug)
    require(actor, Right.PUBLISH_FLOWS, flow)
    with transaction.atomic():
        flow = Flow.objects.select_for_update(of=("self",)).select_related("published").get(id=flow.id)
        if revision is not None and flow.revision != revision:
            raise DraftChanged(flow.revision)
        document = read_document(flow.draft)
        require_runnable(document)
        digest = version_hash(document)
        if flow.published is not None and flow.published.hash == digest:
            return flow.published
        newest = FlowVersion.objects.filter(flow=flow).aggregate(newest=Max("number"))["newest"] or 0
        version = FlowVersion.objects.create(
            flow=flow, number=newest + 1, document=flow.draft, hash=digest, created_by=actor.person
        )
        flow.published = version
        flow.save(update_fields=["published", "changed_at"])
        data = {"version": version.number, "hash": digest, "note": note[:2000]}
        record_change(actor, "flow.publish", "flow", flow.slug, data)
    return version
