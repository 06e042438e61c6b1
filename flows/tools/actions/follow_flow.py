"""A flow that is a tool takes what its published version takes."""

from __future__ import annotations

from typing import Any

from flows.engine.document import parse_document
from flows.engine.problems import DocumentError
from flows.models import Flow, FlowVersion, ToolEntry


def follow_flow(flow: Flow) -> None:
    """After another version of the flow was published: the tools that are this flow, whatever version is published, take its input."""
    entries = ToolEntry.objects.filter(kind="flow", settings__flow=flow.slug).exclude(settings__version__isnull=False)
    if flow.published is not None and entries.exists():
        entries.update(arguments=_input(flow.published.document) or {})


def input_of(slug: str, number: int | None) -> dict[str, Any] | None:
    """The JSON Schema of what the version of this number takes (None: the published one); None where there is no such version."""
    if number is None:
        flow = Flow.objects.filter(slug=slug[:80], archived_at__isnull=True).select_related("published").first()
        version = flow.published if flow is not None else None
    else:
        version = FlowVersion.objects.filter(flow__slug=slug[:80], number=number).first()
    return _input(version.document) if version is not None else None


def _input(text: str) -> dict[str, Any]:
    try:
        return dict(parse_document(text).input or {})
    except DocumentError:  # of an older form of the document
        return {}
