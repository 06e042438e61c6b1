"""The step kind `subflow`: its settings, and what is known of the flow that it runs."""

from __future__ import annotations

from typing import Any

import pytest

from flows.engine.kinds import Catalogue, KnownFlow
from tests.engine.flows import make_flow, problems_of

INPUT = {"type": "object", "required": ["topic"], "properties": {"topic": {}, "tone": {}}, "additionalProperties": False}
CATALOGUE = Catalogue(flows={"write": KnownFlow(2, True, INPUT, frozenset({"text"})), "new": KnownFlow(0, False)})
EDGES = ["start -> sub", "sub -> after"]


def steps(read: str = "text", **settings: Any) -> dict[str, Any]:
    return {
        "sub": {"kind": "subflow", "with": {"flow": "write", "input": {"topic": "cats"}, **settings}},
        "after": {"kind": "set", "with": {"values": {"x": f"{{{{ steps.sub.output.{read} }}}}"}}},
    }


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"flow": "wrte"}, "steps.sub.with.flow: there is no flow `wrte` that this one may use. Did you mean `write`?"),
        ({"flow": "new"}, "steps.sub.with.flow: the flow `new` is not published. Publish it first"),
        ({"version": 3}, "steps.sub.with.version: `write` has no version 3. Its newest is 2"),
        ({"version": 0}, "steps.sub.with.version: 0 is out of bounds"),
        ({"input": {}}, "steps.sub.with.input: the flow `write` needs the input `topic`. Add it"),
        (
            {"input": {"topic": 1, "ton": 2}},
            "steps.sub.with.input.ton: the flow `write` has no input `ton`. Did you mean `tone`?",
        ),
        ({"input": "cats"}, "steps.sub.with.input"),
        ({"input": {"topic": "{{ steps.after.output }}"}}, "`steps.after` does not come before `sub`"),
        ({"read": "texts"}, "`steps.sub.output.texts` does not exist. Did you mean `text`?"),
    ],
)
def test_it_refuses(settings, said):
    found = problems_of(steps(**settings), EDGES, CATALOGUE)

    assert any(said in problem for problem in found), found


def test_it_takes_what_fits():
    assert problems_of(steps(), EDGES, CATALOGUE) == []


def test_of_a_fixed_version_only_its_number_is_checked():
    assert problems_of(steps("anything", version=1, input={}), EDGES, CATALOGUE) == []


def test_without_a_server_it_is_a_warning():
    flow = make_flow(steps(), EDGES, Catalogue())

    assert [warning.message for warning in flow.warnings] == ["the flow `write` cannot be checked without a server"]
