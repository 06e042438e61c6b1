"""The step kind `loop`: its settings."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.flows import make_flow, problems_of

BODY = {
    "steps": {"x": {"kind": "set", "with": {"values": {"n": "{{ loop.round }}"}}}},
    "edges": ["start -> x"],
    "output": {"n": "{{ steps.x.output.n }}"},
}


def steps(**settings: Any) -> dict[str, Any]:
    given = {"until": "steps.x.output.n > 1", "max": 3, "body": BODY, **settings}
    return {
        "again": {"kind": "loop", "with": {name: value for name, value in given.items() if value is not None}},
        "after": {"kind": "set", "with": {"values": {"x": "{{ steps.again.output.n }}"}}},
    }


EDGES = ["start -> again", "again -> after", "again.limit -> after"]


def body(expression: str) -> dict[str, Any]:
    return {**BODY, "steps": {"x": {"kind": "set", "with": {"values": {"n": f"{{{{ {expression} }}}}"}}}}}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"max": 0}, "steps.again.with.max: 0 is out of bounds"),
        ({"max": 10_001}, "steps.again.with.max: 10001 is out of bounds"),
        ({"until": "steps.x.outptu"}, "steps.again.with.until: `steps.x.outptu` does not exist"),
        ({"until": "steps.after.output"}, "steps.again.with.until: `steps.after` does not come before `again`"),
        ({"until": "loop.rounds"}, "steps.again.with.until: `loop.rounds` does not exist"),
        ({"until": "{{ true }}"}, "Write the expression without braces here"),
        ({"body": body("loop.previous.m")}, "`loop.previous.m` does not exist. Known here: `n`"),
        ({"body": body("item")}, "`item` exists only in the body of a map"),
        ({"body": {**BODY, "output": {"m": 1}}}, "`steps.again.output.n` does not exist. Known here: `m`"),
        ({"body": {"steps": {}, "edges": []}}, "with.body.steps: there are no steps"),
    ],
)
def test_it_refuses(settings, said):
    found = problems_of(steps(**settings), EDGES)

    assert any(said in problem for problem in found), found


def test_a_loop_without_max_is_one_clear_error():
    found = problems_of(steps(max=None), EDGES)

    assert found == ["steps.again.with.max: `max` is missing. Add it"]


def test_until_may_be_left_out_and_may_use_what_only_the_body_has():
    assert problems_of(steps(until=None), EDGES) == []
    assert problems_of(steps(until="loop.previous.n == 2 and loop.round < 9"), EDGES) == []


def test_its_body_is_a_graph_of_its_own():
    node = make_flow(steps(), EDGES).graph.nodes["again"]

    assert node.body is not None
    assert node.body.start == ("x",)
    assert node.ports == {"done", "limit"}
