"""What happens at a limit: people are asked, cheaper models are called, the run finishes with what there is, or it stops."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from approvals.actions.decide import decide
from flows.access.refusals import Forbidden, Invalid
from flows.models import AuditRow, Request, Run
from flows.runs.actions.raise_limits import raise_limits
from flows.runs.limits import AboveCeiling
from tests.execution.conftest import AddTool, Drive
from tests.execution.runs import (
    approval,
    calls_of,
    error_of,
    finish,
    make_model,
    make_route,
    model,
    output_of,
    reach,
    start,
    tool,
    types_of,
    until,
)
from tests.makers import make_actor

DEAR = ("0", "100000")  # a token of output costs ten cents


def ten(prompt: str = "[[sim: say=x]]", route: str = "sim-a", **more: Any) -> dict[str, Any]:
    """A step of which a dollar is reserved and ten cents are spent."""
    return model(prompt, route, with_={"max_output": 10}, **more)


def chain(count: int) -> tuple[dict[str, Any], list[str]]:
    steps = {f"s{n}": ten(f"[[sim: say=x]] {n}") for n in range(count)}
    return steps, ["start -> s0", *(f"s{n} -> s{n + 1}" for n in range(count - 1))]


def parallel(count: int, **directives: Any) -> tuple[dict[str, Any], list[str]]:
    told = " ".join(f"[[sim: {name}={what}]]" for name, what in {"delay": 0.05, **directives}.items())
    return {f"b{n}": ten(f"{told} {n}") for n in range(count)}, [f"start -> b{n}" for n in range(count)]


def question_of(run: Run, kind: str = "budget") -> Request:
    """The run's one open question, once it rests on it."""
    reach(run, "waiting_approval")
    return Request.objects.get(run=run, state="pending", kind=kind)


def chosen(request: Request, outcome: str, payload: Any = None, role: str = "owner") -> None:
    decide(make_actor(role), request.id, outcome, request.revision, payload)


# ---------------------------------------------------------------------- pause


def test_at_its_limit_the_run_rests_and_asks_those_who_operate_it(drive: Drive) -> None:
    make_model(price=DEAR)
    engine = drive()

    run = start(*chain(3), limits={"cost": "1.05"})  # the second is refused: ten cents are spent, and a dollar is needed
    asked = question_of(run)

    run.refresh_from_db()
    assert (run.status, run.reason, run.owner, run.open_calls, run.reserved) == ("waiting_approval", "budget", None, 0, 0)
    assert run.id not in engine.drivers
    payload = json.loads(asked.payload)
    assert payload == {
        "limit": {"of": "run", "which": "cost", "amount": "1.05"},
        "spent": "0.1",
        "needed": "1",
        "by_step": [{"step": "s0", "cost": "0.1", "tokens": payload["by_step"][0]["tokens"], "calls": 1}],
        "expected": None,
    }
    assert list(asked.outcomes) == ["raise", "cheaper", "finish", "stop"]
    assert (asked.path, asked.title) == ("", f"Run #{run.number} has reached its limit on cost")
    assert "request.asked" in types_of(run)


def test_a_raise_begins_what_found_no_room(drive: Drive) -> None:
    make_model(price=DEAR)
    drive()
    run = start(*chain(3), limits={"cost": "1.05"}, output="{{ steps.s2.output }}")

    chosen(question_of(run), "raise", {"limit": "2.00"})

    run = finish(run)
    assert output_of(run) == "x"
    assert (run.cap_cost, run.spent, len(calls_of(run))) == (Decimal(2), Decimal("0.3"), 3)
    row = AuditRow.objects.get(action="run.raise_limits")
    assert row.data["limits"] == {"cost": {"from": "1.05", "to": "2"}}
    assert run.steps == 3  # those that were put back count once


def test_a_raise_that_is_too_small_asks_again(drive: Drive) -> None:
    make_model(price=DEAR)
    drive()
    run = start(*chain(3), limits={"cost": "1.05"})
    chosen(question_of(run), "raise", {"limit": "1.15"})

    second = until(lambda: Request.objects.filter(run=run, state="pending", round=2).first())

    assert json.loads(second.payload)["limit"]["amount"] == "1.15"
    chosen(second, "stop")
    run = finish(run)
    assert (run.status, run.reason, run.at_limit) == ("budget_stopped", "cost", "stop")
    assert len(calls_of(run)) == 2


