"""Approvals: the run rests while people think, and what they approved is what is sent."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from approvals.deadlines import expire_due
from flows.models import AllowedHost, Attempt, Event, Flow, FlowVersion, Request, Run, ToolEntry
from flows.runs.actions.deliver_event import deliver_event
from tests.engine.flows import source_of
from tests.execution.conftest import AddTool, Drive
from tests.execution.runs import (
    approval,
    calls_of,
    decided,
    error_of,
    finish,
    output_of,
    reach,
    request_of,
    start,
    tool,
    types_of,
    until,
)
from tests.makers import make_actor
from tests.servers.effect_server import EffectServer
from tests.servers.loopback import running

SEALED = {
    "ask": approval(seals="pay", editable=["amount"]),
    "pay": tool("test.pay", {"amount": "{{ input.amount }}", "to": "{{ input.to }}"}),
}
EDGES = ["start -> ask", "ask.approve -> pay"]
GIVEN = {"amount": 420, "to": "a-1"}


@pytest.fixture
def paid(add_tool: AddTool) -> list[dict[str, Any]]:
    """What the tool `test.pay` was called with."""
    sent: list[dict[str, Any]] = []

    async def pay(**arguments: Any) -> dict[str, Any]:
        sent.append(arguments)
        return {"paid": arguments["amount"]}

    add_tool("test.pay", pay, effect="write", repeat="keyed")
    return sent


def test_a_waiting_run_has_no_owner_and_wakes_when_it_is_decided(drive: Drive, paid: list[Any]) -> None:
    engine = drive()

    run = start(SEALED, EDGES, GIVEN, output="{{ steps.pay.output }}")
    request = request_of(run)
    parked = Run.objects.get(id=run.id)
    assert (parked.owner, parked.wake_at, parked.reason, parked.open_calls) == (None, None, "ask", 0)
    assert run.id not in engine.drivers
    decided(request)

    run = finish(run)
    assert output_of(run) == {"paid": 420}
    assert paid == [GIVEN]
    assert run.epoch == 2


def test_the_request_shows_what_the_sealed_step_would_send(drive: Drive, paid: list[Any]) -> None:
    drive()

    request = request_of(start(SEALED, EDGES, GIVEN))

    assert json.loads(request.payload) == GIVEN
    assert request.terms["seals"] == "pay"
    assert request.terms["tool"] == "test.pay"
    assert request.title == "May it?"
    assert paid == []


def test_an_edited_payload_is_what_the_sealed_tool_sends(drive: Drive, paid: list[Any]) -> None:
    drive()
    run = start(SEALED, EDGES, GIVEN)

    decided(request_of(run), payload={**GIVEN, "amount": 400})

    finish(run)
    assert paid == [{**GIVEN, "amount": 400}]
    assert json.loads(calls_of(run, "pay")[0].request or "") == {**GIVEN, "amount": 400}


def test_a_rejection_leaves_by_its_port_and_nothing_is_sent(drive: Drive, paid: list[Any]) -> None:
    drive()
    run = start(SEALED, EDGES, GIVEN, output="{{ steps.ask.outcome }}")

    decided(request_of(run), "reject", comment="too much")

    assert output_of(finish(run)) == "reject"
    assert paid == []
    assert "step.skipped" in types_of(run)


def parked_behind_a_second_question(drive: Drive) -> Run:
    """A run whose sealed approval has been given and stands in its journal, and which waits before the sealed step."""
    steps = {
        "ask": approval(seals="pay", editable=["amount"]),
        "hold": {"kind": "wait", "with": {"event": "go"}},
        "pay": tool("test.pay", {"amount": "{{ input.amount }}", "to": "{{ input.to }}"}),
    }
    run = start(steps, ["start -> ask", "ask.approve -> hold", "hold -> pay"], GIVEN)
    decided(request_of(run))
    return reach(run, "waiting")


def tamper(run: Run, **changes: Any) -> None:
    attempt = Attempt.objects.get(run_id=run.id, path="ask")
    output = json.loads(attempt.output or "")
    output["payload"] |= changes
    Attempt.objects.filter(id=attempt.id).update(output=json.dumps(output))


def go(run: Run) -> Run:
    deliver_event(make_actor("operator"), run, "go")
    return finish(run)


def test_an_approved_payload_that_was_tampered_with_breaks_the_seal(drive: Drive, paid: list[Any]) -> None:
    drive()
    run = parked_behind_a_second_question(drive)

    tamper(run, to="mallory")
    run = go(run)

    assert (run.status, run.reason) == ("failed", "seal_broken")
    assert "not what was approved at ask" in error_of(run)["message"]
    assert paid == []
    assert calls_of(run, "pay") == []


def test_an_editable_field_that_was_tampered_with_breaks_the_seal_too(drive: Drive, paid: list[Any]) -> None:
    drive()
    run = parked_behind_a_second_question(drive)

    tamper(run, amount=999_999)
    run = go(run)

    assert (run.status, run.reason) == ("failed", "seal_broken")
    assert paid == []


def test_a_sealed_step_whose_arguments_changed_since_does_not_send_them(drive: Drive, paid: list[Any]) -> None:
    steps = {
        "ask": approval(seals="pay"),
        "hold": {"kind": "wait", "with": {"event": "go"}},
        "change": {"kind": "set", "with": {"state": {"to": "b-2"}}},
        "pay": tool("test.pay", {"amount": 1, "to": "{{ state.to }}"}),
    }
    drive()
    run = start(steps, ["start -> ask", "ask.approve -> hold", "hold -> change", "change -> pay"], state={"to": "a-1"})
    decided(request_of(run))

    run = go(reach(run, "waiting"))

    assert run.reason == "seal_broken"
    assert paid == []


def test_a_deadline_rejects_and_never_approves(drive: Drive, paid: list[Any]) -> None:
    drive(hooks=[expire_due])
    steps = {**SEALED, "ask": approval(seals="pay", due="200ms", at_deadline="reject")}

    run = finish(start(steps, EDGES, GIVEN, output="{{ [steps.ask.outcome, steps.ask.output.by] }}"))

    assert output_of(run) == ["reject", None]
    assert Request.objects.get(run=run).state == "expired"
    assert paid == []


def test_two_approvals_side_by_side_wait_for_both(drive: Drive) -> None:
    drive()
    steps = {"p": approval(payload=1), "q": approval(payload=2), "j": {"kind": "set", "with": {"values": {}}}}
    run = start(steps, ["start -> p", "start -> q", "p.approve -> j", "q.approve -> j"])
    reach(run, "waiting_approval")
    first, second = Request.objects.filter(run=run).order_by("id")

    decided(first)
    reach(run, "waiting_approval", "running", "queued")
    decided(second)

    assert finish(run).status == "succeeded"
    assert Event.objects.filter(run_id=run.id, type="step.waiting").count() == 2


def test_a_decision_that_is_made_while_a_call_is_in_flight_is_heard(drive: Drive, add_tool: AddTool) -> None:
    async def slow() -> str:
        await asyncio.sleep(0.3)
        return "done"

    add_tool("test.slow", slow)
    drive()
    run = start(
        {"p": approval(payload=1), "s": tool("test.slow"), "t": tool("test.slow")}, ["start -> p", "start -> s", "p.approve -> t"]
    )
    decided(until(lambda: Request.objects.filter(run=run).first()))

    run = finish(run)
    assert run.status == "succeeded"
    assert run.epoch == 1


def test_an_approved_payment_is_made_once_over_http_with_its_key(drive: Drive) -> None:
    with running(EffectServer()) as server:
        assert isinstance(server, EffectServer)
        AllowedHost.objects.create(host=server.host)
        ToolEntry.objects.create(
            slug="test.pay",
            kind="http",
            effect="write",
            repeat="keyed",
            settings={"url": f"{server.base}/pay", "idempotency_header": "Idempotency-Key"},
        )
        server.behaves("late")
        drive()
        pay = {**SEALED["pay"], "retry": {"attempts": 2, "first": "10ms"}}
        run = start({**SEALED, "pay": pay}, EDGES, GIVEN, output="{{ steps.pay.output.id }}")
        decided(request_of(run), payload={**GIVEN, "amount": 7})

        run = finish(run)

        assert output_of(run) == "effect_1"
        assert [effect["body"] for effect in server.effects] == [{**GIVEN, "amount": 7}]
        assert [call.status for call in calls_of(run, "pay")] == ["unknown", "succeeded"]
        assert {asked["key"] for asked in server.asked} == {str(calls_of(run, "pay")[0].idempotency_key)}


def test_a_run_that_waits_goes_on_with_the_version_that_it_began_with(drive: Drive, paid: list[Any]) -> None:
    drive()
    run = start(SEALED, EDGES, GIVEN, output="{{ steps.pay.output }}")
    request = request_of(run)
    reach(run, "waiting_approval")
    flow = Flow.objects.get(id=run.flow_id)
    other = source_of({"ask": approval(payload={"amount": 1})}, ["start -> ask"], input={"type": "object"})
    flow.published = FlowVersion.objects.create(flow=flow, number=2, document=other, hash="1" * 64)
    flow.save()

    decided(request)

    assert output_of(finish(run)) == {"paid": 420}
    assert paid == [{"amount": 420, "to": "a-1"}]
