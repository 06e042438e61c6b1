"""How the steps of a flow are drawn: layers from top to bottom, found from the edges, or the places that the document gives.

From top to bottom, because a flow is rather long than wide: so it fits beside the list of steps, and on a phone. The result is plain
numbers in pixels, which the pages draw.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from flows.engine.document import FlowDocument

WIDTH, HEIGHT = 196.0, 48.0  # of a node
GAP_X, GAP_Y = 20.0, 36.0  # between boxes of a layer, between layers
PASSAGE = 24.0  # what a long edge takes of a layer that it passes
MARGIN = 16.0
SWEEPS = 4  # passes over the layers that bring neighbours near each other
PORTS_UNSAID = frozenset({"done", "start"})


@dataclass(slots=True)
class Box:
    """One step and where it stands (its upper left corner)."""

    key: str
    label: str
    kind: str
    x: float = 0.0
    y: float = 0.0
    width: float = WIDTH
    height: float = HEIGHT


@dataclass(frozen=True, slots=True)
class Line:
    """One edge as a path; `port` is `leaves_by`, empty where that says nothing. `bad`: it leaves by a port that means trouble."""

    source: str
    target: str
    port: str
    leaves_by: str
    path: str
    label_x: float
    label_y: float
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Drawing:
    """A flow as it is drawn."""

    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    width: float
    height: float
    words: str = field(default="")


TROUBLE = frozenset({"error", "fail", "timeout", "limit"})


def label_of(key: str, label: str | None) -> str:
    """What a step is called: its label, or its key in words."""
    return label or key.replace("_", " ").capitalize()


def drawn(document: FlowDocument) -> Drawing:
    """The flow's own steps; what stands inside a map or loop is not drawn here."""
    boxes = {key: Box(key, label_of(key, step.label), step.kind) for key, step in document.steps.items() if step.kind != "note"}
    edges = list(dict.fromkeys((edge.source, edge.port, edge.target) for edge in document.edges if edge.target in boxes))
    inner = [(source, target) for source, _, target in edges if source in boxes]
    layers = layered(boxes, inner)
    bends = place(boxes, layers)
    given = bool(boxes) and all(_is_place(document.layout.get(key)) for key in boxes)
    if given:  # as on the canvas, where edges go from left to right
        bends = {}
        for key, box in boxes.items():
            box.x, box.y = float(document.layout[key][0]), float(document.layout[key][1])
        left, top = min(box.x for box in boxes.values()), min(box.y for box in boxes.values())
        for box in boxes.values():
            box.x, box.y = box.x - left + MARGIN, box.y - top + MARGIN
    drawable = [edge for edge in edges if edge[0] in boxes]
    leaving, arriving = _spread(drawable, boxes, 0), _spread(drawable, boxes, 2)
    lines = tuple(
        _across(boxes[edge[0]], boxes[edge[2]], edge[1])
        if given
        else _down(boxes[edge[0]], boxes[edge[2]], edge[1], bends.get((edge[0], edge[2]), ()), leaving[edge], arriving[edge])
        for edge in drawable
    )
    edge = [box.x + box.width for box in boxes.values()] + [x for way in bends.values() for x, _ in way]
    lowest = max((box.y + box.height for box in boxes.values()), default=0.0)
    width = max(edge, default=0.0) + MARGIN
    return Drawing(tuple(boxes.values()), lines, width, lowest + MARGIN, _in_words(boxes, edges))


def in_order(document: FlowDocument) -> list[str]:
    """The keys of the steps so that each stands behind those that lead to it; else as the document has them."""
    keys = [key for key, step in document.steps.items() if step.kind != "note"]
    place_of = {key: at for at, key in enumerate(keys)}
    edges = [(edge.source, edge.target) for edge in document.edges if edge.source in place_of and edge.target in place_of]
    depth = depths(keys, edges)
    return sorted(keys, key=lambda key: (depth[key], place_of[key]))


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


Slot = str | tuple[str, str, int]
"""What stands in a layer: a step, or the place where a long edge passes through (source, target, layer)."""


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
            layers[at].sort(key=lambda slot, near=near, layer=layers[at]: _middle(slot, links, near, len(layer)))  # type: ignore[misc]
    return layers


def _link(links: dict[Slot, list[Slot]], one: Slot, other: Slot) -> None:
    links.setdefault(one, []).append(other)
    links.setdefault(other, []).append(one)


