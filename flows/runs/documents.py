"""The documents of published versions, and what is compiled of them, once in a process: a version never changes."""

from __future__ import annotations

import functools
from uuid import UUID

from flows.access.versions import document_of, documents_of
from flows.engine.graph import Flow, compile_flow
from flows.steps import known_kinds

__all__ = ["document_of", "documents_of", "flow_of"]


@functools.lru_cache(maxsize=128)
def flow_of(version_id: UUID) -> Flow:
    """The flow of a version, ready to be asked what leads where. Raises `FlowVersion.DoesNotExist`."""
    return compile_flow(document_of(version_id), known_kinds())
