"""What flows may refer to by name, as the checks of a document want it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q, QuerySet

from flows.builder.findings import Ground, RouteFacts, ToolFacts
from flows.builder.policies import named_policies
from flows.builder.subflows import known_flows, references, steps_within
from flows.engine.document import FlowDocument
from flows.engine.kinds import Catalogue
from flows.models import KnowledgeBase, ModelEntry, Route, ToolEntry
from flows.routing.definitions import slugs_of


@dataclass(frozen=True, slots=True)
class Known:
    """The catalogue as a document is checked against it, and as it is judged by it."""

    catalogue: Catalogue
    ground: Ground


def current(document: FlowDocument | None, team: UUID | None) -> Known:
    """What the document of a flow of this team (None: everybody's) may refer to, as it is now: three queries, two more where it runs
    other flows, one where it searches knowledge, and a few for each policy that it names."""
    routes = list(Route.objects.values_list("slug", "candidates", "fall_back_on", "timeout"))
    models = frozenset(ModelEntry.objects.values_list("slug", flat=True))
    tools = list(ToolEntry.objects.values_list("slug", "arguments", "effect", "repeat", "reversible"))
    wanted = {each.slug for each in references(document)} if document is not None else set()
    return Known(
        Catalogue(
            routes=frozenset(slug for slug, *_ in routes),
            models=models,
            tools={slug: arguments for slug, arguments, *_ in tools},
            flows=known_flows(wanted, team) if wanted else {},
            bases=known_bases(document, team),
            policies=named_policies(document),
        ),
        Ground(
            {slug: RouteFacts(slugs_of(candidates), tuple(on), timeout) for slug, candidates, on, timeout in routes},
            models,
            {slug: ToolFacts(effect, repeat, reversible) for slug, _, effect, repeat, reversible in tools},
        ),
    )


def known_bases(document: FlowDocument | None, team: UUID | None) -> frozenset[str]:
    """The knowledge bases that a flow of this team may search; none, without a query, where it searches none."""
    if document is None or not any(step.get("kind") == "retrieve" for _, step in steps_within(document)):
        return frozenset()
    return frozenset(bases_of(team).values_list("slug", flat=True))


def bases_of(team: UUID | None) -> QuerySet[KnowledgeBase]:
    """Everybody's, and the team's own."""
    return KnowledgeBase.objects.filter(Q(team__isnull=True) | Q(team_id=team) if team is not None else Q(team__isnull=True))
