"""Tests of a draft on a real engine: each option does what it says, and nothing of a test reaches what is published."""

from __future__ import annotations

import json
from typing import Any

import pytest

from approvals.reads import requests_in
from flows.access.actor import Actor
from flows.access.refusals import Forbidden, Invalid
from flows.builder.actions.publish_flow import publish_flow
from flows.engine.document import parse_document
from flows.execution.requests import AlreadyDecided
from flows.models import Attempt, AuditRow, Flow, Request, Run
from flows.routing.expecting import expected_cost
from flows.runs.actions.answer_test import NotYourTest, answer_test
from flows.runs.actions.pin_output import pin_output, unpin_output
from flows.runs.actions.repeat_run import DraftWasTested, repeat_run
from flows.runs.actions.start_run import start_run
from flows.runs.actions.start_test import DraftBroken, DraftMoved, start_test
from flows.runs.testing.results import result_of
from tests.engine.flows import source_of
from tests.execution.conftest import AddTool, Drive
from tests.execution.runs import approval, calls_of, error_of, finish, make_model, make_route, model, output_of, reach, tool
from tests.makers import make_actor, make_flow, make_run, make_team

RECEIPT = {"type": "object", "required": ["receipt"], "properties": {"receipt": {"type": "string", "examples": ["r-1"]}}}


def a_flow(steps: dict[str, Any], edges: list[str], **more: Any) -> Flow:
    more.setdefault("input", {"type": "object"})
    return make_flow(document=source_of(steps, edges, **more), published=False)


def refunded(amount: int) -> dict[str, Any]:
    return {"receipt": f"for {amount}"}


def builder() -> Actor:
    return make_actor("builder")


def ran(run: Run) -> list[str]:
    return list(Attempt.objects.filter(run=run, status="succeeded").order_by("seq").values_list("path", flat=True))


def test_the_draft_runs_as_it_is_and_counts_in_no_figure(drive: Drive) -> None:
    make_model()
    flow = a_flow({"ask": model("Say it")}, ["start -> ask"], output={"said": "{{ steps.ask.output }}"})
    drive()
    actor = builder()

    run = finish(start_test(actor, flow.slug, {}))

    assert run.purpose == "test"
    assert output_of(run)["said"]
    assert (run.version.number, run.version.title) == (None, "draft")
    assert run.spent > 0
    assert expected_cost(actor, flow, parse_document(flow.draft)) is None
    Flow.objects.filter(id=flow.id).update(draft=flow.draft.replace("Say it", "Say something else"))
    assert "Say it" in Run.objects.get(id=run.id).version.document
    row = AuditRow.objects.get(action="run.start", subject=run.public_id)
    assert row.data["purpose"] == "test"


def test_a_published_version_has_the_next_number_whatever_was_tested(drive: Drive) -> None:
    flow = a_flow({"a": {"kind": "set", "with": {"values": {"n": 1}}}}, ["start -> a"])
    drive()
    actor = builder()
    finish(start_test(actor, flow.slug, {}))

    assert publish_flow(actor, flow.slug).number == 1
    assert list(flow.versions.filter(number__isnull=False).values_list("number", flat=True)) == [1]


def test_real_models_are_called_only_where_that_is_chosen(drive: Drive) -> None:
    make_model("sim-a")
    make_model("sim-b", settings={"fail": "unavailable", "every": 1})
    make_model("large-1", model="openai/large-1", api_base="http://127.0.0.1:9/v1")
    make_route("careful", "large-1")
    flow = a_flow({"ask": model(route="careful")}, ["start -> ask"])
    drive()

    run = finish(start_test(builder(), flow.slug, {}))
    real = finish(start_test(builder(), flow.slug, {}, simulate=False))

    assert run.status == "succeeded", run.error
    assert [(call.target, call.simulated) for call in calls_of(run)] == [("sim-a", True)]
    assert real.status == "failed"
    assert [(call.target, call.simulated) for call in calls_of(real)] == [("large-1", False)]


def test_a_published_version_can_be_run_with_simulated_models(drive: Drive) -> None:
    make_model("sim-a")
    make_model("large-1", model="openai/large-1", api_base="http://127.0.0.1:9/v1")
    flow = make_flow(document=source_of({"ask": model(route="large-1")}, ["start -> ask"], input={"type": "object"}))
    drive()

    run = finish(start_run(make_actor("operator"), flow.slug, {}, simulate=True))

    assert (run.status, run.purpose) == ("succeeded", "live")
    assert [call.target for call in calls_of(run)] == ["sim-a"]


