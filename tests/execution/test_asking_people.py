"""What runs ask of people, wherever the step stands: it comes into the inbox, and the answer resumes the right step."""

from __future__ import annotations

import json
from typing import Any

import pytest

from approvals.actions.decide import decide
from approvals.actions.save_policy import save_policy
from approvals.deadlines import expire_due
from approvals.ladder import climb_due
from approvals.reads import requests_in, waiting_for
from approvals.taking_up import take_up_new
from flows.access.actor import Actor
from flows.models import AuditRow, Request, Run
from tests.engine.flows import source_of
from tests.execution.conftest import AddTool, Drive
from tests.execution.runs import approval, error_of, finish, output_of, reach, start, tool, until
from tests.makers import make_actor, make_flow, make_person, make_team

HOOKS = [take_up_new, expire_due, climb_due]


@pytest.fixture
def finance(transactional_db: None) -> list[Actor]:
    return [Actor(person=make_person("approver", username=name, team=make_team("finance"))) for name in ("ann", "bob")]


@pytest.fixture
def paid(add_tool: AddTool) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def pay(**arguments: Any) -> dict[str, Any]:
        sent.append(arguments)
        return {"paid": arguments["amount"]}

    add_tool("test.pay", pay, effect="write", repeat="keyed")
    return sent


def open_of(run: Run, count: int) -> list[Request]:
    def look() -> list[Request] | None:
        found = list(Request.objects.filter(run=run, state="pending").order_by("path"))
        return found if len(found) == count else None

    return until(look, within=20) or []


def test_fifty_items_of_a_map_ask_and_each_answer_resumes_its_own(drive: Drive, finance: list[Actor]) -> None:
    drive()
    body = {
        "steps": {"ask": approval(payload={"n": "{{ item }}"})},
        "edges": ["start -> ask"],
        "output": "{{ steps.ask.outcome }}",
    }
    run = start(
        {"each": {"kind": "map", "with": {"over": "input.numbers", "concurrency": 50, "body": body}}},
        ["start -> each"],
        {"numbers": list(range(50))},
        output="{{ steps.each.output }}",
    )

    found = open_of(run, 50)
    assert waiting_for(finance[0]) == requests_in(finance[0], "mine").count() == 50
    for request in found:
        number = json.loads(request.payload)["n"]
        assert request.path == f"each[{number}].ask"
        decide(finance[number % 2], request.id, "approve" if number % 3 else "reject", 1)

    assert output_of(finish(run, within=30)) == ["approve" if number % 3 else "reject" for number in range(50)]
    assert waiting_for(finance[0]) == 0


def test_parallel_branches_ask_side_by_side(drive: Drive, finance: list[Actor]) -> None:
    drive()
    steps = {f"p{n}": approval(payload={"n": n}) for n in range(3)}
    joined = {"kind": "set", "with": {"values": {"all": "{{ [steps.p0.outcome, steps.p1.outcome, steps.p2.outcome] }}"}}}
    edges = [f"start -> p{n}" for n in range(3)] + [f"p{n}.{port} -> j" for n in range(3) for port in ("approve", "reject")]
    run = start({**steps, "j": joined}, edges, output="{{ steps.j.output.all }}")

    for request, outcome in zip(reversed(open_of(run, 3)), ("approve", "reject", "approve"), strict=True):
        decide(finance[0], request.id, outcome, 1)

    assert output_of(finish(run)) == ["approve", "reject", "approve"]


def test_changes_go_back_round_by_round_with_their_text(drive: Drive, finance: list[Actor]) -> None:
    drive()
    body = {
        "steps": {
            "draft": {"kind": "set", "with": {"values": {"text": "{{ 'Draft after: ' + join(state.said, ', ') }}"}}},
            "ask": approval(
                payload={"text": "{{ steps.draft.output.text }}"},
                outcomes={"approve": "approve", "revise": "changes", "no": "reject"},
            ),
            "note": {"kind": "set", "with": {"state": {"said": "{{ state.said + [steps.ask.output.comment] }}"}}},
        },
        "edges": ["start -> draft", "draft -> ask", "ask.revise -> note"],
        "output": {"outcome": "{{ steps.ask.outcome }}", "text": "{{ steps.draft.output.text }}"},
    }
    loop = {"kind": "loop", "with": {"max": 3, "until": "steps.ask.outcome != 'revise'", "body": body}}
    run = start({"rounds": loop}, ["start -> rounds"], output="{{ steps.rounds.output }}", state={"said": []})

    for number, (outcome, comment) in enumerate((("revise", "shorter"), ("revise", "kinder"), ("approve", ""))):
        (request,) = open_of(run, 1)
        assert request.path == f"rounds[{number}].ask"
        decide(finance[0], request.id, outcome, 1, comment=comment)
        if outcome == "revise":
            until(lambda request=request: Request.objects.get(id=request.id).state == "changes_requested")

    assert output_of(finish(run)) == {"outcome": "approve", "text": "Draft after: shorter, kinder"}


def test_a_subflow_asks_in_the_run_that_called_it(drive: Drive, finance: list[Actor]) -> None:
    drive()
    inner = source_of(
        {"ask": approval(payload={"a": 1})}, ["start -> ask"], output="{{ steps.ask.outcome }}", input={"type": "object"}
    )
    make_flow("inner-flow", document=inner)
    run = start(
        {"call": {"kind": "subflow", "with": {"flow": "inner-flow", "input": {}}}},
        ["start -> call"],
        output="{{ steps.call.output }}",
    )

    (request,) = open_of(run, 1)
    assert request.path.endswith("ask")
    assert request in requests_in(finance[0], "mine")
    decide(finance[0], request.id, "reject", 1)

    assert output_of(finish(run)) == "reject"


