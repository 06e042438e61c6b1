"""The step kind `retrieve`: its settings, and what is known of what it gives."""

from __future__ import annotations

from typing import Any

import pytest

from flows.engine.kinds import Catalogue
from tests.engine.flows import problems_of

CATALOGUE = Catalogue(bases=frozenset({"handbook"}))


def steps(read: str = "[0].text", **settings: Any) -> dict[str, Any]:
    return {
        "look": {"kind": "retrieve", "with": {"base": "handbook", "query": "{{ input.q }}", **settings}},
        "after": {"kind": "set", "with": {"values": {"x": f"{{{{ steps.look.output{read} }}}}"}}},
    }


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"base": "handbok"},
            "steps.look.with.base: the knowledge base `handbok` is not in the catalogue. Did you mean `handbook`?",
        ),
        ({"top": 0}, "steps.look.with.top: 0 is out of bounds"),
        ({"min_score": 1.5}, "steps.look.with.min_score: 1.5 is out of bounds"),
        ({"query": ""}, "steps.look.with.query"),
        ({"limit": 3}, "steps.look.with"),
        ({"read": "[0].title"}, "steps.after.with.values.x: `steps.look.output[0].title` does not exist"),
    ],
)
def test_what_is_wrong_is_said_where_it_stands(settings: dict[str, Any], said: str) -> None:
    (problem, *_) = problems_of(steps(**settings), ["start -> look", "look -> after"], CATALOGUE, input={"type": "object"})

    assert problem.startswith(said), problem


def test_what_it_finds_has_an_id_a_text_a_source_and_a_score() -> None:
    for field in ("id", "text", "source", "score"):
        found = problems_of(steps(read=f"[0].{field}"), ["start -> look", "look -> after"], CATALOGUE, input={"type": "object"})
        assert found == []
