"""Bringing back what was: a version as the draft, or the draft that a version replaced."""

from __future__ import annotations

from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Conflict
from flows.access.rights import Right, require
from flows.builder.actions.save_draft import DraftChanged
from flows.builder.checking import read_document
from flows.builder.publishing import locked
from flows.builder.reads import flow_named, version_of
from flows.engine.canonical import sha256_of
from flows.models import Flow


class NothingReplaced(Conflict):
    """There is no replaced draft to bring back."""

    slug = "nothing-replaced"


def restore_draft(actor: Actor, slug: str, number: int | None, *, revision: int | None = None) -> Flow:
    """Makes version `number` the draft, or, with None, the draft that was replaced last.

    What was the draft is kept and can be brought back the same way; a draft that equals a version is not worth keeping. `revision`
    is the draft that the actor saw. Raises `NotFound`, `Forbidden`, `DraftChanged`, `NothingReplaced`, `FlowArchived`.
    """
    flow = flow_named(actor, slug)
    require(actor, Right.EDIT_FLOWS, flow)
    with transaction.atomic():
        flow = locked(flow)
        if revision is not None and flow.revision != revision:
            raise DraftChanged(flow.revision)
        if number is None and not flow.replaced_draft:
            raise NothingReplaced
        text = flow.replaced_draft if number is None else version_of(flow, number).document
        if text == flow.draft:
            return flow
        document = read_document(text)
        before = flow.draft
        flow.replaced_draft = "" if flow.versions.filter(number__isnull=False, document=before).exists() else before
        flow.draft, flow.name, flow.description = text, document.name[:160], document.description
        flow.revision += 1
        flow.save(update_fields=["draft", "replaced_draft", "name", "description", "revision", "changed_at"])
        facts = {"revision": flow.revision, "version": number, "before": sha256_of(before), "sha256": sha256_of(text)}
        record_change(actor, "flow.restore", "flow", flow.slug, facts)
    return flow