# --- policies


def rules(**more: Any) -> dict[str, Any]:
    return {"teams": ["finance"], "tools": ["test.*"], "when": "payload.amount > 250", **more}


SEALED = {
    "ask": {"kind": "approval", "with": {"title": "Pay?", "seals": "pay", "editable": ["amount"]}},
    "pay": tool("test.pay", {"amount": "{{ input.amount }}"}),
}
EDGES = ["start -> ask", "ask.approve -> pay"]


@pytest.fixture
def ruled(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> Drive:
    """Engines whose steps know the policies, as the product puts them together."""
    from approvals.policies.ruling import rule_on
    from flows.steps.services import StepServices

    plain = StepServices.__init__
    monkeypatch.setattr(
        StepServices, "__init__", lambda self, kinds, redis, rule=None: plain(self, kinds, redis, rule or rule_on)
    )
    return drive


def test_POL_1_an_open_request_keeps_the_version_under_which_it_was_asked(
    ruled: Drive, finance: list[Actor], paid: list[Any]
) -> None:
    owner = make_actor("owner")
    save_policy(owner, "payments", "Payments", rules(quorum=2))
    ruled(hooks=HOOKS)
    run = start(SEALED, EDGES, {"amount": 300}, output="{{ steps.pay.output }}")
    (request,) = open_of(run, 1)
    save_policy(owner, "payments", "Payments", rules(quorum=1))

    assert not decide(finance[0], request.id, "approve", 1).closed
    assert decide(finance[1], request.id, "approve", 1).closed

    assert output_of(finish(run)) == {"paid": 300}
    request.refresh_from_db()
    assert (request.terms["policy_version"], request.terms["values"]) == (1, {"amount": 300})
    row = AuditRow.objects.get(action="approval.request", subject=request.public_id)
    assert row.data["policy"] == "payments v1"


def test_where_the_condition_does_not_hold_nobody_is_asked_and_the_seal_holds(
    ruled: Drive, finance: list[Actor], paid: list[Any]
) -> None:
    save_policy(make_actor("owner"), "payments", "Payments", rules())
    ruled()

    run = finish(start(SEALED, EDGES, {"amount": 100}, output="{{ steps.ask.output }}"))

    assert output_of(run) == {
        "outcome": "approve",
        "payload": {"amount": 100},
        "comment": "",
        "by": None,
        "unasked": "payments v1",
    }
    assert paid == [{"amount": 100}]
    assert not Request.objects.exists()


def test_what_nobody_was_asked_about_may_not_change_on_the_way(ruled: Drive, finance: list[Actor], paid: list[Any]) -> None:
    save_policy(make_actor("owner"), "payments", "Payments", rules())
    ruled()
    steps = {
        "ask": SEALED["ask"],
        "change": {"kind": "set", "with": {"state": {"amount": 9000}}},
        "pay": tool("test.pay", {"amount": "{{ state.amount }}"}),
    }
    steps["ask"] = {"kind": "approval", "with": {"title": "Pay?", "seals": "pay"}}

    run = finish(start(steps, ["start -> ask", "ask.approve -> change", "change -> pay"], state={"amount": 100}))

    assert (run.status, run.reason) == ("failed", "seal_broken")
    assert paid == []


def test_a_step_that_names_a_policy_which_is_not_in_force_fails_in_words(ruled: Drive, finance: list[Actor]) -> None:
    ruled()

    run = finish(start({"ask": approval(payload={"a": 1}, policy="ghost")}, ["start -> ask"]))

    assert run.status == "failed"
    assert "no policy 'ghost' in force" in error_of(run)["message"]


def test_APR_7_an_edit_in_a_quorum_is_what_the_tool_receives(ruled: Drive, finance: list[Actor], paid: list[Any]) -> None:
    save_policy(make_actor("owner"), "payments", "Payments", rules(quorum=2))
    ruled()
    run = start(SEALED, EDGES, {"amount": 420})
    (request,) = open_of(run, 1)

    decide(finance[0], request.id, "approve", 1, {"amount": 400})
    decide(finance[1], request.id, "approve", 2)

    finish(run)
    assert paid == [{"amount": 400}]


def test_APR_8_the_last_rung_of_a_ladder_rejects(ruled: Drive, finance: list[Actor], paid: list[Any]) -> None:
    ladder = [{"after": "100ms", "act": "remind"}, {"after": "300ms", "act": "reject"}]
    save_policy(make_actor("owner"), "payments", "Payments", rules(ladder=ladder))
    ruled(hooks=HOOKS)

    run = finish(start(SEALED, EDGES, {"amount": 420}, output="{{ steps.ask.outcome }}"))

    assert output_of(run) == "reject"
    assert Request.objects.get().state == "expired"
    assert paid == []


def test_a_cancelled_run_takes_its_request_out_of_every_box(drive: Drive, finance: list[Actor]) -> None:
    from flows.runs.actions.cancel_run import cancel_run

    drive()
    run = start({"ask": approval(payload={"a": 1})}, ["start -> ask"])
    open_of(run, 1)
    reach(run, "waiting_approval")

    cancel_run(make_actor("operator"), run)

    assert waiting_for(finance[0]) == 0
    assert Request.objects.get(run=run).state == "withdrawn"
