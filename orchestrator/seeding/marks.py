"""Which things the demonstration brought. What has no mark here is people's own and is never removed with it."""

from __future__ import annotations

from collections.abc import Iterable

from flows.models import Flow, Seeded

KINDS = (
    "run",
    "trigger",
    "flow",
    "version",
    "draft",
    "base",
    "policy",
    "budget",
    "price",
    "route",
    "model",
    "tool",
    "host",
    "team",
    "person",
)
"""What is marked. Those that have a name in addresses are marked by it, the others by their identifier."""


def mark(kind: str, keys: Iterable[object]) -> None:
    """Notes that the demonstration brought these; what is noted already stays so."""
    assert kind in KINDS, kind
    Seeded.objects.bulk_create([Seeded(kind=kind, key=str(key)) for key in keys], ignore_conflicts=True, batch_size=1000)


def unmark(kind: str, keys: Iterable[object]) -> None:
    """Takes the notes of these back: they are not there any more."""
    Seeded.objects.filter(kind=kind, key__in=list(map(str, keys))).delete()


def marked(kind: str) -> set[str]:
    """What the demonstration brought of one kind."""
    return set(Seeded.objects.filter(kind=kind).values_list("key", flat=True))


def mark_drafts() -> None:
    """Notes the drafts of the flows that were brought as they are now: one that has another revision later was changed by somebody."""
    flows = Flow.objects.filter(id__in=marked("flow")).values_list("id", "revision")
    mark("draft", [f"{flow}:{revision}" for flow, revision in flows])