def test_nothing_is_simulated_where_no_model_is(drive: Drive) -> None:
    make_model("large-1", model="openai/large-1")
    flow = a_flow({"ask": model(route="large-1")}, ["start -> ask"])
    with pytest.raises(Invalid, match="cannot be started"):
        start_test(builder(), flow.slug, {})


def test_tools_that_write_are_dry_unless_they_are_switched_on(drive: Drive, add_tool: AddTool) -> None:
    make_model()
    sent: list[Any] = []
    read: list[Any] = []

    async def refund(amount: int) -> dict[str, Any]:
        sent.append(amount)
        return {"receipt": "real"}

    async def look(amount: int) -> dict[str, Any]:
        read.append(amount)
        return {"seen": amount}

    add_tool("refunds.create", refund, effect="write", repeat="keyed", result=RECEIPT)
    add_tool("orders.read", look)
    steps = {"see": tool("orders.read", {"amount": 7}), "pay": tool("refunds.create", {"amount": 7})}
    flow = a_flow(steps, ["start -> see", "see -> pay"], output={"receipt": "{{ steps.pay.output.receipt }}"})
    drive()

    run = finish(start_test(builder(), flow.slug, {}))

    assert (sent, read) == ([], [7])
    assert output_of(run) == {"receipt": "r-1"}
    call = calls_of(run, "pay")[0]
    assert (json.loads(call.request or ""), call.simulated, call.status) == ({"amount": 7}, True, "succeeded")
    assert call.reason.startswith("dry")

    again = finish(start_test(builder(), flow.slug, {}, real_tools=["refunds.create"]))
    assert sent == [7]
    assert output_of(again) == {"receipt": "real"}
    assert AuditRow.objects.get(action="run.start", subject=again.public_id).data["real_tools"] == ["refunds.create"]


def test_a_real_call_takes_what_publishing_takes(drive: Drive, add_tool: AddTool) -> None:
    make_model()
    add_tool("refunds.create", refunded, effect="write", repeat="keyed")
    steps = {"ask": approval(seals="pay"), "pay": tool("refunds.create", {"amount": 7})}
    flow = a_flow(steps, ["start -> ask", "ask.approve -> pay"])

    with pytest.raises(Invalid) as refusal:
        start_test(builder(), flow.slug, {}, real_tools=["refunds.create"])
    assert "sealed by the approval `ask`" in refusal.value.problems[0].message
    Flow.objects.filter(id=flow.id).update(needs_second=True)
    with pytest.raises(Invalid):
        start_test(builder(), flow.slug, {}, real_tools=["refunds.create"])
    with pytest.raises(Forbidden):
        start_test(make_actor("operator"), flow.slug, {})


def test_the_tester_decides_approvals_and_nobody_else_hears_of_them(drive: Drive, add_tool: AddTool) -> None:
    make_model()
    add_tool("refunds.create", refunded, effect="write", repeat="keyed", result=RECEIPT)
    steps = {"ask": approval(seals="pay"), "pay": tool("refunds.create", {"amount": 7})}
    flow = a_flow(steps, ["start -> ask", "ask.approve -> pay"], output={"by": "{{ steps.ask.output.by }}"})
    drive()
    tester, finance = builder(), make_actor("approver", team=make_team("finance"))

    run = reach(start_test(tester, flow.slug, {}), "waiting_approval")

    assert not requests_in(finance, "mine").exists()
    assert not requests_in(make_actor("owner"), "all").exists()
    with pytest.raises(NotYourTest):
        answer_test(builder(), run, "ask", "approve")
    with pytest.raises(Invalid):
        answer_test(tester, run, "ask", "perhaps")
    answer_test(tester, run, "ask", "approve")
    run = finish(run)
    assert output_of(run) == {"by": tester.name}
    assert ran(run) == ["ask", "pay"]
    with pytest.raises(AlreadyDecided):
        answer_test(tester, run, "ask", "reject")


