"""Where the steps of one graph stand: in layers found from its edges, one behind the other, neighbours near each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

BETWEEN, APART = 20.0, 36.0  # pixels between steps of a layer, between layers that go down
APART_ACROSS = 56.0  # between layers that go to the right
PASSAGE = 24.0  # what a long edge takes of a layer that it passes
SWEEPS = 4  # passes over the layers that bring neighbours near each other

Slot = str | tuple[str, str, int]
"""What stands in a layer: a step, or the place where a long edge passes through (source, target, layer)."""


@dataclass(slots=True)
class Placed:
    """The upper left corner of each step; where long edges pass a layer (its middle there, the layer's begin and end), by source and
    target; and where the layer of each step ends."""

    corners: dict[str, tuple[float, float]] = field(default_factory=dict)
    passages: dict[tuple[str, str], list[tuple[float, float, float]]] = field(default_factory=dict)
    ends: dict[str, float] = field(default_factory=dict)


def depths(keys: Iterable[str], edges: Iterable[tuple[str, str]]) -> dict[str, int]:
    """How many steps come before each on the longest way to it. A document has no cycles; an edge that made one is left out."""
    after: dict[str, list[str]] = {key: [] for key in keys}
    missing = dict.fromkeys(after, 0)
    for source, target in edges:
        after[source].append(target)
        missing[target] += 1
    depth = dict.fromkeys(after, 0)
    ready = [key for key, count in missing.items() if count == 0]
    for key in ready:
        for target in after[key]:
            depth[target] = max(depth[target], depth[key] + 1)
            missing[target] -= 1
            if missing[target] == 0:
                ready.append(target)
    return depth


def layered(keys: Iterable[str], edges: Iterable[tuple[str, str]]) -> list[list[Slot]]:
    """The steps in layers; an edge that spans several has a place in each between."""
    keys, edges = list(keys), list(edges)
    depth = depths(keys, edges)
    layers: list[list[Slot]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for key in keys:
        layers[depth[key]].append(key)
    links: dict[Slot, list[Slot]] = {}
    for source, target in dict.fromkeys(edges):
        before: Slot = source
        for layer in range(depth[source] + 1, depth[target]):
            passing = (source, target, layer)
            layers[layer].append(passing)
            _link(links, before, passing)
            before = passing
        _link(links, before, target)
    for sweep in range(SWEEPS):
        order = range(1, len(layers)) if sweep % 2 == 0 else range(len(layers) - 2, -1, -1)
        for at in order:
            near = {slot: position for position, slot in enumerate(layers[at - 1 if sweep % 2 == 0 else at + 1])}
            middles = {slot: _middle(slot, links, near, len(layers[at])) for slot in layers[at]}
            layers[at].sort(key=middles.__getitem__)
    return layers


def _link(links: dict[Slot, list[Slot]], one: Slot, other: Slot) -> None:
    links.setdefault(one, []).append(other)
    links.setdefault(other, []).append(one)


def _middle(slot: Slot, links: Mapping[Slot, list[Slot]], near: Mapping[Slot, int], size: int) -> float:
    """Where the neighbours of a slot stand, on average; one without keeps to the end."""
    places = [near[other] for other in links.get(slot, ()) if other in near]
    return sum(places) / len(places) if places else float(size)


def placed(sizes: Mapping[str, tuple[float, float]], layers: list[list[Slot]], *, down: bool) -> Placed:
    """Places for steps of these sizes (width, height), the layers centred on one another: each below the one before, or, where they do
    not go `down`, to its right."""
    breadth, depth = (0, 1) if down else (1, 0)
    apart = APART if down else APART_ACROSS
    broad = [[sizes[slot][breadth] if isinstance(slot, str) else PASSAGE for slot in layer] for layer in layers]
    totals = [sum(each) + BETWEEN * max(len(each) - 1, 0) for each in broad]
    found, along = Placed(), 0.0
    for at, layer in enumerate(layers):
        end = along + max((sizes[slot][depth] for slot in layer if isinstance(slot, str)), default=0.0)
        across = (max(totals) - totals[at]) / 2
        for slot, wide in zip(layer, broad[at], strict=True):
            if isinstance(slot, str):
                found.corners[slot] = (across, along) if down else (along, across)
                found.ends[slot] = end
            else:
                found.passages.setdefault((slot[0], slot[1]), []).append((across + wide / 2, along, end))
            across += wide + BETWEEN
        along = end + apart
    return found