def test_sixteen_branches_that_reach_the_limit_together_ask_once_and_all_go_on(drive: Drive) -> None:
    make_model(price=DEAR)
    steps, edges = parallel(16, tokens=40)  # each costs the whole dollar that is reserved
    drive()
    run = start(steps, edges, limits={"cost": 4})

    asked = question_of(run)
    run.refresh_from_db()
    assert (run.spent, len(calls_of(run))) == (4, 4)
    chosen(asked, "raise", {"limit": 16})

    run = finish(run)
    assert run.status == "succeeded"
    assert (run.spent, len(calls_of(run)), run.steps) == (16, 16, 16)
    assert Request.objects.filter(run=run).count() == 1
    assert run.spent <= (run.cap_cost or 0)


def test_what_needs_no_money_goes_on_while_the_run_asks(drive: Drive, add_tool: AddTool) -> None:
    make_model(price=DEAR)
    done: list[str] = []

    async def note() -> str:
        done.append("noted")
        return "noted"

    add_tool("test.note", note)
    drive()
    steps = {"dear": ten(), "free": tool("test.note"), "ask": approval(), "after": tool("test.note")}
    run = start(steps, ["start -> dear", "start -> free", "start -> ask", "ask.approve -> after"], limits={"cost": "0.5"})
    asked = question_of(run)
    assert done == ["noted"]

    sealed = Request.objects.get(run=run, kind="approval")
    from tests.execution.runs import decided

    decided(sealed)
    until(lambda: len(done) == 2)

    until(lambda: reach(run, "waiting_approval").reason == "budget")
    assert Request.objects.get(id=asked.id).state == "pending"
    assert Request.objects.filter(run=run, kind="budget").count() == 1


def test_cheaper_as_an_answer(drive: Drive) -> None:
    make_model("dear", price=DEAR)
    make_model("cheap", price=("0", "1000"))
    make_route("both", "dear", "cheap")
    drive()
    run = start({"a": ten(route="both"), "b": ten(route="both")}, ["start -> a", "a -> b"], limits={"cost": "1.05"})

    chosen(question_of(run), "cheaper", role="operator")

    run = finish(run)
    assert run.status == "succeeded"
    assert [call.target for call in calls_of(run)] == ["dear", "cheap"]
    assert (run.saving, run.at_limit) == (True, "cheaper")


def test_finish_as_an_answer(drive: Drive) -> None:
    make_model(price=DEAR)
    drive()
    steps, edges = chain(2)
    run = start(
        steps, edges, limits={"cost": "1.05"}, output={"first": "{{ steps.s0.output }}", "second": "{{ steps.s1.output }}"}
    )

    chosen(question_of(run), "finish")

    run = finish(run)
    assert (run.status, run.reason) == ("succeeded", "limited")
    assert output_of(run) == {"first": "x", "second": None}


def test_a_limit_on_tokens_asks_too(drive: Drive) -> None:
    make_model()
    drive()
    run = start(*chain(3), limits={"tokens": 25})

    asked = question_of(run)
    assert json.loads(asked.payload)["limit"] == {"of": "run", "which": "tokens", "amount": 25}
    chosen(asked, "raise", {"limit": 10_000})

    assert finish(run).status == "succeeded"


def test_a_limit_on_steps_asks_too(drive: Drive) -> None:
    make_model()
    drive()
    run = start(*chain(3), limits={"steps": 2})

    asked = question_of(run)
    assert json.loads(asked.payload)["limit"] == {"of": "run", "which": "steps", "amount": 2}
    assert "cheaper" not in asked.outcomes
    chosen(asked, "raise", {"limit": 3})

    run = finish(run)
    assert (run.status, run.steps) == ("succeeded", 3)


def test_a_question_about_money_is_withdrawn_when_the_run_is_cancelled(drive: Drive) -> None:
    from flows.runs.actions.cancel_run import cancel_run

    make_model(price=DEAR)
    drive()
    run = start(*chain(2), limits={"cost": "0.5"})
    asked = question_of(run)

    cancel_run(make_actor("operator"), Run.objects.select_related("flow").get(id=run.id))

    assert finish(run).status == "cancelled"
    asked.refresh_from_db()
    assert asked.state == "withdrawn"


# ---------------------------------------------------------------------- cheaper, finish


