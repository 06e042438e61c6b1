"""The step kind `map`: its settings."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.flows import make_flow, problems_of

BODY = {
    "steps": {"x": {"kind": "set", "with": {"values": {"n": "{{ one }}"}}}},
    "edges": ["start -> x"],
    "output": {"n": "{{ steps.x.output.n }}"},
}


def steps(**settings: Any) -> dict[str, Any]:
    return {
        "each": {"kind": "map", "with": {"over": "input.list", "as": "one", "body": BODY, **settings}},
        "after": {
            "kind": "set",
            "with": {"values": {"x": "{{ [item.n for item in steps.each.output] }}", "y": "{{ steps.each.output[0].n }}"}},
        },
    }


EDGES = ["start -> each", "each -> after"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"over": "input."}, "steps.each.with.over: this is not an expression"),
        ({"over": "{{ input.list }}"}, "Write the expression without braces here"),
        ({"concurrency": 0}, "with.concurrency: 0 is out of bounds"),
        ({"as": "Item"}, "with.as: `Item` cannot name the item"),
        ({"on_item_error": "skip"}, "is not one of the choices"),
        ({"body": {"steps": {}, "edges": []}}, "with.body.steps: there are no steps"),
        ({"body": {"stesp": {}}}, "with.body.stesp: unknown key `stesp`. Did you mean `steps`?"),
        ({"body": {**BODY, "output": {"m": 1}}}, "`steps.each.output[0].n` does not exist. Known here: `m`"),
        ({"on_item_error": "collect"}, "`steps.each.output[0].n` does not exist"),
    ],
)
def test_it_refuses(settings, said):
    found = problems_of(steps(**settings), EDGES)

    assert any(said in problem for problem in found), found


def test_its_body_is_a_graph_of_its_own():
    node = make_flow(steps(), EDGES).graph.nodes["each"]

    assert node.body is not None
    assert node.body.start == ("x",)
    assert node.body.output is not None
    assert node.settings.as_ == "one"
    assert node.settings.concurrency == 10


def test_bodies_may_be_nested_but_not_without_end():
    def nested(depth: int) -> dict[str, Any]:
        inner = {"x": {"kind": "set"}} if depth == 0 else {"x": nested(depth - 1)}
        return {"kind": "map", "with": {"over": "[1]", "body": {"steps": inner, "edges": ["start -> x"], "output": 1}}}

    assert problems_of({"m": nested(2)}, ["start -> m"]) == []
    assert any("nested more than" in problem for problem in problems_of({"m": nested(8)}, ["start -> m"]))
