"""Paths of steps: `each[7].polish[2].draft` is inside `each[7].polish`, which is inside `each`; `sub/step` is inside `sub`;
`research.turn[3].call[1]` is inside `research`, an agent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from flows.engine.agents import graph_inside
from flows.engine.graph import Flow, Graph, Node

_KEY = re.compile(r"[a-z][a-z0-9_]*")
_ENTRY = re.compile(r"\[(\d+)\]\.|/|\.turn\[(\d+)\]\.")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path leads in a flow: the step, the graph that it stands in, and the container around that graph."""

    path: str
    node: Node
    graph: Graph
    prefix: str  # what stands before the step's key
    owner: Place | None
    index: int | None  # which item or round of the owner


def enclosing(path: str) -> Iterator[str]:
    """What the path is inside of, from the outermost: containers, and the single items of them."""
    for at, letter in enumerate(path):
        if letter in "[./" and path[at - 1] != "]":
            yield path[:at]
        elif letter == "]" and at + 1 < len(path):
            yield path[: at + 1]


def is_inside(path: str, container: str) -> bool:
    """Whether a step stands in a map, loop, sub-flow or agent, at any depth."""
    return path.startswith(container) and path[len(container) : len(container) + 1] in {"[", "/", "."}


def last_items(paths: Iterable[str]) -> dict[str, int]:
    """By container the highest index of an item or round that these paths tell of."""
    found: dict[str, int] = {}
    for path in paths:
        if "[" in path:
            for around in enclosing(path):
                if around.endswith("]"):
                    container, _, index = around[:-1].rpartition("[")
                    found[container] = max(found.get(container, -1), int(index))
    return found


def place_of(flow: Flow, path: str, inside: Mapping[str, Graph] | None = None) -> Place | None:
    """Where `path` leads; None where the flow has no such step. `inside` are the graphs of sub-flows, by the paths of their steps:
    which version of a flow ran is the run's to know."""
    graph: Graph | None = flow.graph
    owner: Place | None = None
    index: int | None = None
    at = 0
    while graph is not None:
        key = _KEY.match(path, at)
        node = graph.nodes.get(key[0]) if key else None
        if key is None or node is None:
            return None
        place = Place(path[: key.end()], node, graph, path[:at], owner, index)
        if key.end() == len(path):
            return place
        entry = _ENTRY.match(path, key.end())
        if entry is None:
            return None
        if entry[2]:
            called = _in_turn(path, place, entry)
            if called is None or called.path == path:
                return called
            owner, index, at = called, None, len(called.path) + 1
            graph = (inside or {}).get(called.path)
            continue
        owner, index, at = place, int(entry[1]) if entry[1] else None, entry.end()
        graph = node.body if entry[1] else (inside or {}).get(place.path, node.body)
    return None


def _in_turn(path: str, agent: Place, entry: re.Match[str]) -> Place | None:
    """The step of a turn, which a flow may stand in: what it calls is the journal's to know, so it stands in a graph of its own."""
    key = path[entry.end() :].partition("/")[0]
    graph = graph_inside(agent.node, key)
    if graph is None:
        return None
    return Place(path[: entry.end()] + key, graph.nodes[key], graph, path[: entry.end()], agent, int(entry[2]))


def downstream(graph: Graph, key: str) -> frozenset[str]:
    """The keys of the steps that can follow this one, itself left out."""
    found: set[str] = set()
    queue = [key]
    while queue:
        for targets in graph.nodes[queue.pop()].outgoing.values():
            new = set(targets) - found
            found |= new
            queue.extend(new)
    return frozenset(found)


def upstream(graph: Graph, key: str) -> frozenset[str]:
    """The keys of the steps that can lead to this one, itself left out."""
    found: set[str] = set()
    queue = [key]
    while queue:
        new = {source for source, _ in graph.nodes[queue.pop()].incoming if source in graph.nodes} - found
        found |= new
        queue.extend(new)
    return frozenset(found)