def test_cheaper_calls_the_cheapest_that_fits_from_then_on(drive: Drive) -> None:
    make_model("dear", price=DEAR)
    make_model("middle", price=("0", "50000"))
    make_model("cheap", price=("0", "1000"))
    make_route("all", "dear", "middle", "cheap")
    drive()
    steps = {name: ten(route="all") for name in "abc"}

    run = finish(start(steps, ["start -> a", "a -> b", "b -> c"], limits={"cost": "1.05", "at_limit": "cheaper"}))

    assert run.status == "succeeded"
    assert [call.target for call in calls_of(run)] == ["dear", "cheap", "cheap"]
    assert calls_of(run)[1].reason == "cheaper candidate of all: a limit has no room for the first"
    assert types_of(run).count("run.saving") == 1
    assert run.saving


def test_where_nothing_is_cheaper_the_run_stops(drive: Drive) -> None:
    make_model(price=DEAR)
    drive()

    run = finish(start(*chain(2), limits={"cost": "1.05", "at_limit": "cheaper"}))

    assert (run.status, run.reason) == ("budget_stopped", "cost")
    assert "No candidate of sim-a is cheaper" in error_of(run)["message"]


def test_where_the_cheapest_does_not_fit_the_run_stops(drive: Drive) -> None:
    make_model("dear", price=DEAR)
    make_model("cheap", price=("0", "90000"))
    make_route("both", "dear", "cheap")
    drive()

    run = finish(start({"a": ten(route="both")}, ["start -> a"], limits={"cost": "0.5", "at_limit": "cheaper"}))

    assert (run.status, run.reason, calls_of(run)) == ("budget_stopped", "cost", [])


def test_finish_ends_with_what_there_is(drive: Drive) -> None:
    make_model(price=DEAR)
    steps, edges = parallel(6, tokens=40)
    drive()
    output = {"answers": "{{ [steps.b0.output, steps.b1.output] }}"}

    run = finish(start(steps, edges, limits={"cost": 3, "at_limit": "finish"}, output=output))

    assert (run.status, run.reason, len(calls_of(run))) == ("succeeded", "limited", 3)
    assert run.spent == 3


def test_finish_stops_where_the_output_cannot_be_made(drive: Drive) -> None:
    make_model(price=DEAR)
    drive()

    run = finish(start(*chain(2), limits={"cost": "1.05", "at_limit": "finish"}, output="{{ steps.s1.output + 1 }}"))

    assert (run.status, run.reason) == ("budget_stopped", "cost")
    assert error_of(run)["step"] == "output"


def test_finish_holds_for_steps_and_for_time(drive: Drive) -> None:
    make_model(settings={"delay": 5})
    make_model("quick")
    drive()

    late = start(
        {"a": model("slow")}, ["start -> a"], limits={"duration": "300ms", "at_limit": "finish"}, output="{{ steps.a.output }}"
    )
    few = start(
        {"a": model(route="quick"), "b": model(route="quick")},
        ["start -> a", "a -> b"],
        limits={"steps": 1, "at_limit": "finish"},
    )

    for run in (finish(late), finish(few)):
        assert (run.status, run.reason) == ("succeeded", "limited")


# ---------------------------------------------------------------------- a step's own limits


def test_a_steps_limit_asks_and_holds_back_only_that_step(drive: Drive) -> None:
    make_model(price=DEAR)
    drive()
    run = start({"a": ten(limits={"cost": "0.5"}), "b": ten()}, ["start -> a", "start -> b"], output="{{ steps.a.output }}")

    asked = question_of(run)
    assert (asked.path, json.loads(asked.payload)["limit"]) == ("a", {"of": "step", "which": "cost", "amount": "0.5"})
    assert [call.path for call in calls_of(run)] == ["b"]
    chosen(asked, "raise", {"limit": "1.5"})

    assert output_of(finish(run)) == "x"


@pytest.mark.parametrize(
    ("outcome", "ended"),
    [("finish", ("succeeded", "limited")), ("stop", ("budget_stopped", "cost of a")), ("cheaper", ("succeeded", ""))],
)
def test_the_other_choices_at_a_steps_limit(drive: Drive, outcome: str, ended: tuple[str, str]) -> None:
    make_model("dear", price=DEAR)
    make_model("cheap", price=("0", "1000"))
    make_route("both", "dear", "cheap")
    drive()
    run = start({"a": ten(route="both", limits={"cost": "0.5"})}, ["start -> a"])

    chosen(question_of(run), outcome)

    run = finish(run)
    assert (run.status, run.reason) == ended


