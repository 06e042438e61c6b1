"""Waits for a while, until a time, for an event; and cancelling."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flows.engine.failures import Unavailable
from flows.models import Delivery, Request, Run
from flows.runs.actions.cancel_run import cancel_run
from flows.runs.actions.deliver_event import deliver_event
from tests.execution.conftest import AddTool, Drive
from tests.execution.runs import (
    approval,
    calls_of,
    finish,
    make_model,
    model,
    output_of,
    reach,
    start,
    tool,
    types_of,
    until,
)
from tests.makers import make_actor


def wait(**settings: Any) -> dict[str, Any]:
    return {"kind": "wait", "with": settings}


def deliver(run: Run, event: str, payload: Any = None) -> None:
    deliver_event(make_actor("operator"), run, event, payload)


@pytest.mark.parametrize(("duration", "epoch"), [("50ms", 1), ("700ms", 2)])
def test_it_waits_for_a_while_in_memory_or_parked(drive: Drive, duration: str, epoch: int) -> None:
    drive()

    run = finish(start({"w": wait(**{"for": duration})}, ["start -> w"]))

    assert run.status == "succeeded"
    assert run.epoch == epoch
    assert ("run.parked" in types_of(run)) is (epoch == 2)


def test_a_wait_and_a_back_off_end_while_another_call_is_in_flight(drive: Drive, add_tool: AddTool) -> None:
    asked: list[str] = []
    late = threading.Event()

    async def note(what: str) -> str:
        asked.append(what)
        while what == "long" and not late.is_set():
            await asyncio.sleep(0.01)
        if asked.count("again") == 1 and what == "again":
            raise Unavailable("The service is down.")
        return what

    add_tool("test.note", note, effect="read")
    drive()
    run = start(
        {
            "long": tool("test.note", {"what": "long"}),
            "w": wait(**{"for": "50ms"}),
            "after": tool("test.note", {"what": "after"}),
            "again": tool("test.note", {"what": "again"}, retry={"attempts": 2, "first": "50ms"}),
        },
        ["start -> long", "start -> w", "w -> after", "start -> again"],
    )

    until(lambda: sorted(asked) == ["after", "again", "again", "long"])
    late.set()

    assert finish(run).status == "succeeded"


def test_it_waits_until_a_time(drive: Drive) -> None:
    drive()
    at = datetime.now(UTC) + timedelta(seconds=1)

    run = finish(start({"w": wait(until=at.isoformat())}, ["start -> w"]))

    assert run.status == "succeeded"
    assert run.ended_at is not None
    assert timedelta(0) <= run.ended_at - at < timedelta(seconds=2)


def test_a_time_that_is_over_is_not_waited_for(drive: Drive) -> None:
    drive()

    assert finish(start({"w": wait(until="2020-01-01T00:00:00Z")}, ["start -> w"])).epoch == 1


def test_an_event_wakes_the_run_with_its_payload(drive: Drive) -> None:
    drive()
    run = start({"w": wait(event="paid-{{ input.n }}")}, ["start -> w"], {"n": 7}, output="{{ steps.w.output }}")
    parked = reach(run, "waiting")
    assert (parked.owner, parked.wake_at) == (None, None)

    deliver(run, "paid-7", {"by": "card"})

    assert output_of(finish(run)) == {"by": "card"}
    assert Delivery.objects.get().taken_by == "w"


def test_an_early_event_is_kept_for_the_step_that_waits_for_it(drive: Drive) -> None:
    drive()
    steps = {"first": wait(event="one"), "second": wait(event="two")}
    run = reach(start(steps, ["start -> first", "first -> second"], output="{{ steps.second.output }}"), "waiting")

    deliver(run, "two", 2)
    deliver(run, "one", 1)

    assert output_of(finish(run)) == 2


def test_two_events_of_one_name_go_to_two_waits_the_oldest_first(drive: Drive) -> None:
    drive()
    steps = {"first": wait(event="one"), "second": wait(event="one")}
    run = reach(
        start(steps, ["start -> first", "first -> second"], output="{{ [steps.first.output, steps.second.output] }}"), "waiting"
    )

    deliver(run, "one", 1)
    deliver(run, "one", 2)

    assert output_of(finish(run)) == [1, 2]


def test_events_that_nobody_waits_for_do_not_wear_a_run_out(drive: Drive) -> None:
    drive()
    run = reach(start({"w": wait(event="paid")}, ["start -> w"]), "waiting")

    for n in range(6):
        deliver(run, f"other-{n}")
        until(Run.objects.filter(id=run.id, status="waiting", epoch=n + 2).exists)
    deliver(run, "paid")

    assert finish(run).status == "succeeded"


def test_a_wait_for_an_event_leaves_by_timeout_when_its_time_is_over(drive: Drive) -> None:
    drive()
    steps = {"w": wait(event="paid", timeout="600ms"), "late": {"kind": "set", "with": {"values": {"late": True}}}}

    run = finish(start(steps, ["start -> w", "w.timeout -> late"], output="{{ steps.late.output.late }}"))

    assert output_of(run) is True


def test_a_timeout_that_leads_nowhere_fails_the_run(drive: Drive) -> None:
    drive()

    run = finish(start({"w": wait(event="paid", timeout="100ms")}, ["start -> w"]))

    assert (run.status, run.reason) == ("failed", "timeout")


# ---------------------------------------------------------------------- cancelling


def test_a_resting_run_is_cancelled_at_once(drive: Drive) -> None:
    drive()
    run = reach(start({"p": approval(payload=1), "w": wait(event="x")}, ["start -> p", "start -> w"]), "waiting_approval")

    cancelled = cancel_run(make_actor("operator"), run)

    assert cancelled.status == "cancelled"
    assert finish(run).status == "cancelled"
    assert Request.objects.get(run=run).state == "withdrawn"


def test_a_call_in_flight_is_broken_off_within_three_seconds_and_settled(drive: Drive, add_tool: AddTool) -> None:
    broken_off: list[str] = []

    async def endless() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            broken_off.append("tool")
            raise

    add_tool("test.endless", endless)
    make_model(settings={"delay": 30})
    drive()
    steps = {"a": tool("test.endless"), "b": model(), "p": approval(payload=1), "after": tool("test.endless")}
    run = start(steps, ["start -> a", "start -> b", "start -> p", "a -> after"])
    until(lambda: len(calls_of(run)) == 2 and Request.objects.filter(run=run).exists())

    cancel_run(make_actor("operator"), run)
    run = finish(run, within=15)

    assert run.status == "cancelled"
    assert broken_off == ["tool"]
    called = {call.path: call for call in calls_of(run)}
    assert sorted(called) == ["a", "b"]
    assert {call.status for call in called.values()} == {"unknown"}
    assert {call.error_class for call in called.values()} == {"cancelled"}
    assert run.spent == called["b"].settled == called["b"].reserved > 0
    assert Request.objects.get(run=run).state == "withdrawn"
    assert types_of(run).count("run.cancel_requested") == 1


def test_a_run_that_waits_in_memory_is_cancelled(drive: Drive) -> None:
    drive()
    run = start({"w": wait(**{"for": "300ms"}), "v": wait(event="never")}, ["start -> w", "w -> v"])
    reach(run, "running", "waiting")

    cancel_run(make_actor("operator"), run)

    assert finish(run, within=15).status == "cancelled"


def test_a_queued_run_is_cancelled_before_anybody_drives_it(drive: Drive) -> None:
    run = start({"w": wait(event="never")}, ["start -> w"])

    cancel_run(make_actor("operator"), run)
    drive()

    assert finish(run).epoch == 0
