"""The step kind `remember`: its settings."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.flows import problems_of


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "steps.keep.with.values"),
        ({"values": {}}, "steps.keep.with.values"),
        ({"values": {"Not a name": 1}}, "steps.keep.with.values"),
        ({"values": {"a": 1}, "scope": "world"}, "steps.keep.with.scope"),
        ({"values": {"a": 1}, "scope": "key"}, "steps.keep.with: give `key` with the scope `key`, and only there"),
        ({"values": {"a": 1}, "key": "k"}, "steps.keep.with: give `key` with the scope `key`, and only there"),
        ({"values": {"a": 1}, "expires": "soon"}, "steps.keep.with.expires: `soon` is not a duration"),
        ({"values": {"a": "{{ steps.gone.output }}"}}, "steps.keep.with.values.a"),
    ],
)
def test_what_is_wrong_is_said_where_it_stands(settings: dict[str, Any], said: str) -> None:
    (problem, *_) = problems_of({"keep": {"kind": "remember", "with": settings}}, ["start -> keep"])

    assert problem.startswith(said), problem


def test_what_it_keeps_is_known_to_the_steps_behind_it() -> None:
    steps = {
        "keep": {"kind": "remember", "with": {"values": {"a": 1}, "scope": "key", "key": "k {{ run.id }}", "expires": "30d"}},
        "after": {"kind": "set", "with": {"values": {"x": "{{ steps.keep.output.b }}"}}},
    }

    assert problems_of(steps, ["start -> keep", "keep -> after"]) == [
        "steps.after.with.values.x: `steps.keep.output.b` does not exist. Known here: `a`"
    ]
