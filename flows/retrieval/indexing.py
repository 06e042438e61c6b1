"""Turning a document into passages. Its row is the job; a ring only says that there is one."""

from __future__ import annotations

import logging
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from flows.models import KnowledgeDocument, Passage
from flows.models.identifiers import new_id
from flows.retrieval.embedding import Vector, as_sql, embed
from flows.retrieval.passages import cut
from flows.retrieval.reads import has_vectors
from flows.retrieval.reindexing import count_on

logger = logging.getLogger(__name__)

BATCH = 200  # passages embedded and written at a time
RUNG_AGAIN = 10.0  # seconds after which a document that nobody took is rung for again
LOST = 300.0  # seconds after which a worker that took it is believed dead
AT_ONCE = 50  # lost documents that are rung for at a time

CLAIM = """
UPDATE flows_knowledgedocument SET taken_at = clock_timestamp()
WHERE id = %s AND state = 'waiting' AND (taken_at IS NULL OR taken_at < clock_timestamp() - %s * interval '1 second')
RETURNING digest
"""
UNTAKEN = """
SELECT id FROM flows_knowledgedocument
WHERE state = 'waiting' AND CASE WHEN taken_at IS NULL THEN created_at < clock_timestamp() - %s * interval '1 second'
    ELSE taken_at < clock_timestamp() - %s * interval '1 second' END
ORDER BY created_at LIMIT %s
"""


def index_document(document_id: UUID) -> bool:
    """Cuts, embeds and stores a waiting document. False where there is nothing to do: it is gone, done, or another worker has it.

    Whoever deletes or replaces it meanwhile wins: nothing of an old text is stored.
    """
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, [document_id, LOST])
        row = cursor.fetchone()
    if row is None:
        return False
    document = KnowledgeDocument.objects.select_related("base").get(id=document_id)
    stored = _stored(document, row[0])
    count_on(document.base_id)
    return stored


def _stored(document: KnowledgeDocument, digest: str) -> bool:
    try:
        return _store(document, digest)
    except Exception as error:  # a worker's edge: what one document does must not end the worker, and people must see it
        logger.exception("The document %s could not be indexed.", document.id)
        KnowledgeDocument.objects.filter(id=document.id, digest=digest).update(
            state="failed", error=f"{type(error).__name__}"[:300]
        )
        return False


def _store(document: KnowledgeDocument, digest: str) -> bool:
    cuts = cut(document.text, document.media_type)
    vectors: list[Vector | None] | None = None
    if has_vectors() and not document.base.embedding:
        vectors = embed([each.text for each in cuts])
    with transaction.atomic():
        still = KnowledgeDocument.objects.select_for_update().filter(id=document.id, state="waiting", digest=digest).first()
        if still is None:
            return False
        Passage.objects.filter(document=still).delete()
        rows = [
            (new_id(), still.base_id, still.id, n, each.begins, each.ends, each.text, document.base.language, each.text)
            for n, each in enumerate(cuts)
        ]
        with connection.cursor() as cursor:
            for first in range(0, len(rows), BATCH):
                batch = rows[first : first + BATCH]
                if vectors is None:
                    cursor.executemany(f"{INSERT}) VALUES ({VALUES})", batch)
                else:
                    with_vectors = [
                        (*row, as_sql(vector) if vector else None) for row, vector in zip(batch, vectors[first:], strict=False)
                    ]
                    cursor.executemany(f"{INSERT}, vector) VALUES ({VALUES}, %s::vector)", with_vectors)
        still.state, still.error, still.passage_count, still.indexed_at = "ready", "", len(rows), timezone.now()
        still.save(update_fields=["state", "error", "passage_count", "indexed_at"])
    return True


INSERT = "INSERT INTO flows_passage (id, base_id, document_id, n, begins, ends, text, words"
VALUES = "%s, %s, %s, %s, %s, %s, %s, to_tsvector(%s::regconfig, %s)"


def lost_documents() -> list[UUID]:
    """Documents that wait although somebody rang: the ring was lost, or the worker died."""
    with connection.cursor() as cursor:
        cursor.execute(UNTAKEN, [RUNG_AGAIN, LOST, AT_ONCE])
        return [row[0] for row in cursor.fetchall()]
