"""Choosing what makes the vectors of a knowledge base."""

from __future__ import annotations

from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Fault, Invalid, NotFound
from flows.access.rights import Right, require
from flows.models import KnowledgeBase, ModelEntry
from flows.retrieval.actions.reindex_base import reindex_base
from flows.retrieval.reads import has_vectors


def change_base(actor: Actor, base: KnowledgeBase, embedding: str) -> KnowledgeBase:
    """The model of this name makes the base's vectors from now on; with an empty name those that come with the product are used. All
    passages get new ones: a run of its own asks the model, in the ledger like any other, and until a passage has its new vector it is
    found by its words. Raises `Forbidden`, `NotFound`, and `Invalid` where there is no such model, or it cannot."""
    require(actor, Right.EDIT_FLOWS, base.team)
    embedding = embedding.strip()
    if embedding:
        model = ModelEntry.objects.filter(slug=embedding[:80]).first()
        if model is None:
            raise _refused(f"the catalogue has no model {embedding[:80]!r}", "Choose one of the catalogue, or none.")
        if "embeddings" not in model.capabilities:
            raise _refused(f"{model.slug} makes no embeddings", "Its entry must name the capability `embeddings`.")
        if not has_vectors():
            raise _refused("the database has no vectors", "Install the extension pgvector, and run the migrations again.")
    with transaction.atomic():
        found = KnowledgeBase.objects.select_for_update().filter(id=base.id).first()
        if found is None:
            raise NotFound("knowledge base")
        if found.embedding == embedding:
            return found
        before, found.embedding = found.embedding, embedding
        found.save(update_fields=["embedding"])
        record_change(actor, "base.change", "knowledge", base.slug, {"embedding": embedding, "before": before})
        if not embedding:
            reindex_base(actor, found)
    return found


def _refused(what: str, mend: str) -> Invalid:
    return Invalid("The knowledge base cannot be changed.", problems=[Fault("embedding", what, mend)])
