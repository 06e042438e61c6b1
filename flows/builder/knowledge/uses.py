"""Which flows search a knowledge base."""

from __future__ import annotations

from flows.builder.subflows import steps_within
from flows.engine.document import parse_document
from flows.engine.problems import DocumentError
from flows.models import Flow


def flows_searching(base: str) -> list[Flow]:
    """The flows whose published version has a step that searches the base of this name, by name."""
    suspects = Flow.objects.filter(archived_at__isnull=True, published__document__contains="retrieve")
    return [flow for flow in suspects.select_related("published").order_by("name") if _searches(flow, base)]


def _searches(flow: Flow, base: str) -> bool:
    if flow.published is None:
        return False
    try:
        document = parse_document(flow.published.document)
    except DocumentError:
        return False
    return any(
        step.get("kind") == "retrieve" and (step.get("with") or {}).get("base") == base for _, step in steps_within(document)
    )
