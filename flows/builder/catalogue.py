"""What flows may refer to by name, as the checks of a document want it."""

from __future__ import annotations

from flows.engine.kinds import Catalogue
from flows.models import ModelEntry, Route, ToolEntry


def current_catalogue() -> Catalogue:
    """The catalogue's routes, models and tools as they are now: three queries."""
    return Catalogue(
        routes=frozenset(Route.objects.values_list("slug", flat=True)),
        models=frozenset(ModelEntry.objects.values_list("slug", flat=True)),
        tools=dict(ToolEntry.objects.values_list("slug", "arguments")),
    )
