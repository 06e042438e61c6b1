"""What flows may refer to by name, as the checks of a document want it."""

from __future__ import annotations

from uuid import UUID

from flows.builder.findings import Ground, RouteFacts, ToolFacts
from flows.builder.subflows import known_flows, references
from flows.engine.document import FlowDocument
from flows.engine.kinds import Catalogue
from flows.models import ModelEntry, Route, ToolEntry


def current_catalogue(document: FlowDocument, team: UUID | None) -> Catalogue:
    """What the document of a flow of this team (None: everybody's) may refer to, as it is now: three queries, and two more where it
    runs other flows."""
    wanted = {each.slug for each in references(document)}
    return Catalogue(
        routes=frozenset(Route.objects.values_list("slug", flat=True)),
        models=frozenset(ModelEntry.objects.values_list("slug", flat=True)),
        tools=dict(ToolEntry.objects.values_list("slug", "arguments")),
        flows=known_flows(wanted, team) if wanted else {},
    )


def current_ground() -> Ground:
    """The same with what a report says of them: three queries."""
    routes = Route.objects.values_list("slug", "candidates", "fall_back_on", "timeout")
    tools = ToolEntry.objects.values_list("slug", "effect", "repeat", "reversible")
    return Ground(
        {slug: RouteFacts(tuple(candidates), tuple(on), timeout) for slug, candidates, on, timeout in routes},
        frozenset(ModelEntry.objects.values_list("slug", flat=True)),
        {slug: ToolFacts(effect, repeat, reversible) for slug, effect, repeat, reversible in tools},
    )
