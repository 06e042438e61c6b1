"""Removing a document from a knowledge base."""

from __future__ import annotations

from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import NotFound
from flows.access.rights import Right, require
from flows.models import KnowledgeBase, KnowledgeDocument


def delete_document(actor: Actor, base: KnowledgeBase, document: KnowledgeDocument) -> None:
    """The document and its passages are gone: no search that begins after this finds them. What runs were given before stays in their
    record. Raises `Forbidden`, and `NotFound` where somebody else was faster."""
    require(actor, Right.EDIT_FLOWS, base.team)
    with transaction.atomic():
        found = KnowledgeDocument.objects.select_for_update().filter(id=document.id, base=base).first()
        if found is None:
            raise NotFound("document")
        record_change(actor, "document.delete", "knowledge", base.slug, {"source": found.source, "sha256": found.digest})
        found.delete()