def _middle(slot: Slot, links: Mapping[Slot, list[Slot]], near: Mapping[Slot, int], size: int) -> float:
    """Where the neighbours of a slot stand, on average; one without keeps to the end."""
    places = [near[other] for other in links.get(slot, ()) if other in near]
    return sum(places) / len(places) if places else float(size)


def place(boxes: Mapping[str, Box], layers: list[list[Slot]]) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """Gives each box its place, the layers centred on one another; gives the points at which long edges enter a layer."""
    widths = [sum(_wide(slot) for slot in layer) + GAP_X * max(len(layer) - 1, 0) for layer in layers]
    widest = max(widths, default=0.0)
    bends: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for at, layer in enumerate(layers):
        x, y = MARGIN + (widest - widths[at]) / 2, MARGIN + at * (HEIGHT + GAP_Y)
        for slot in layer:
            if isinstance(slot, str):
                boxes[slot].x, boxes[slot].y = x, y
            else:
                bends.setdefault((slot[0], slot[1]), []).append((x + _wide(slot) / 2, y))
            x += _wide(slot) + GAP_X
    return bends


def _wide(slot: Slot) -> float:
    return WIDTH if isinstance(slot, str) else PASSAGE


def _spread(edges: Iterable[tuple[str, str, str]], boxes: Mapping[str, Box], side: int) -> dict[tuple[str, str, str], float]:
    """For each edge the share of its box's width at which it leaves (side 0) or arrives (side 2), in the order of the far ends."""
    groups: dict[str, list[tuple[str, str, str]]] = {}
    for edge in edges:
        groups.setdefault(edge[side], []).append(edge)
    shares = {}
    for group in groups.values():
        group.sort(key=lambda edge: boxes[edge[2 - side]].x)
        for at, edge in enumerate(group):
            shares[edge] = (at + 1) / (len(group) + 1)
    return shares


def _down(source: Box, target: Box, port: str, bends: Iterable[tuple[float, float]], leaves: float, arrives: float) -> Line:
    """A curve from the bottom of one box to the top of another, straight through the layers that it passes."""
    x, y = source.x + source.width * leaves, source.y + source.height
    parts, label = [f"M{x:.1f} {y:.1f}"], (x + 5, y + 14)
    for bend_x, bend_y in bends:
        parts += [_curve_down(x, y, bend_x, bend_y), f"V{bend_y + HEIGHT:.1f}"]
        x, y = bend_x, bend_y + HEIGHT
    parts.append(_curve_down(x, y, target.x + target.width * arrives, target.y - 2))
    return _line(source, target, port, parts, label)


def _curve_down(x: float, y: float, to_x: float, to_y: float) -> str:
    reach = max((to_y - y) / 2, 8.0)
    return f"C{x:.1f} {y + reach:.1f} {to_x:.1f} {to_y - reach:.1f} {to_x:.1f} {to_y:.1f}"


def _across(source: Box, target: Box, port: str) -> Line:
    """A curve from the right side of one box to the left side of another."""
    x, y = source.x + source.width, source.y + source.height / 2
    to_x, to_y = target.x - 2, target.y + target.height / 2
    reach = max(abs(to_x - x) / 2, 24.0)
    curve = f"C{x + reach:.1f} {y:.1f} {to_x - reach:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"
    return _line(source, target, port, [f"M{x:.1f} {y:.1f}", curve], (x + 6, y - 5))


def _line(source: Box, target: Box, port: str, parts: list[str], label: tuple[float, float]) -> Line:
    said = "" if port in PORTS_UNSAID else port
    return Line(source.key, target.key, said, port, " ".join(parts), *label, bad=port in TROUBLE)


def _in_words(boxes: Mapping[str, Box], edges: Iterable[tuple[str, str, str]]) -> str:
    """The drawing for those who do not see it."""
    leads: dict[str, list[str]] = {}
    for source, port, target in edges:
        way = boxes[target].label if port in PORTS_UNSAID else f"{boxes[target].label} ({port})"
        leads.setdefault(source, []).append(way)
    sentences = [f"It begins with {', '.join(leads['start'])}." if "start" in leads else ""]
    sentences += [f"{box.label} leads to {', '.join(leads[key])}." for key, box in boxes.items() if key in leads]
    return " ".join(filter(None, sentences))


def _is_place(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(each, (int, float)) for each in value)
