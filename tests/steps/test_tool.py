"""The step kind `tool`: its settings."""

from __future__ import annotations

from flows.engine.kinds import Catalogue
from tests.engine.flows import make_flow, problems_of

CATALOGUE = Catalogue(tools={"mail.send": {"type": "object", "required": ["to"], "properties": {"to": {}, "text": {}}}})


def test_its_arguments_must_be_those_of_the_tool():
    steps = {"a": {"kind": "tool", "with": {"tool": "mail.send", "arguments": {"txet": 1}}}}

    assert problems_of(steps, ["start -> a"], CATALOGUE) == [
        "steps.a.with.arguments: the tool `mail.send` needs the argument `to`. Add it",
        "steps.a.with.arguments.txet: the tool `mail.send` has no argument `txet`. Did you mean `text`?",
    ]


def test_its_arguments_keep_the_type_of_an_expression():
    steps = {"a": {"kind": "tool", "with": {"tool": "mail.send", "arguments": {"to": ["{{ input.n }}"]}}}}
    node = make_flow(steps, ["start -> a"], CATALOGUE).graph.nodes["a"]

    assert node.render({"input": {"n": 3}}) == {"tool": "mail.send", "arguments": {"to": [3]}}