def test_a_question_of_a_branch_that_failed_is_withdrawn(drive: Drive) -> None:
    make_model(price=DEAR)
    make_model("bad", settings={"fail": "bad_request", "delay": 0.5})
    body = {
        "steps": {"dear": ten(limits={"cost": "0.5"}), "bad": model(route="bad")},
        "edges": ["start -> dear", "start -> bad"],
        "output": None,
    }
    steps = {"m": {"kind": "map", "with": {"over": "[1]", "on_item_error": "collect", "body": body}}, "ask": approval()}
    drive()

    run = start(steps, ["start -> m", "m -> ask"])

    asked = until(lambda: Request.objects.filter(run=run, kind="approval").first())
    assert asked.state == "pending"
    assert Request.objects.get(run=run, kind="budget").state == "withdrawn"


# ---------------------------------------------------------------------- raising


def raised(run: Run, role: str = "owner", **limits: Any) -> Run:
    return raise_limits(make_actor(role), Run.objects.select_related("flow").get(id=run.id), limits)


def test_a_stopped_run_goes_on_where_it_stopped(drive: Drive) -> None:
    make_model(price=DEAR)
    drive()
    run = finish(start(*chain(3), limits={"cost": "1.05", "at_limit": "stop"}, output="{{ steps.s2.output }}"))
    assert run.status == "budget_stopped"

    raised(run, cost="2")

    run = reach(run, "succeeded")
    assert (run.pass_number, run.spent, [call.path for call in calls_of(run)]) == (
        2,
        Decimal("0.3"),
        ["s0", "s1", "s2"][: len(calls_of(run))],
    )
    assert "run.limits_raised" in types_of(run)


def test_raising_answers_the_question_and_wakes_the_run(drive: Drive) -> None:
    make_model(price=DEAR)
    drive()
    run = start(*chain(2), limits={"cost": "1.05"})
    asked = question_of(run)

    raised(run, cost="5")

    assert finish(run).status == "succeeded"
    asked.refresh_from_db()
    assert (asked.state, asked.outcome, json.loads(asked.answer or "")) == ("approved", "raise", {"limit": "5"})


def test_a_live_run_takes_a_raise_up_at_once(drive: Drive) -> None:
    make_model(price=DEAR, settings={"delay": 0.5})
    drive()
    run = start(*chain(2), limits={"cost": "1.05", "at_limit": "stop"})
    until(lambda: calls_of(run))

    raised(run, cost="3")

    assert finish(run).status == "succeeded"


def test_the_flows_own_limit_is_passed_only_by_somebody_with_the_right_who_did_not_start_the_run(drive: Drive) -> None:
    make_model(price=DEAR)
    drive()
    run = start(*chain(2), limits={"cost": "1.05"}, run_limits={"cost": "0.5"})
    asked = question_of(run)

    with pytest.raises(AboveCeiling, match=r"The flow's own limit is \$1.05"):
        raised(run, "operator", cost="2")
    with pytest.raises(AboveCeiling):
        chosen(asked, "raise", {"limit": "2"}, role="operator")
    starter = make_actor("owner")
    Run.objects.filter(id=run.id).update(started_by=starter.person)
    with pytest.raises(AboveCeiling, match="nobody raises a run of their own above it"):
        raise_limits(starter, Run.objects.select_related("flow").get(id=run.id), {"cost": "2"})
    with pytest.raises(Forbidden):
        raised(run, "viewer", cost="1")

    assert raised(run, "operator", cost="1.05").cap_cost == Decimal("1.05")


@pytest.mark.parametrize(
    ("limits", "place"),
    [
        ({"cost": "0.05"}, "cost"),
        ({"cost": "1.05"}, "cost"),
        ({"tokens": 5}, "tokens"),
        ({}, "limits"),
        ({"cost": "much"}, "limits.cost"),
    ],
)
def test_what_is_no_raise_is_refused_with_its_place(drive: Drive, limits: dict[str, Any], place: str) -> None:
    make_model(price=DEAR)
    drive()
    run = start(*chain(2), limits={"cost": "1.05"})
    question_of(run)

    with pytest.raises(Invalid) as refusal:
        raised(run, **limits)

    assert [fault.place for fault in refusal.value.problems] == [place]


def test_a_run_that_has_ended_in_another_way_is_not_raised(drive: Drive) -> None:
    from flows.runs.actions.cancel_run import RunEnded

    make_model()
    drive()
    run = finish(start({"a": model()}, ["start -> a"], limits={"cost": 1}))

    with pytest.raises(RunEnded):
        raised(run, cost="2")
