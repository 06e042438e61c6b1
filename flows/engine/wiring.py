"""The edges of one graph: who follows whom, checked for what cannot run."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from flows.engine.document import Edge
from flows.engine.problems import Place, did_you_mean, listed, shorten

Found = tuple[Place, str, str]
"""Place below the graph, message, mend."""


@dataclass(slots=True)
class Wiring:
    """Edges by step. `ancestors` are sets of steps as bits, by their position in `order`."""

    positions: dict[str, int]
    start: list[str] = field(default_factory=list)
    incoming: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    outgoing: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    ancestors: dict[str, int] = field(default_factory=dict)
    behind_error: set[str] = field(default_factory=set)

    def is_upstream(self, key: str, of: str) -> bool:
        """Whether `key` comes before `of` on some path."""
        return bool(self.ancestors.get(of, 0) >> self.positions[key] & 1)

    def downstream(self, key: str, port: str) -> frozenset[str]:
        """The steps that can follow a port."""
        return frozenset(self._reached(self.outgoing.get(key, {}).get(port, [])))

    def _reached(self, first: Sequence[str]) -> set[str]:
        seen = set(first)
        queue = deque(first)
        while queue:
            for targets in self.outgoing.get(queue.popleft(), {}).values():
                for target in targets:
                    if target not in seen:
                        seen.add(target)
                        queue.append(target)
        return seen


def wire(
    edges: Sequence[Edge], keys: Sequence[str], notes: set[str], ports: Mapping[str, frozenset[str] | None]
) -> tuple[Wiring, list[Found]]:
    """The wiring of steps with these keys, and what is wrong with it. `ports` is None for a step whose ports are not known."""
    wiring = Wiring({key: position for position, key in enumerate(keys)})
    problems: list[Found] = []
    seen: dict[str, int] = {}
    for index, edge in enumerate(edges):
        if edge in seen:
            problems.append(
                (("edges", index), f"the edge `{edge}` stands here twice (first as edges[{seen[edge]}])", "Remove one.")
            )
            continue
        seen[edge] = index
        faults = list(_edge_faults(edge, keys, notes, ports, wiring))
        problems += [(("edges", index), message, mend) for message, mend in faults]
        if (
            edge.target == "start"
            or edge.target not in wiring.positions
            or (edge.source != "start" and edge.source not in wiring.positions)
        ):
            continue
        if edge.source == "start":
            wiring.start.append(edge.target)
        else:
            wiring.outgoing.setdefault(edge.source, {}).setdefault(edge.port, []).append(edge.target)
        wiring.incoming.setdefault(edge.target, []).append((edge.source, edge.port))
    problems += _topology(wiring, list(keys))
    return wiring, problems


def _edge_faults(
    edge: Edge, keys: Sequence[str], notes: set[str], ports: Mapping[str, frozenset[str] | None], wiring: Wiring
) -> Iterator[tuple[str, str]]:
    for key, word in ((edge.source, "begins at"), (edge.target, "leads to")):
        if key == "start" and word == "leads to":
            yield f"the edge `{edge}` leads to `start`", "Nothing can lead to `start`; repetition is a `loop` or `map`."
        elif key in notes:
            yield f"the edge `{edge}` {word} the note `{key}`", "Notes have no edges; remove it."
        elif key != "start" and key not in wiring.positions:
            yield (
                f"the edge `{shorten(edge, 80)}` {word} `{shorten(key, 40)}`, which is no step",
                did_you_mean(key, [*keys, "start"]),
            )
    if edge.source == "start" and edge.port != "done":
        yield f"`start` has no port `{shorten(edge.port, 40)}`", f"Write `start -> {edge.target}`."
    known = ports.get(edge.source)
    if known is not None and edge.port not in known and edge.port != "error":
        yield (
            f"`{edge.source}` has no port `{shorten(edge.port, 40)}`",
            f"Its ports are {listed(sorted(known | {'error'}))}.",
        )


def _topology(wiring: Wiring, keys: list[str]) -> Iterator[Found]:
    """Cycles and unreachable steps; fills in the ancestors on the way."""
    missing = {key: sum(1 for source, _ in wiring.incoming.get(key, []) if source != "start") for key in keys}
    ready = deque(key for key in keys if not missing[key])
    done: set[str] = set()
    while ready:
        key = ready.popleft()
        done.add(key)
        own = wiring.ancestors.get(key, 0) | 1 << wiring.positions[key]
        for port, targets in wiring.outgoing.get(key, {}).items():
            for target in targets:
                wiring.ancestors[target] = wiring.ancestors.get(target, 0) | own
                if port == "error" or key in wiring.behind_error:
                    wiring.behind_error.add(target)
                missing[target] -= 1
                if not missing[target]:
                    ready.append(target)
    circle = _circle(wiring, [key for key in keys if key not in done])
    if circle:
        path = " -> ".join([*circle, circle[0]])
        yield (
            ("steps", circle[0]),
            f"the steps {listed(circle)} lead in a circle ({shorten(path, 200)})",
            "A flow has no free cycles; repeat steps with a `loop` or `map`.",
        )
        for key in keys:
            if key not in done:
                wiring.ancestors[key] = (1 << len(keys)) - 1  # no second complaint about what is upstream
    reached = wiring._reached(wiring.start)
    for key in keys:
        if key not in reached and key not in circle:
            yield (
                ("steps", key),
                f"the step `{key}` can never be reached",
                f"Connect it, for example `start -> {key}`, or remove it.",
            )


def _circle(wiring: Wiring, left: list[str]) -> list[str]:
    """One cycle among the steps that could not be put in order."""
    if not left:
        return []
    stuck = set(left)
    key = left[0]
    trail: dict[str, None] = {}
    while key not in trail:  # walking backwards from a stuck step always meets a circle
        trail[key] = None
        key = next(source for source, _ in wiring.incoming[key] if source in stuck)
    path = list(trail)
    circle = path[path.index(key) :][::-1]
    first = circle.index(min(circle, key=wiring.positions.__getitem__))
    return circle[first:] + circle[:first]
