"""What stands on a container or a wait as a whole holds: retry, timeout, deadline, and limits on cost, tokens, steps and duration."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from flows.engine.failures import TimedOut, Unavailable
from flows.execution.driving.inside import count_steps, covered
from flows.models import Request, Run
from tests.engine.course import each, loop, subflow, value
from tests.execution.conftest import AddTool, Drive
from tests.execution.runs import (
    approval,
    attempts_of,
    calls_of,
    decided,
    error_of,
    finish,
    make_model,
    output_of,
    request_of,
    start,
    tool,
)
from tests.execution.test_limits import DEAR, chosen, question_of, ten
from tests.execution.test_structures import other

pytestmark = pytest.mark.django_db(transaction=True)

SLOW = tool("tests.slow")
BODY: tuple[dict[str, Any], list[str]] = ({"x": SLOW}, ["start -> x"])
NOTED = {"noted": value("error.class")}


@pytest.fixture
def slow(add_tool: AddTool) -> None:
    async def sleep() -> str:
        await asyncio.sleep(20)
        return "late"

    add_tool("tests.slow", sleep)


def containers() -> dict[str, dict[str, Any]]:
    other(*BODY)
    return {
        "map": each("[1, 2]", *BODY, on_item_error="collect"),
        "loop": loop(*BODY),
        "subflow": subflow(),
    }


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("kind", ["map", "loop", "subflow"])
@pytest.mark.parametrize("bound", [{"timeout": "300ms"}, {"deadline": "300ms"}, {"limits": {"duration": "300ms"}}])
def test_a_container_whose_time_is_over_fails_and_its_error_edge_is_taken(drive: Drive, kind: str, bound: dict[str, Any]) -> None:
    drive()
    steps = {"c": containers()[kind] | bound, **NOTED}

    run = finish(start(steps, ["start -> c", "c.error -> noted"], output="{{ steps.noted.output.v }}"))

    assert output_of(run) == "timeout"
    (row,) = attempts_of(run, "c")
    assert next(iter(bound)) in (row.error or "") or "limits.duration" in (row.error or "")
    assert {call.status for call in calls_of(run)} <= {"unknown", "failed_final"}  # broken off, or before it was sent


@pytest.mark.usefixtures("slow")
def test_the_duration_of_the_other_flow_bounds_a_sub_flow(drive: Drive) -> None:
    other(*BODY, limits={"duration": "300ms"})
    drive()

    run = finish(start({"sub": subflow()}, ["start -> sub"]))

    assert (run.status, run.reason) == ("failed", "timeout")
    assert "limits.duration" in error_of(run)["message"]


@pytest.mark.usefixtures("slow")
def test_at_a_duration_that_says_finish_the_run_ends_with_what_there_is(drive: Drive) -> None:
    drive()
    steps = {"a": value("7"), "c": loop(*BODY) | {"limits": {"duration": "300ms", "at_limit": "finish"}}}

    run = finish(start(steps, ["start -> a", "a -> c"], output="{{ steps.a.output.v }}"))

    assert (run.status, run.reason, output_of(run)) == ("succeeded", "limited", 7)


@pytest.mark.parametrize("bound", [{"timeout": "300ms"}, {"deadline": "300ms"}, {"limits": {"duration": "300ms"}}])
def test_a_wait_whose_time_is_over_fails(drive: Drive, bound: dict[str, Any]) -> None:
    drive()
    run = finish(start({"w": {"kind": "wait", "with": {"for": "1h"}, **bound}}, ["start -> w"]))

    assert (run.status, run.reason) == ("failed", "timeout")


def test_the_time_of_a_container_rests_while_people_are_asked(drive: Drive, add_tool: AddTool) -> None:
    async def quick() -> str:
        return "done"

    add_tool("tests.quick", quick)
    drive()
    body = loop({"ask": approval(), "x": tool("tests.quick")}, ["start -> ask", "ask.approve -> x"], max=1)
    run = start({"c": body | {"deadline": "900ms"}}, ["start -> c"])
    request = request_of(run)
    asyncio.run(asyncio.sleep(1.2))

    decided(request)

    assert finish(run).status == "succeeded"


def test_what_a_limit_on_duration_says_of_an_approval_counts_the_wait(drive: Drive) -> None:
    drive()
    run = finish(start({"ask": approval() | {"limits": {"duration": "300ms"}}}, ["start -> ask"]))

    assert (run.status, run.reason) == ("failed", "timeout")
    assert Request.objects.get(run=run).state == "withdrawn"


def stepwise(**limits: Any) -> dict[str, Any]:
    """A loop of four rounds of one step: eight steps."""
    return loop({"a": value("loop.round")}, ["start -> a"], "{{ steps.a.output.v }}", max=4) | {"limits": limits}


def test_at_a_containers_limit_on_steps_people_are_asked_and_a_raise_lets_it_go_on(drive: Drive) -> None:
    drive()
    run = start({"c": stepwise(steps=4)}, ["start -> c"], output="{{ steps.c.output }}")

    first = question_of(run)
    chosen(first, "raise", {"limit": "6"})
    second = question_of(run)  # the run was taken up anew: what had begun before counts
    chosen(second, "raise", {"limit": "8"})

    assert (first.path, json.loads(first.payload)["limit"]) == ("c", {"of": "step", "which": "steps", "amount": 4})
    assert json.loads(second.payload)["spent"] == 6
    assert output_of(finish(run)) == 4


@pytest.mark.parametrize(
    ("at_limit", "ended"), [("stop", ("budget_stopped", "steps of c")), ("finish", ("succeeded", "limited"))]
)
def test_a_containers_limit_on_steps_stops_or_finishes_the_run(drive: Drive, at_limit: str, ended: tuple[str, str]) -> None:
    drive()
    run = finish(start({"c": stepwise(steps=4, at_limit=at_limit)}, ["start -> c"]))

    assert (run.status, run.reason) == ended


def test_the_limit_on_steps_of_the_other_flow_holds_in_a_sub_flow(drive: Drive) -> None:
    other({"a": value(), "b": value()}, ["start -> a", "a -> b"], limits={"steps": 1, "at_limit": "stop"})
    drive()
    run = finish(start({"sub": subflow()}, ["start -> sub"]))

    assert (run.status, run.reason) == ("budget_stopped", "steps of sub")


@pytest.mark.parametrize("make", [lambda body: loop(*body), lambda body: each("[1, 2, 3]", *body, concurrency=1)])
def test_a_containers_limit_on_cost_bounds_what_is_inside(drive: Drive, make: Callable[[Any], dict[str, Any]]) -> None:
    make_model(price=DEAR)
    drive()
    steps = {"c": make(({"x": ten()}, ["start -> x"])) | {"limits": {"cost": 1.05, "at_limit": "stop"}}}

    run: Run = finish(start(steps, ["start -> c"]))

    assert (run.status, run.reason) == ("budget_stopped", "cost of c")
    assert [call.path for call in calls_of(run)] == ["c[0].x"]


def test_a_container_is_tried_again_in_its_steps(drive: Drive, add_tool: AddTool) -> None:
    made: list[int] = []

    async def flaky(n: int) -> int:
        made.append(n)
        if made.count(n) < 3 and n == 2:
            raise Unavailable("down")
        return n

    add_tool("tests.flaky", flaky)
    drive()
    body = ({"x": tool("tests.flaky", {"n": "{{ item }}"})}, ["start -> x"], "{{ steps.x.output }}")
    steps = {"c": each("[1, 2, 3]", *body) | {"retry": {"attempts": 3, "first": "10ms"}}}

    run = finish(start(steps, ["start -> c"], output="{{ steps.c.output }}"))

    assert output_of(run) == [1, 2, 3]
    assert sorted(made) == [1, 2, 2, 2, 3]
    assert [row.status for row in attempts_of(run, "c[1].x")] == ["failed", "failed", "succeeded"]


def test_a_deadline_leaves_out_the_time_in_which_people_were_asked(drive: Drive, add_tool: AddTool) -> None:
    made: list[int] = []

    async def lost() -> str:
        made.append(1)
        if len(made) == 1:
            raise TimedOut("no answer", sent=True)
        await asyncio.sleep(0.1)
        return "there"

    add_tool("tests.lost", lost, effect="write", repeat="never")
    drive()
    run = start({"a": tool("tests.lost") | {"deadline": "600ms"}}, ["start -> a"], output="{{ steps.a.output }}")
    request = request_of(run)
    asyncio.run(asyncio.sleep(0.9))

    chosen(request, "repeat")

    assert output_of(finish(run)) == "there"


def test_steps_and_items_inside_a_container_are_counted_once() -> None:
    assert count_steps("c", ["c[0].a", "c[0].b", "c[1].a", "c[1].inner", "c[1].inner[0].x"]) == 5 + 3
    assert count_steps("sub", ["sub/a", "sub/each", "sub/each[0].b"]) == 3 + 1
    assert count_steps("sub", ["sub/ask", "sub/ask.turn[0].model", "sub/ask.turn[0].call[1]"]) == 3


def test_spans_that_overlap_count_once() -> None:
    assert covered([[0.0, 2.0], [1.0, 3.0], [5.0, 6.0]]) == 4.0
    assert covered([]) == 0.0
