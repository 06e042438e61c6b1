"""Indexing a knowledge base anew."""

from __future__ import annotations

from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.rights import Right, require
from flows.models import KnowledgeBase
from flows.retrieval.reindexing import begin_counting
from flows.retrieval.tasks import ring


def reindex_base(actor: Actor, base: KnowledgeBase) -> int:
    """How many documents wait to be cut and embedded again. Until its turn comes each is found as before. Raises `Forbidden`."""
    require(actor, Right.EDIT_FLOWS, base.team)
    with transaction.atomic():
        documents = list(base.documents.values_list("id", flat=True))
        base.documents.update(state="waiting", error="", taken_at=None)
        record_change(actor, "base.reindex", "knowledge", base.slug, {"documents": len(documents)})
        if actor.person is not None and documents:
            begin_counting(actor.person, base, len(documents))
    for document in documents:
        ring(document)
    return len(documents)
