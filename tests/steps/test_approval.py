"""The step kind `approval`: what is refused when saving."""

from __future__ import annotations

from typing import Any

import pytest

from flows.engine.kinds import Catalogue, KnownPolicy
from tests.engine.flows import make_flow, problems_of

EDGES = ["start -> ask", "ask.approve -> pay"]


def steps(**settings: Any) -> dict[str, Any]:
    return {
        "ask": {"kind": "approval", "with": {"title": "Pay?", "approvers": {"teams": ["finance"]}, **settings}},
        "pay": {"kind": "tool", "with": {"tool": "refunds.create", "arguments": {"amount": 1}}},
    }


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"seals": "pya"}, "steps.ask.with.seals: `pya` is no tool step beside this one. Did you mean `pay`?"),
        ({"seals": "ask"}, "is no tool step"),
        (
            {"seals": "pay", "editable": ["amout"]},
            "steps.ask.with.editable[0]: `amout` is no field of the step `pay`. Did you mean `amount`?",
        ),
        ({"seals": "pay", "payload": {"a": 1}}, "not both"),
        ({"editable": ["a"]}, "there is nothing to edit"),
        ({"payload": {"a": 1}, "editable": ["b"]}, "`b` is no field of the payload"),
        ({"due": "4h", "at_deadline": "approve"}, "a deadline never approves. Choose one of `reject`, `escalate`"),
        ({"at_deadline": "reject"}, "there is no deadline"),
        ({"outcomes": {"reject": "reject"}}, "no outcome means approve"),
        ({"outcomes": {"error": "approve"}}, "`error` cannot be the name of a port"),
        ({"outcomes": {"approve": "yes"}}, "is not one of the choices"),
        ({"quorum": 0}, "it must be at least 1"),
        ({"quorum": 3, "approvers": {"people": ["a", "b"]}}, "3 votes are asked of 2 people"),
    ],
)
def test_it_refuses(settings, said):
    assert any(said in problem for problem in problems_of(steps(**settings), EDGES)), problems_of(steps(**settings), EDGES)


def test_the_policy_that_it_names_is_in_force_and_somebody_can_decide_by_it():
    known = {"refunds": KnownPolicy("Refunds"), "board": KnownPolicy("Board", problem="2 votes are needed and nobody may decide")}
    catalogue = Catalogue(tools={"refunds.create": {}}, policies=known)

    assert problems_of(steps(policy="refunds"), EDGES, catalogue) == []
    assert problems_of(steps(policy="refnds"), EDGES, catalogue) == [
        "steps.ask.with.policy: there is no policy `refnds` in force. Did you mean `refunds`?"
    ]
    (refused,) = problems_of(steps(policy="board"), EDGES, catalogue)
    assert "nobody could decide by the policy `board`: 2 votes are needed and nobody may decide" in refused
    assert problems_of(steps(policy="refnds"), EDGES) == []  # without a catalogue nobody can tell


def test_what_it_seals_must_follow_from_its_approval():
    edges = ["start -> ask", "ask.reject -> pay"]

    assert any("does not follow from an approval here" in problem for problem in problems_of(steps(seals="pay"), edges))


def test_its_ports_are_its_outcomes():
    settings = {
        "outcomes": {"approve": "approve", "later": "changes"},
        "seals": "pay",
        "editable": ["amount"],
        "due": "1d",
        "at_deadline": "escalate",
    }
    node = make_flow(steps(**settings), EDGES).graph.nodes["ask"]

    assert node.ports == {"approve", "later"}


def test_nobody_to_decide_is_a_warning():
    flow = make_flow(steps(approvers={}), EDGES)

    assert any("nobody is named" in warning.message for warning in flow.warnings)
