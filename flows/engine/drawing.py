"""How the steps of a flow are drawn: layers from top to bottom, found from the edges, or the places that the document gives.

From top to bottom, because a flow is rather long than wide: so it fits beside the list of steps, and on a phone. A map or loop is a
frame around its body, and so is the flow's error handler. The result is plain numbers in pixels, which the pages draw.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from flows.engine.courses import HANDLER
from flows.engine.document import Body, FlowDocument, Handler, body_of
from flows.engine.layering import APART, Placed, depths, layered, placed

WIDTH, HEIGHT = 196.0, 48.0  # of a step, and of a frame's head
PAD = 16.0  # between a frame and what it holds
MARGIN = 16.0
REACH = 4.0  # pixels by which a port's name may stand out of the drawing
LETTER = 6.5  # pixels of a port's name
PORTS_UNSAID = frozenset({"done", "start"})
TROUBLE = frozenset({"error", "fail", "timeout", "limit"})
FAILING: Final = "When the run fails"


@dataclass(slots=True)
class Box:
    """One step and where it stands (its upper left corner). `key` is its path in the document, `rate.assess` for a step in the body of
    `rate`. A `frame` has a head as large as a step and stands around what it holds; the one of the error handler has the kind
    ``error``, which is no step."""

    key: str
    label: str
    kind: str
    x: float = 0.0
    y: float = 0.0
    width: float = WIDTH
    height: float = HEIGHT
    frame: bool = False

    @property
    def head(self) -> float:
        """How high what says its name is."""
        return HEIGHT


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
    """A flow as it is drawn. A frame stands before what it holds in `boxes`."""

    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    width: float
    height: float
    words: str = field(default="")

    @property
    def frames(self) -> tuple[Box, ...]:
        """What is drawn first, so that edges and steps lie upon it."""
        return tuple(box for box in self.boxes if box.frame)

    @property
    def steps(self) -> tuple[Box, ...]:
        """The boxes that stand for a step: all but the frame of the error handler."""
        return tuple(box for box in self.boxes if box.kind != HANDLER)


def label_of(key: str, label: str | None) -> str:
    """What a step is called: its label, or its key in words."""
    return label or key.replace("_", " ").capitalize()


def in_order(document: FlowDocument) -> list[str]:
    """The keys of the steps so that each stands behind those that lead to it; else as the document has them."""
    keys = [key for key, step in document.steps.items() if step.kind != "note"]
    place_of = {key: at for at, key in enumerate(keys)}
    edges = [(edge.source, edge.target) for edge in document.edges if edge.source in place_of and edge.target in place_of]
    depth = depths(keys, edges)
    return sorted(keys, key=lambda key: (depth[key], place_of[key]))


def drawn(document: FlowDocument) -> Drawing:
    """The flow with the bodies of its maps and loops, and with its error handler. Notes are left out."""
    places = {path: (value[0], value[1]) for path, value in document.layout.items() if _is_place(value)}
    by_hand = _are_placed(document, "", places)
    flow = _Part(document, "", places, down=not by_hand)
    if document.on_error is not None:
        flow.hold_below(_Part(document.on_error, HANDLER, places, down=not by_hand))
    boxes = tuple(flow.spread(MARGIN, MARGIN))
    lines = tuple(flow.lines())
    right = [box.x + box.width for box in boxes] + [x for way in flow.ways.passages.values() for x, _, _ in way]
    right += [line.label_x + LETTER * len(line.port) - MARGIN + REACH for line in lines if line.port]
    low = max((box.y + box.height for box in boxes), default=0.0)
    return Drawing(boxes, lines, max(right, default=0.0) + MARGIN, low + MARGIN, flow.in_words)


Places = Mapping[str, tuple[float, float]]
"""Where the canvas has steps, by their paths."""


class _Part:
    """The steps of a flow, of a body or of the error handler. Their places count from its corner until it is spread out.

    `down`: in layers from top to bottom. Otherwise as on the canvas, where edges go to the right: at the places that the layout has
    where it has all of them, else in layers."""

    def __init__(self, part: FlowDocument | Body | Handler, scope: str, places: Places, *, down: bool) -> None:
        self.down = down
        self.boxes: dict[str, Box] = {}
        self.inner: dict[str, _Part] = {}
        for key, step in part.steps.items():
            if step.kind == "note":
                continue
            path = f"{scope}.{key}" if scope else key
            self.boxes[key] = Box(path, label_of(key, step.label), step.kind)
            body = body_of(step)
            if body is not None:
                self._frame(key, _Part(body, path, places, down=down))
        edges = dict.fromkeys((edge.source, edge.port, edge.target) for edge in part.edges if edge.target in self.boxes)
        self.begins = [target for source, _, target in edges if source == "start"]
        self.edges = [edge for edge in edges if edge[0] in self.boxes]
        self.ways = Placed()
        if not down and _are_placed(part, scope, places):
            for box in self.boxes.values():
                box.x, box.y = places[box.key]
        else:
            self._lay_out()
        self._move_to_the_corner()

    @property
    def width(self) -> float:
        return max((box.x + box.width for box in self.boxes.values()), default=0.0)

    @property
    def height(self) -> float:
        return max((box.y + box.height for box in self.boxes.values()), default=0.0)

    @property
    def in_words(self) -> str:
        """The drawing for those who do not see it."""
        leads: dict[str, list[str]] = {}
        for source, port, target in self.edges:
            way = self.boxes[target].label if port in PORTS_UNSAID else f"{self.boxes[target].label} ({port})"
            leads.setdefault(source, []).append(way)
        begins = ", ".join(self.boxes[key].label for key in self.begins)
        sentences = [f"It begins with {begins}." if begins else ""]
        sentences += [f"{box.label} leads to {', '.join(leads[key])}." for key, box in self.boxes.items() if key in leads]
        for key, part in self.inner.items():
            said = f"{FAILING}" if key == HANDLER else f"Inside {self.boxes[key].label}"
            sentences.append(f"{said}: {part.in_words or ', '.join(box.label for box in part.boxes.values())}")
        return " ".join(filter(None, sentences))

    def hold_below(self, handler: _Part) -> None:
        """Takes in the error handler, as a frame below everything."""
        if not handler.boxes:
            return
        self.boxes[HANDLER] = Box(HANDLER, FAILING, HANDLER)
        low, wide = self.height, self.width
        self._frame(HANDLER, handler)
        box = self.boxes[HANDLER]
        box.y = low + APART if len(self.boxes) > 1 else 0.0
        if not self.down:
            return
        box.x = (wide - box.width) / 2
        self._move_to_the_corner()

    def spread(self, left: float, top: float) -> Iterator[Box]:
        """Gives everything its place in the drawing, with the corner there."""
        self._move(left, top)
        for key, box in self.boxes.items():
            yield box
            if key in self.inner:
                part = self.inner[key]
                yield from part.spread(box.x + (box.width - part.width) / 2, box.y + HEIGHT + PAD)

    def lines(self) -> Iterator[Line]:
        """The edges between what has been spread out, those of bodies too."""
        leaving, arriving = self._shares(0), self._shares(2)
        for edge in self.edges:
            source, target = self.boxes[edge[0]], self.boxes[edge[2]]
            if self.down:
                bends = self.ways.passages.get((edge[0], edge[2]), ())
                yield _down(source, target, edge[1], bends, self.ways.ends[edge[0]], leaving[edge], arriving[edge])
            else:
                yield _across(source, target, edge[1])
        for part in self.inner.values():
            yield from part.lines()

    def _frame(self, key: str, part: _Part) -> None:
        if part.boxes:
            box = self.boxes[key]
            box.frame, self.inner[key] = True, part
            box.width, box.height = max(WIDTH, part.width + 2 * PAD), HEIGHT + part.height + 2 * PAD

    def _lay_out(self) -> None:
        layers = layered(self.boxes, [(source, target) for source, _, target in self.edges])
        self.ways = placed({key: (box.width, box.height) for key, box in self.boxes.items()}, layers, down=self.down)
        for key, box in self.boxes.items():
            box.x, box.y = self.ways.corners[key]

    def _move_to_the_corner(self) -> None:
        xs, ys = [box.x for box in self.boxes.values()], [box.y for box in self.boxes.values()]
        self._move(-min(xs, default=0.0), -min(ys, default=0.0))

    def _move(self, right: float, down: float) -> None:
        for box in self.boxes.values():
            box.x, box.y = box.x + right, box.y + down
        for edge, way in self.ways.passages.items():
            self.ways.passages[edge] = [(x + right, begin + down, end + down) for x, begin, end in way]
        self.ways.ends = {key: end + down for key, end in self.ways.ends.items()}

    def _shares(self, side: int) -> dict[tuple[str, str, str], float]:
        """For each edge the share of its box's width at which it leaves (side 0) or arrives (side 2), in the order of the far ends."""
        groups: dict[str, list[tuple[str, str, str]]] = {}
        for edge in self.edges:
            groups.setdefault(edge[side], []).append(edge)
        shares = {}
        for group in groups.values():
            group.sort(key=lambda edge: self.boxes[edge[2 - side]].x)
            for at, edge in enumerate(group):
                shares[edge] = (at + 1) / (len(group) + 1)
        return shares


