"""The step kind `note`."""

from __future__ import annotations

from tests.engine.flows import make_flow


def test_it_needs_no_edge_and_takes_no_part():
    flow = make_flow({"n": {"kind": "note", "with": {"text": "Read me"}}, "a": {"kind": "set"}}, ["start -> a"])

    assert list(flow.graph.nodes) == ["a"]
