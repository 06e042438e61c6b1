"""Runs that bring the vectors of knowledge bases up to date, where a model of the catalogue makes them. The reconciler begins them.

Such a run belongs to a flow that is kept for this. What it costs stands in the ledger as production, and budgets hold it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from flows.access.actor import system
from flows.engine.canonical import canonical
from flows.engine.document import Limits, load_document
from flows.models import Flow, KnowledgeBase, Passage, Run
from flows.retrieval.reads import has_vectors
from flows.runs.actions.start_test import tested_version
from flows.runs.beginning import begin_run

SLUG: Final = "_knowledge"
NAME: Final = "Vectors of knowledge bases"
PAUSE: Final = timedelta(minutes=10)
"""How long a base rests after a run of it has failed."""

RETRY: Final = {"attempts": 4, "backoff": "exponential", "first": "2s", "max": "60s"}

INDEXING = system("knowledge")


def embed_waiting() -> list[Run]:
    """Begins a run for each base that has passages without a vector of its model, where none is under way or failed a moment ago."""
    if not has_vectors():
        return []
    behind = Passage.objects.filter(base=OuterRef("pk")).exclude(embedded_by=OuterRef("embedding"))
    waiting = KnowledgeBase.objects.exclude(embedding="").filter(Exists(behind))
    return [run for base in waiting if (run := _begin(base)) is not None]


def run_of(base: KnowledgeBase) -> Run | None:
    """The newest run that brings the vectors of this base up to date."""
    return Run.objects.filter(flow__slug__startswith=SLUG, tags__contains=[tag_of(base)]).order_by("-id").first()


def _begin(base: KnowledgeBase) -> Run | None:
    newest = run_of(base)
    if newest is not None and (
        newest.ended_at is None or (newest.status != "succeeded" and newest.ended_at > timezone.now() - PAUSE)
    ):
        return None
    with transaction.atomic():
        flow = flow_of(base)
        version = tested_version(INDEXING, flow, load_document(_document(base)))
        return begin_run(INDEXING, flow, version.id, canonical({}), Limits(), source="knowledge", tags=[tag_of(base)])


def flow_of(base: KnowledgeBase) -> Flow:
    """One for each team: a run may search what belongs to its flow's team."""
    slug = SLUG if base.team is None else f"{SLUG}_{base.team.slug}"[:64]
    flow, _ = Flow.objects.get_or_create(
        slug=slug, defaults={"name": NAME, "draft": "", "team": base.team, "archived_at": timezone.now()}
    )
    return flow


def tag_of(base: KnowledgeBase) -> str:
    """By which its runs are found."""
    return f"base:{base.slug}"


def _document(base: KnowledgeBase) -> dict[str, Any]:
    return {
        "orchestrator": 1,
        "name": NAME,
        "limits": {"duration": "1d"},
        "steps": {"embed": {"kind": "index", "with": {"base": base.slug}, "retry": RETRY}},
        "edges": ["start -> embed"],
        "output": "{{ steps.embed.output }}",
    }
