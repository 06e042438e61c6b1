"""The graph of a run: each box of the flow's drawing with how far its step has come."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flows.engine.courses import HANDLER
from flows.engine.drawing import Box, Drawing
from flows.runs.items import Body, Insides, beside, in_document
from flows.runs.progress import StepLine, top_level


@dataclass(frozen=True, slots=True)
class Node:
    """A box and the state of its step; `step` is the path that it leads to, empty for the frame of the error handler. A step of a body
    has the state that says most over all items, and leads to the first item with it, or to the item that is looked at. `line` is that of
    a step outside bodies, `body` of one inside that has begun."""

    box: Box
    state: str
    step: str
    current: bool
    line: StepLine | None = None
    body: Body | None = None


def nodes_of(drawing: Drawing, lines: Iterable[StepLine], insides: Insides, chosen: str, *, ended: bool) -> list[Node]:
    """The boxes in the order in which they are drawn. `chosen` is the path of the run that is looked at."""
    known = {line.path: line for line in lines}
    current, idle = in_document(chosen), "skipped" if ended else "queued"
    nodes = []
    for box in drawing.boxes:
        line, body = known.get(box.key), insides.steps.get(box.key)
        if box.kind == HANDLER:
            begun = any(path.startswith(f"{HANDLER}.") for path in known)
            node = Node(box, "" if begun else idle, "", current=False)
        elif line is not None:
            node = Node(box, line.state, box.key, box.key == current, line)
        elif body is not None:
            node = Node(box, body.state, beside(box.key, chosen) or body.first[body.state], box.key == current, body=body)
        else:
            node = Node(box, idle, beside(box.key, chosen) or top_level(box.key), box.key == current)
        nodes.append(node)
    return nodes
