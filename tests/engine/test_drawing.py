"""How a flow is drawn."""

from __future__ import annotations

import pytest

from flows.engine.document import FlowDocument, load_document
from flows.engine.drawing import HEIGHT, WIDTH, Box, drawn, in_order


def flow(edges: list[str], *steps: str, **more: object) -> FlowDocument:
    kinds = {step: {"kind": "set", "with": {"values": {"a": 1}}} for step in steps}
    return load_document({"orchestrator": 1, "name": "F", "steps": kinds, "edges": edges, **more})


def boxes(document: FlowDocument) -> dict[str, Box]:
    return {box.key: box for box in drawn(document).boxes}


def test_each_step_stands_below_those_that_lead_to_it() -> None:
    placed = boxes(flow(["start -> a", "a -> b", "a -> c", "b -> d", "c -> d", "a -> d"], "d", "c", "b", "a"))

    assert placed["a"].y < placed["b"].y == placed["c"].y < placed["d"].y
    assert abs(placed["b"].x - placed["c"].x) >= WIDTH


def test_no_two_steps_overlap_and_all_lie_within_the_drawing() -> None:
    names = [f"s{at}" for at in range(12)]
    edges = ["start -> s0", *(f"s0 -> s{at}" for at in range(1, 8)), *(f"s{at} -> s{at + 4}" for at in range(4, 8)), "s1 -> s11"]
    drawing = drawn(flow(edges, *names))

    for at, one in enumerate(drawing.boxes):
        assert 0 <= one.x <= drawing.width - one.width
        assert 0 <= one.y <= drawing.height - one.height
        for other in drawing.boxes[at + 1 :]:
            assert abs(one.x - other.x) >= WIDTH or abs(one.y - other.y) >= HEIGHT


def test_a_long_edge_passes_beside_the_steps_between() -> None:
    drawing = drawn(flow(["start -> a", "a -> b", "b -> c", "a -> c"], "a", "b", "c"))
    long = next(line for line in drawing.lines if (line.source, line.target) == ("a", "c"))
    between = next(box for box in drawing.boxes if box.key == "b")

    straight = float(long.path.split("V")[0].split()[-2])
    assert not between.x <= straight <= between.x + between.width


def test_ports_are_named_and_trouble_is_marked() -> None:
    drawing = drawn(flow(["start -> a", "a -> b", "a.error -> c"], "a", "b", "c"))

    assert [(line.target, line.port, line.bad) for line in drawing.lines] == [("b", "", False), ("c", "error", True)]
    assert drawing.words == "It begins with A. A leads to B, C (error)."


def test_the_places_of_the_document_are_taken_where_all_steps_have_one() -> None:
    placed = boxes(flow(["start -> a", "a -> b"], "a", "b", layout={"a": [300, 40], "b": [500, 90]}))

    assert (placed["b"].x - placed["a"].x, placed["b"].y - placed["a"].y) == (200, 50)


@pytest.mark.parametrize("steps", [(), ("only",)])
def test_a_flow_of_nothing_or_one_step_is_drawn(steps: tuple[str, ...]) -> None:
    assert len(drawn(flow([f"start -> {step}" for step in steps], *steps)).boxes) == len(steps)


def test_the_order_of_the_steps_follows_the_edges() -> None:
    assert in_order(flow(["start -> b", "b -> a", "b -> c"], "a", "b", "c")) == ["b", "a", "c"]


def nested(**more: object) -> FlowDocument:
    """A loop within a map beside a step, and an error handler of two steps."""
    inner = {"kind": "loop", "with": {"max": 2, "until": "true", "body": body("try", "weigh")}}
    each = {"kind": "map", "label": "Each one", "with": {"over": "input.list", "body": body("polish", "keep", polish=inner)}}
    steps = {"each": each, "aside": SET, "last": SET}
    handler = {"steps": {"tell": SET, "log": SET}, "edges": ["start -> tell", "tell -> log"]}
    edges = ["start -> each", "start -> aside", "each -> last", "aside -> last"]
    return load_document({"orchestrator": 1, "name": "F", "steps": steps, "edges": edges, "on_error": handler, **more})


SET = {"kind": "set", "with": {"values": {"a": 1}}}


def body(first: str, second: str, **steps: object) -> dict[str, object]:
    return {"steps": {first: SET, second: SET, **steps}, "edges": [f"start -> {first}", f"{first} -> {second}"]}


BY_HAND = {"each": [0, 0], "aside": [0, 600], "last": [1300, 0], "each.polish": [28, 4], "each.keep": [800, 4]}


@pytest.mark.parametrize("layout", [{}, BY_HAND], ids=["in layers", "by hand"])
def test_frames_stand_around_what_they_hold_and_around_nothing_else(layout: dict[str, object]) -> None:
    drawing = drawn(nested(layout=layout))
    placed = {box.key: box for box in drawing.boxes}

    assert list(placed) == [
        *("each", "each.polish", "each.polish.try", "each.polish.weigh", "each.keep", "aside", "last"),
        *("error", "error.tell", "error.log"),
    ]
    assert [box.key for box in drawing.frames] == ["each", "each.polish", "error"]
    for path, box in placed.items():
        for other, frame in placed.items():
            if path.startswith(f"{other}."):
                assert frame.x < box.x
                assert box.x + box.width < frame.x + frame.width
                assert frame.y + frame.head < box.y
                assert box.y + box.height < frame.y + frame.height
            elif path != other and not other.startswith(f"{path}."):
                assert apart(box, frame), (path, other)
    assert all(box.x > 0 and box.x + box.width < drawing.width and box.y + box.height < drawing.height for box in placed.values())
    assert placed["error"].y > max(box.y + box.height for key, box in placed.items() if not key.startswith("error"))
    assert [(line.source, line.target) for line in drawing.lines] == [
        *(("each", "last"), ("aside", "last"), ("each.polish", "each.keep"), ("each.polish.try", "each.polish.weigh")),
        ("error.tell", "error.log"),
    ]


def apart(one: Box, other: Box) -> bool:
    across = one.x + one.width <= other.x or other.x + other.width <= one.x
    return across or one.y + one.height <= other.y or other.y + other.height <= one.y


def test_the_words_tell_what_is_inside() -> None:
    words = drawn(nested()).words

    assert "Inside Each one: It begins with Polish. Polish leads to Keep. Inside Polish: It begins with Try." in words
    assert words.endswith("When the run fails: It begins with Tell. Tell leads to Log.")
