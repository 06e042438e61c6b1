"""The documents of published versions, read once in a process: a version never changes."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from flows.engine.document import FlowDocument, parse_document
from flows.models import FlowVersion

MOST = 512  # documents that a process keeps

_kept: dict[UUID, FlowDocument] = {}


def document_of(version_id: UUID) -> FlowDocument:
    """The document of a version. Raises `FlowVersion.DoesNotExist`."""
    found = documents_of([version_id]).get(version_id)
    if found is None:
        raise FlowVersion.DoesNotExist(f"There is no version {version_id}.")
    return found


def documents_of(version_ids: Iterable[UUID]) -> dict[UUID, FlowDocument]:
    """The documents of several versions: at most one query. A version that there is not is left out."""
    wanted = set(version_ids)
    found = {version: _kept[version] for version in wanted if version in _kept}
    if len(found) < len(wanted):
        missing = wanted - found.keys()
        for version, text in FlowVersion.objects.filter(id__in=missing).values_list("id", "document"):
            found[version] = _kept[version] = parse_document(text)
        while len(_kept) > MOST:
            _kept.pop(next(iter(_kept)), None)
    return found
