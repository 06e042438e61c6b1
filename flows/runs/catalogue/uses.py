"""Who uses a model or a route, whoever may see it: what holds one in the catalogue, and what it must be able to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from flows.engine.graph import Graph, Node
from flows.models import Flow, Route
from flows.routing.definitions import slugs_of
from flows.runs.documents import flow_of


@dataclass(frozen=True, slots=True)
class Asking:
    """A published flow that asks a route or model by its name, with the capabilities that its steps need of whoever answers."""

    flow: str
    version: int
    needs: frozenset[str]

    def __str__(self) -> str:
        return f"flow {self.flow} v{self.version}"


def asking_by_name() -> dict[str, list[Asking]]:
    """By route or model the published flows that ask it."""
    flows = Flow.objects.filter(published__isnull=False, archived_at__isnull=True).order_by("slug")
    found: dict[str, list[Asking]] = {}
    for slug, version, number in flows.values_list("slug", "published_id", "published__number"):
        compiled = flow_of(version)
        needs: dict[str, frozenset[str]] = {}
        graphs = [compiled.graph, *([compiled.handler] if compiled.handler is not None else [])]
        for node in (node for graph in graphs for node in _nodes(graph)):
            for name in node.kind.routes(node.settings):
                needs[name] = needs.get(name, frozenset()) | node.kind.needs(node.settings)
        for name, needed in needs.items():
            found.setdefault(name, []).append(Asking(slug, number or 0, needed))
    return found


def holders_of_model(slug: str) -> list[str]:
    """The routes and flows that ask a model, in words."""
    routes = [f"route {route.slug}" for route in Route.objects.order_by("slug") if slug in slugs_of(route.candidates)]
    return routes + [str(each) for each in asking_by_name().get(slug, ())]


def _nodes(graph: Graph) -> Iterator[Node]:
    for node in graph.nodes.values():
        yield node
        if node.body is not None:
            yield from _nodes(node.body)