def test_approvals_can_decide_themselves_and_waits_are_passed(drive: Drive) -> None:
    make_model()
    steps = {
        "rest": {"kind": "wait", "with": {"for": "2d"}},
        "ask": approval(),
        "yes": {"kind": "set", "with": {"values": {}}},
        "no": {"kind": "set", "with": {"values": {}}},
    }
    flow = a_flow(steps, ["start -> rest", "rest -> ask", "ask.approve -> yes", "ask.reject -> no"])
    drive()

    assert ran(finish(start_test(builder(), flow.slug, {}, decide="approve"))) == ["rest", "ask", "yes"]
    assert ran(finish(start_test(builder(), flow.slug, {}, decide="reject"))) == ["rest", "ask", "no"]
    assert not Request.objects.exists()
    assert reach(start_test(builder(), flow.slug, {}, skip_waits=False), "waiting").reason == "rest"


def test_a_pin_changes_the_test_and_not_the_next_published_run(drive: Drive) -> None:
    make_model()
    steps = {"ask": model("Say"), "end": {"kind": "set", "with": {"values": {"said": "{{ steps.ask.output }}"}}}}
    flow = a_flow(steps, ["start -> ask", "ask -> end"], output={"said": "{{ steps.end.output.said }}"})
    drive()
    actor = builder()
    pin_output(actor, flow.slug, "ask", "pinned words")

    run = finish(start_test(actor, flow.slug, {}))
    assert output_of(run) == {"said": "pinned words"}
    assert calls_of(run) == []

    publish_flow(actor, flow.slug)
    assert "pinned words" not in flow.versions.get(number=1).document
    live = finish(start_run(actor, flow.slug, {}))
    assert output_of(live)["said"] != "pinned words"
    assert live.handling is None

    unpin_output(actor, flow.slug, "ask")
    assert len(calls_of(finish(start_test(actor, flow.slug, {})))) == 1


def test_a_test_of_one_step_makes_no_call_before_or_after_it(drive: Drive) -> None:
    """Values of the steps before it: pinned, of the last test, of the last run, by the schema, in this order."""
    make_model()
    shaped = model("One", with_={"output": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}})
    steps = {
        "one": shaped,
        "two": model("Two {{ steps.one.output.n }}"),
        "three": model("Three {{ steps.two.output }}"),
        "four": model("Four {{ steps.three.output }}"),
    }
    flow = a_flow(steps, ["start -> one", "one -> two", "two -> three", "three -> four"])
    drive()
    actor = builder()

    only = finish(start_test(actor, flow.slug, {}, extent="only", step="two"))
    assert [call.path for call in calls_of(only)] == ["two"]
    assert "Two 1" in (calls_of(only)[0].request or "")  # by the schema

    whole = finish(start_test(actor, flow.slug, {}))
    said = json.loads(Attempt.objects.get(run=whole, path="two").output or "")
    third = finish(start_test(actor, flow.slug, {}, extent="only", step="three"))
    assert [call.path for call in calls_of(third)] == ["three"]
    assert said in json.loads(calls_of(third)[0].request or "")["messages"][0]["content"]

    pin_output(actor, flow.slug, "two", "pinned")
    pinned = finish(start_test(actor, flow.slug, {}, extent="only", step="three"))
    assert "Three pinned" in (calls_of(pinned)[0].request or "")


def test_up_to_here_runs_what_leads_there_and_nothing_else(drive: Drive) -> None:
    make_model()
    steps = {"one": model("One"), "side": model("Side"), "two": model("Two {{ steps.one.output }}"), "three": model("Three")}
    flow = a_flow(steps, ["start -> one", "start -> side", "one -> two", "two -> three", "side -> three"])
    drive()

    run = finish(start_test(builder(), flow.slug, {}, extent="to", step="two"))

    assert [call.path for call in calls_of(run)] == ["one", "two"]


def test_one_step_can_be_tested_while_others_are_unfinished(drive: Drive) -> None:
    make_model()
    steps = {"one": model("One"), "later": model("", route="")}
    flow = a_flow(steps, ["start -> one", "one -> later"])
    drive()
    actor = builder()

    with pytest.raises(DraftBroken) as refusal:
        start_test(actor, flow.slug, {})
    assert any("later" in each.place for each in refusal.value.problems)
    assert finish(start_test(actor, flow.slug, {}, extent="to", step="one")).status == "succeeded"


def test_a_step_behind_a_branch_is_reached_by_the_port_that_leads_there(drive: Drive) -> None:
    make_model()
    steps = {
        "which": {"kind": "branch", "with": {"cases": [{"when": "input.big", "port": "big"}], "else": "small"}},
        "large": model("Large"),
        "little": model("Little"),
    }
    flow = a_flow(steps, ["start -> which", "which.big -> large", "which.small -> little"])
    drive()

    run = finish(start_test(builder(), flow.slug, {"big": False}, extent="only", step="large"))

    assert [call.path for call in calls_of(run)] == ["large"]


