"""Asking somebody else to approve a new version."""

from __future__ import annotations

from django.db import IntegrityError, transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Conflict
from flows.access.rights import Right, require
from flows.builder.actions.save_draft import DraftChanged
from flows.builder.checking import read_document, require_runnable
from flows.builder.differences import differences
from flows.builder.publishing import LONGEST_NOTE, locked
from flows.builder.reads import flow_named, version_of
from flows.engine.canonical import canonical, sha256_of
from flows.engine.document import version_hash
from flows.execution.doorbells import inbox_changed
from flows.models import AuditRow, Flow, Request

WRITES = ("flow.create", "flow.save", "flow.restore")


class AlreadyAsked(Conflict):
    """Somebody is asked already whether this flow may be published. Decide or withdraw that request first."""

    slug = "already-asked"


class NothingToPublish(Conflict):
    """This is what is published already."""

    slug = "nothing-to-publish"


def ask_to_publish(
    actor: Actor, slug: str, *, version: int | None = None, revision: int | None = None, note: str = ""
) -> Request:
    """A request of kind `publish` for the draft, or to go back to `version`. What is approved is what is published, whatever
    becomes of the draft meanwhile; nobody who wrote on the draft since the last version can approve it.

    Raises `NotFound`, `Forbidden`, `DraftChanged`, `DocumentRefused`, `AlreadyAsked`, `NothingToPublish`, `FlowArchived`.
    """
    flow = flow_named(actor, slug)
    require(actor, Right.PUBLISH_FLOWS, flow)
    with transaction.atomic():
        flow = locked(flow)
        if revision is not None and flow.revision != revision:
            raise DraftChanged(flow.revision)
        text = flow.draft if version is None else version_of(flow, version).document
        document = read_document(text)
        require_runnable(document, flow.slug, flow.team_id)
        live = flow.published
        if live is not None and live.hash == version_hash(document):
            raise NothingToPublish
        found = differences(read_document(live.document), document).in_words if live is not None else "first version"
        payload = {"flow": flow.slug, "note": note[:LONGEST_NOTE], "changes": found, "hash": version_hash(document)}
        terms = {
            "outcomes": {"approve": "approve", "reject": "reject"},
            "order": ["reject", "approve"],
            "approvers": {"people": [], "teams": []},
            "quorum": 1,
            "authors": sorted({actor.name, *authors_of(flow)}),
            "document": text,
            "based_on": live.number if live is not None else 0,
            "note": note[:LONGEST_NOTE],
        }
        try:
            with transaction.atomic():
                request = Request.objects.create(
                    flow=flow,
                    kind="publish",
                    title=f"Publish {flow.name}"[:300],
                    terms=terms,
                    payload=canonical(payload),
                    payload_hash=sha256_of(payload),
                )
        except IntegrityError:
            raise AlreadyAsked from None
        record_change(actor, "flow.ask_to_publish", "flow", flow.slug, {**payload, "request": request.public_id})
        transaction.on_commit(inbox_changed)
    return request


def authors_of(flow: Flow) -> set[str]:
    """The names of those who wrote on the draft since the live version was published."""
    rows = AuditRow.objects.filter(subject_kind="flow", subject=flow.slug, action__in=WRITES)
    if flow.published is not None:
        rows = rows.filter(at__gte=flow.published.created_at)
    return set(rows.values_list("actor_name", flat=True))
