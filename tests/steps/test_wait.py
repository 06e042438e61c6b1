"""The step kind `wait`: its settings."""

from __future__ import annotations

import pytest

from tests.engine.flows import make_flow, problems_of


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "give one of `for`, `until` and `event`"),
        ({"for": "1h", "event": "x"}, "give one of"),
        ({"for": "an hour"}, "with.for: `an hour` is not a duration"),
        ({"until": "tomorrow"}, "with.until: `tomorrow` is not a time with its zone"),
        ({"until": "2030-01-01T00:00:00"}, "is not a time with its zone"),
        ({"for": "1h", "timeout": "2h"}, "belongs to a wait for an event"),
    ],
)
def test_it_refuses(settings, said):
    found = problems_of({"a": {"kind": "wait", "with": settings}}, ["start -> a"])

    assert any(said in problem for problem in found), found


@pytest.mark.parametrize(
    "settings",
    [{"for": "1h"}, {"for": "{{ input.pause }}"}, {"until": "2030-01-01T00:00:00Z"}, {"event": "paid", "timeout": "2d"}],
)
def test_it_accepts(settings):
    node = make_flow({"a": {"kind": "wait", "with": settings}}, ["start -> a"]).graph.nodes["a"]

    assert node.ports == {"done", "timeout"}
