"""The step kind `set`."""

from __future__ import annotations

from flows.engine.kinds import Done, PureKind
from tests.engine.flows import make_flow


def test_it_gives_its_values_and_changes_the_state():
    settings = {
        "values": {"n": "{{ input.n + 1 }}", "t": "n is {{ input.n }}"},
        "state": {"seen": "{{ state.seen + [input.n] }}"},
    }
    node = make_flow({"a": {"kind": "set", "with": settings}}, ["start -> a"], state={"seen": []}).graph.nodes["a"]
    names = {"input": {"n": 1}, "state": {"seen": [0]}}
    assert isinstance(node.kind, PureKind)

    done = node.kind.evaluate(node.settings, node.render(names), names)

    assert done == Done({"n": 2, "t": "n is 1"}, "done", {"seen": [0, 1]})


def test_its_output_has_the_fields_of_its_values():
    node = make_flow({"a": {"kind": "set", "with": {"values": {"n": 1}}}}, ["start -> a"]).graph.nodes["a"]

    assert node.kind.output_schema(node.settings) == {"type": "object", "properties": {"n": {}}}
