"""What every way to a new version shares."""

from __future__ import annotations

from django.db.models import Max

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Conflict
from flows.builder.checking import read_document, require_runnable
from flows.engine.document import version_hash
from flows.models import Flow, FlowVersion
from flows.tools.actions.follow_flow import follow_flow

LONGEST_NOTE = 2000  # characters


class NeedsSecondPerson(Conflict):
    """This flow is published only after somebody else has approved it. Ask for it on the flow's page."""

    slug = "needs-second-person"


class FlowArchived(Conflict):
    """This flow is archived and read only. Restore it first."""

    slug = "archived"


def locked(flow: Flow) -> Flow:
    """The flow's row, which nobody else changes while this transaction lasts. Raises `FlowArchived`."""
    found = Flow.objects.select_for_update(of=("self",)).select_related("team", "published").get(id=flow.id)
    if found.archived_at is not None:
        raise FlowArchived
    return found


def make_version(actor: Actor, flow: Flow, text: str, note: str, action: str = "flow.publish", **facts: object) -> FlowVersion:
    """Makes `text` the flow's newest version and the one that new runs use; runs under way keep theirs.

    A text that equals the published version (its layout aside) gives that version. The flow must be `locked`. Raises
    `DocumentRefused` with every problem.
    """
    document = read_document(text)
    require_runnable(document, flow.slug, flow.team_id)
    digest = version_hash(document)
    before = flow.published
    if before is not None and before.hash == digest:
        return before
    newest = FlowVersion.objects.filter(flow=flow).aggregate(newest=Max("number"))["newest"] or 0
    version = FlowVersion.objects.create(
        flow=flow, number=newest + 1, document=text, hash=digest, note=note[:LONGEST_NOTE], created_by=actor.person
    )
    flow.published = version
    flow.save(update_fields=["published"])
    follow_flow(flow)
    data = {"version": version.number, "before": before and before.number, "hash": digest, "note": version.note, **facts}
    record_change(actor, action, "flow", flow.slug, data)
    return version