def _are_placed(part: FlowDocument | Body | Handler, scope: str, places: Places) -> bool:
    """Whether the layout has a place for every step of the part."""
    paths = [f"{scope}.{key}" if scope else key for key, step in part.steps.items() if step.kind != "note"]
    return bool(paths) and places.keys() >= set(paths)


def _is_place(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(each, (int, float)) for each in value)


Passages = Iterable[tuple[float, float, float]]


def _down(source: Box, target: Box, port: str, bends: Passages, floor: float, leaves: float, arrives: float) -> Line:
    """A curve from the bottom of one box to the top of another, straight through the layers that it passes; `floor` is where the layer
    of the first ends."""
    x, y = source.x + source.width * leaves, source.y + source.height
    parts, label = [f"M{x:.1f} {y:.1f}"], (x + 5, y + 14)
    if floor > y:
        parts.append(f"V{floor:.1f}")
        y = floor
    for bend_x, begin, end in bends:
        parts += [_curve_down(x, y, bend_x, begin), f"V{end:.1f}"]
        x, y = bend_x, end
    parts.append(_curve_down(x, y, target.x + target.width * arrives, target.y - 2))
    return _line(source, target, port, parts, label)


def _curve_down(x: float, y: float, to_x: float, to_y: float) -> str:
    reach = max((to_y - y) / 2, 8.0)
    return f"C{x:.1f} {y + reach:.1f} {to_x:.1f} {to_y - reach:.1f} {to_x:.1f} {to_y:.1f}"


def _across(source: Box, target: Box, port: str) -> Line:
    """A curve from the right side of one box to the left side of another; a frame is left and reached at its head."""
    x, y = source.x + source.width, source.y + source.head / 2
    to_x, to_y = target.x - 2, target.y + target.head / 2
    reach = max(abs(to_x - x) / 2, 24.0)
    curve = f"C{x + reach:.1f} {y:.1f} {to_x - reach:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"
    return _line(source, target, port, [f"M{x:.1f} {y:.1f}", curve], (x + 6, y - 5))


def _line(source: Box, target: Box, port: str, parts: list[str], label: tuple[float, float]) -> Line:
    said = "" if port in PORTS_UNSAID else port
    return Line(source.key, target.key, said, port, " ".join(parts), *label, bad=port in TROUBLE)
