"""The Celery task that indexes documents, in the tools worker: it is work, not waiting."""

from __future__ import annotations

import logging
from uuid import UUID

from celery import shared_task
from kombu.exceptions import OperationalError

from flows.retrieval.indexing import index_document, lost_documents

logger = logging.getLogger(__name__)
QUEUE = "tools"


@shared_task(name="flows.retrieval.index_document", ignore_result=True, queue=QUEUE)
def index(document_id: str) -> None:
    index_document(UUID(document_id))


def ring(document_id: UUID) -> None:
    """Tells the worker of a document that waits. A ring that cannot be sent is no loss: the reconciler rings again."""
    try:
        index.apply_async((str(document_id),), queue=QUEUE, retry=False)
    except OperationalError as error:
        logger.warning("The ring for a document could not be sent: %s", error)


def ring_for_lost() -> list[UUID]:
    """The reconciler's part."""
    found = lost_documents()
    for document in found:
        ring(document)
    return found
