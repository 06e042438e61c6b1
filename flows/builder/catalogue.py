"""What flows may refer to by name, as the checks of a document want it."""

from __future__ import annotations

from flows.builder.findings import Ground, RouteFacts, ToolFacts
from flows.engine.kinds import Catalogue
from flows.models import ModelEntry, Route, ToolEntry


def current_catalogue() -> Catalogue:
    """The catalogue's routes, models and tools as they are now: three queries."""
    return Catalogue(
        routes=frozenset(Route.objects.values_list("slug", flat=True)),
        models=frozenset(ModelEntry.objects.values_list("slug", flat=True)),
        tools=dict(ToolEntry.objects.values_list("slug", "arguments")),
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
