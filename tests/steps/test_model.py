"""The step kind `model`: its settings."""

from __future__ import annotations

import pytest

from tests.engine.flows import make_flow, problems_of


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"prompt": "x"}, "with.route: `route` is missing"),
        ({"route": "r"}, "give either `prompt` or `messages`"),
        ({"route": "r", "prompt": "x", "messages": [{"role": "user", "content": "y"}]}, "give either"),
        ({"route": "r", "promt": "x"}, "with.promt: unknown key `promt`. Did you mean `prompt`?"),
        ({"route": "r", "prompt": "x", "output": {"type": "x"}}, "with.output: at type: this is not JSON Schema"),
        ({"route": "r", "prompt": "x", "temperature": 3}, "at most 2"),
        ({"route": "r", "prompt": "x", "cache": "no"}, "with.cache: this must be true or false"),
        (
            {"route": "r", "messages": [{"role": "robot", "content": "y"}]},
            "with.messages[0].role: `robot` is not one of the choices",
        ),
        (
            {"route": "r", "messages": [{"role": "user", "content": "{{ x. }}"}]},
            "with.messages[0].content: this is not an expression",
        ),
    ],
)
def test_it_refuses(settings, said):
    found = problems_of({"a": {"kind": "model", "with": settings}}, ["start -> a"])

    assert any(said in problem for problem in found), found


def test_its_messages_are_templates():
    settings = {"route": "r", "messages": [{"role": "user", "content": "About {{ input.x }}"}]}
    node = make_flow({"a": {"kind": "model", "with": settings}}, ["start -> a"]).graph.nodes["a"]

    assert node.render({"input": {"x": "it"}})["messages"] == [{"role": "user", "content": "About it"}]