def test_a_step_of_the_error_handler_is_tested_as_if_a_run_had_failed(drive: Drive) -> None:
    """Alone, with the steps before it, and with the failure of the newest run that failed; nothing else is carried out."""
    make_model()
    steps = {"first": model("First"), "which": branch("big", "input.big", "small"), "large": model("Large"), "little": model()}
    handler: dict[str, Any] = {
        "steps": {
            "sum_up": model("{{ error.step }}: {{ error.message }} after {{ steps.first.output }}"),
            "log": {"kind": "set", "with": {"values": {"said": "{{ steps.sum_up.output }}", "class": "{{ error.class }}"}}},
            "later": model("Later"),
        },
        "edges": ["start -> sum_up", "sum_up -> log", "log -> later"],
    }
    edges = ["start -> first", "first -> which", "which.big -> large", "which.small -> little"]
    flow = a_flow(steps, edges, on_error=handler)
    drive()
    actor = builder()

    only = finish(start_test(actor, flow.slug, {"big": False}, extent="only", step="error.log"))
    assert calls_of(only) == []
    assert (only.status, error_of(only)["step"]) == ("failed", "little")
    log = Attempt.objects.get(run=only, path="error.log")
    assert json.loads(log.output or "")["class"] == "unavailable"
    assert not Attempt.objects.filter(run=only, path="error.later").exists()
    assert (result_of(only).state, [each.source for each in result_of(only).steps if each.path == "little"]) == (
        "succeeded",
        ["supposed to fail"],
    )

    publish_flow(actor, flow.slug)
    flow.refresh_from_db()
    make_run(flow, status="failed", error=json.dumps({"step": "large", "class": "refused", "message": "Too large"}))
    to = finish(start_test(actor, flow.slug, {"big": False}, extent="to", step="error.log"))
    assert [call.path for call in calls_of(to)] == ["error.sum_up"]
    asked = json.loads(calls_of(to)[0].request or "")["messages"][-1]["content"]
    assert asked.startswith("large: Too large after ")
    again = finish(start_test(actor, flow.slug, {"big": False}, extent="only", step="error.log"))
    assert error_of(again)["step"] == "large", "what a test supposes is no failure of the flow"

    with pytest.raises(Invalid):
        start_test(actor, flow.slug, {}, extent="only", step="error.nothing")
    without = a_flow({}, [], on_error={"steps": {"log": handler["steps"]["log"]}, "edges": ["start -> log"]})
    with pytest.raises(Invalid):
        start_test(actor, without.slug, {}, extent="only", step="error.log")


def branch(port: str, when: str, otherwise: str) -> dict[str, Any]:
    return {"kind": "branch", "with": {"cases": [{"port": port, "when": when}], "else": otherwise}}


def test_what_a_test_gave_goes_into_no_other_run(drive: Drive) -> None:
    make_model()
    flow = a_flow({"ask": model()}, ["start -> ask"])
    drive()
    actor = builder()
    run = finish(start_test(actor, flow.slug, {}))

    with pytest.raises(DraftWasTested):
        repeat_run(actor, run, input={"other": 1})


def test_a_test_says_what_is_wrong_before_it_begins(drive: Drive) -> None:
    make_model()
    inner = {"body": {"steps": {"ask": model()}, "edges": ["start -> ask"]}, "over": "[1]"}
    flow = a_flow({"each": {"kind": "map", "with": inner}}, ["start -> each"])
    actor = builder()

    with pytest.raises(DraftMoved):
        start_test(actor, flow.slug, {}, revision=flow.revision + 1)
    with pytest.raises(Invalid) as refusal:
        start_test(actor, flow.slug, {}, extent="only", step="each.ask")
    assert refusal.value.problems[0].message == "`each.ask` stands inside `each`"
    assert (refusal.value.problems[0].mend or "").startswith("Test that")
    with pytest.raises(Invalid):
        pin_output(actor, flow.slug, "each.ask", 1)
    assert not Run.objects.exists()


def test_the_error_of_a_test_names_its_step(drive: Drive) -> None:
    make_model()
    flow = a_flow({"ask": model("Hello [[sim: fail=bad_request]]")}, ["start -> ask"])
    drive()

    run = finish(start_test(builder(), flow.slug, {}))

    assert (run.status, error_of(run)["step"]) == ("failed", "ask")
