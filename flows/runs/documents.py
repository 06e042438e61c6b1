"""The documents of published versions, read once in a process: a version never changes."""

from __future__ import annotations

from functools import lru_cache
from uuid import UUID

from flows.engine.document import FlowDocument, parse_document
from flows.models import FlowVersion


@lru_cache(maxsize=512)
def document_of(version_id: UUID) -> FlowDocument:
    """The document of a version. Raises `FlowVersion.DoesNotExist`."""
    return parse_document(FlowVersion.objects.values_list("document", flat=True).get(id=version_id))
