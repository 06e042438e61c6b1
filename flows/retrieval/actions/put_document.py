"""Bringing a document into a knowledge base, or its new text."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson
from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Fault, Invalid
from flows.access.rights import Right, require
from flows.models import KnowledgeBase, KnowledgeDocument, Passage
from flows.retrieval.reading import media_type_of, text_of
from flows.retrieval.tasks import ring

LONGEST_SOURCE = 300
MOST_FACTS = 8_000  # bytes of JSON


def put_document(
    actor: Actor, base: KnowledgeBase, source: str, data: bytes, *, media_type: str = "", facts: Mapping[str, Any] | None = None
) -> KnowledgeDocument:
    """The document of this source, which waits to be indexed. One that is there already gets the new text, and what it said before
    is found no more from this moment; the same text again changes nothing.

    `facts` is what a search can filter by. Raises `Forbidden`, `Invalid`, and `Unreadable` naming the reason.
    """
    require(actor, Right.EDIT_FLOWS, base.team)
    source, facts = source.strip(), dict(facts or {})
    faults = []
    if not source or len(source) > LONGEST_SOURCE or "\x00" in source:
        faults.append(
            Fault("source", "is no name of a document", f"Give 1 to {LONGEST_SOURCE} characters, such as a file's name.")
        )
    if len(orjson.dumps(facts)) > MOST_FACTS:
        faults.append(Fault("facts", "are too large", f"Keep them under {MOST_FACTS} bytes of JSON."))
    if faults:
        raise Invalid("The document cannot be added.", problems=faults)
    kind = media_type or media_type_of(source)
    text = text_of(source, kind, data)
    digest = hashlib.sha256(text.encode()).hexdigest()
    with transaction.atomic():
        KnowledgeBase.objects.select_for_update().get(id=base.id)  # one source is one document, even if it comes twice at a time
        found = KnowledgeDocument.objects.filter(base=base, source=source).first()
        if found is not None and found.digest == digest and found.state != "failed":
            if found.facts != facts:
                found.facts = facts
                found.save(update_fields=["facts"])
                record_change(actor, "document.change", "knowledge", base.slug, {"source": source, "facts": facts})
            return found
        document = found or KnowledgeDocument(base=base, source=source, created_by=actor.person)
        document.media_type, document.text, document.digest, document.facts = kind, text, digest, facts
        document.state, document.error, document.passage_count, document.taken_at = "waiting", "", 0, None
        document.save()
        Passage.objects.filter(document=document).delete()
        action = "document.add" if found is None else "document.replace"
        record_change(actor, action, "knowledge", base.slug, {"source": source, "characters": len(text), "sha256": digest})
        transaction.on_commit(lambda: ring(document.id))
    return document
