"""What approving is expected to spend: told from what earlier runs spent in the steps that it lets go on."""

from __future__ import annotations

import re
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from approvals.showing.ahead import ahead_of, spending_of
from flows.access.actor import Actor
from flows.models import Flow, Person, Request, Run
from tests.makers import make_flow, make_key, make_limit_question, make_person, make_request, make_run, make_team
from tests.runs.journals import make_call

pytestmark = pytest.mark.django_db

DOCUMENT = """\
orchestrator: 1
name: Refund
steps:
  think: {kind: model, with: {route: r, prompt: x}}
  ask: {kind: approval, with: {title: Refund, payload: {a: 1}, approvers: {teams: [finance]}}}
  pay: {kind: set, with: {values: {a: 1}}}
  tell: {kind: model, with: {route: r, prompt: x}}
  apologise: {kind: model, with: {route: r, prompt: x}}
  last: {kind: approval, with: {title: Done, payload: {a: 1}, approvers: {teams: [finance]}}}
  each:
    kind: map
    with:
      over: "[1, 2]"
      body:
        steps:
          polish:
            kind: loop
            with:
              until: "loop.round > 4"
              max: 5
              body:
                steps:
                  draft: {kind: model, with: {route: r, prompt: x}}
                  agree: {kind: approval, with: {title: Well, payload: {a: 1}, outcomes: {approve: approve, again: changes}}}
                edges: [start -> draft, draft -> agree]
          send: {kind: model, with: {route: r, prompt: x}}
        edges: [start -> polish, polish -> send]
  sum: {kind: model, with: {route: r, prompt: x}}
edges: [start -> think, think -> ask, ask.approve -> pay, pay -> tell, ask.reject -> apologise, tell -> last, start -> each, each -> sum]
"""
PLAIN = {"outcomes": {"approve": "approve", "reject": "reject"}}


@pytest.fixture
def flow() -> Flow:
    return make_flow("refund", document=DOCUMENT)


@pytest.fixture
def owner() -> Person:
    return make_person("owner")


def before(flow: Flow, *costs: tuple[str, str | None], **fields: Any) -> Run:
    """A run of old that spent this at these paths."""
    run = make_run(flow, status="succeeded")
    for path, cost in costs:
        make_call(run, path, cost=cost, **fields)
    return run


def asked(flow: Flow, path: str = "ask", **terms: Any) -> Request:
    return make_request(make_run(flow, status="waiting_approval"), path=path, terms=PLAIN | terms)


def told(person: Person, request: Request) -> dict[str, tuple[Decimal, int] | None]:
    spending = spending_of(Actor(person=person), request)
    return {name: (each.estimate.cost, each.estimate.runs) if each.estimate else None for name, each in spending.items()}


def test_it_is_the_median_of_what_followed_and_of_nothing_else(flow: Flow, owner: Person) -> None:
    for cost in ("0.002", "0.004", "0.009"):
        before(flow, ("think", "5"), ("tell", cost), ("apologise", "7"))
    before(flow, ("think", "5"), ("apologise", "7"))

    request = asked(flow)

    assert told(owner, request) == {"approve": (Decimal("0.004"), 3)}
    assert told(owner, asked(flow, "last")) == {"approve": None}
    assert ahead_of(asked(flow, "last"))["approve"].paths == ""
    assert ahead_of(asked(flow, "agent.turn[1].call[1]")) == {}


def test_in_a_map_it_is_that_of_one_item_and_another_round_that_of_the_rounds_so_far(flow: Flow, owner: Person) -> None:
    before(flow, ("each[0].send", "0.1"), ("each[1].send", "0.3"), ("each[2].send", "0.2"), ("sum", "9"))
    request = asked(flow, "each[1].polish[1].agree", outcomes={"approve": "approve", "again": "changes"})
    assert request.run is not None
    make_call(request.run, "each[1].polish[0].draft", cost="0.01")
    make_call(request.run, "each[1].polish[1].draft", cost="0.03")
    make_call(request.run, "each[0].polish[0].draft", cost="8")

    assert told(owner, request) == {"approve": (Decimal("0.2"), 3), "again": (Decimal("0.02"), 2)}


def test_page_api_and_command_say_it_to_those_who_may_see_costs(flow: Flow, owner: Person, capsys: Any) -> None:
    request = asked(flow)
    assert "approving spends what is not known yet" in shown(owner, request)
    before(flow, ("tell", "0.002"), simulated=True)
    before(flow, ("tell", "0.004"), ("tell[0].x", None), simulated=True)
    approver = make_person("approver", team=make_team("finance"))

    assert "approving spends ≥ $0.0030 sim (median of 2 earlier)" in shown(owner, request)
    assert "approving spends" not in shown(approver, request)
    assert "nothing more: no step follows" in shown(owner, asked(flow, "last"))
    for person, expected in (
        (owner, {"approve": {"cost": "0.003", "runs": 2, "simulated": True, "unpriced": True}}),
        (approver, {}),
    ):
        _, secret = make_key(person, "approvals:read", "costs:read")
        answer = Client().get(f"/api/v1/approvals/{request.public_id}", headers={"Authorization": f"Bearer {secret}"}).json()
        assert answer["expected"] == expected
    call_command("approval", "show", request.public_id, "--as", owner.username)
    assert "approve: spends at least $0.0030 sim (median of 2)" in capsys.readouterr().out


def test_a_command_keeps_the_figures_of_a_question_about_money_from_those_who_may_not_see_costs(capsys: Any) -> None:
    request = make_limit_question()

    call_command("approval", "show", request.public_id, "--as", make_person("viewer", username="viv").username)
    hidden = capsys.readouterr().out
    call_command("approval", "show", request.public_id, "--as", make_person("operator", username="op").username)

    assert "for those who may see costs" in hidden
    assert "0.42" not in hidden
    assert "0.42" in capsys.readouterr().out


def shown(person: Person, request: Request) -> str:
    client = Client()
    client.force_login(person)
    text = re.sub(r"<[^>]+>", "", client.get(f"/approvals/{request.public_id}").content.decode())
    return re.sub(r"\s+", " ", unescape(text))
