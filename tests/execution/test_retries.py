"""Attempts, back-off and times: what stays in memory, what parks, what ends."""

from __future__ import annotations

import asyncio
from typing import Any

from flows.engine.failures import RateLimited, Unavailable
from flows.models import Run
from tests.execution.conftest import AddTool, Drive
from tests.execution.runs import attempts_of, calls_of, error_of, finish, output_of, reach, start, tool, types_of


class Flaky:
    """Fails so many times, then answers."""

    def __init__(self, failures: int, error: Exception | None = None) -> None:
        self.left = failures
        self.error = error or Unavailable("down")
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        self.left -= 1
        if self.left >= 0:
            raise self.error
        return "up"

    def tool(self) -> Any:
        async def flaky() -> str:
            return await self()

        return flaky


RETRY = {"attempts": 3, "backoff": "fixed"}


def test_a_short_back_off_stays_in_memory(drive: Drive, add_tool: AddTool) -> None:
    add_tool("test.flaky", Flaky(2).tool())
    drive()

    run = finish(
        start({"a": tool("test.flaky", retry={**RETRY, "first": "20ms"})}, ["start -> a"], output="{{ steps.a.output }}")
    )

    assert output_of(run) == "up"
    assert run.epoch == 1
    assert "run.parked" not in types_of(run)
    assert types_of(run).count("step.retrying") == 2
    assert [(row.n, row.status) for row in attempts_of(run, "a")] == [(1, "failed"), (2, "failed"), (3, "succeeded")]
    assert [(call.attempt, call.n, call.status) for call in calls_of(run)] == [
        (1, 1, "failed_retryable"),
        (2, 2, "failed_retryable"),
        (3, 3, "succeeded"),
    ]


def test_a_long_back_off_parks_the_run_as_retrying_and_it_goes_on(drive: Drive, add_tool: AddTool) -> None:
    add_tool("test.flaky", Flaky(1).tool())
    drive()

    run = start({"a": tool("test.flaky", retry={**RETRY, "first": "800ms"})}, ["start -> a"], output="{{ steps.a.output }}")
    parked = reach(run, "retrying")
    run = finish(run)

    assert parked.owner is None
    assert parked.wake_at is not None
    assert parked.reason == "a"
    assert output_of(run) == "up"
    assert run.epoch == 2
    assert [(row.n, row.status) for row in attempts_of(run, "a")] == [(1, "failed"), (2, "succeeded")]


def test_attempts_go_on_counting_over_parking_until_they_are_used_up(drive: Drive, add_tool: AddTool) -> None:
    flaky = Flaky(9)
    add_tool("test.flaky", flaky.tool())
    drive()

    run = finish(start({"a": tool("test.flaky", retry={**RETRY, "first": "500ms"})}, ["start -> a"]))

    assert (run.status, run.reason) == ("failed", "unavailable")
    assert flaky.calls == 3
    assert [row.n for row in attempts_of(run, "a")] == [1, 2, 3]


def test_the_other_side_says_how_long_to_wait(drive: Drive, add_tool: AddTool) -> None:
    add_tool("test.flaky", Flaky(1, RateLimited("slow down", retry_after=30.0)).tool())
    drive()

    run = start({"a": tool("test.flaky", retry={**RETRY, "first": "10ms"})}, ["start -> a"])
    parked = reach(run, "retrying")

    assert parked.wake_at is not None
    assert parked.started_at is not None
    assert 25 < (parked.wake_at - parked.started_at).total_seconds() <= 31


def test_a_write_that_may_not_be_repeated_is_tried_again_where_nothing_was_sent(drive: Drive, add_tool: AddTool) -> None:
    flaky = Flaky(1, Unavailable("no line", sent=False))
    add_tool("test.flaky", flaky.tool(), effect="write", repeat="never")
    drive()

    run = finish(start({"a": tool("test.flaky", retry={"attempts": 3, "first": "10ms"})}, ["start -> a"]))

    assert run.status == "succeeded"
    assert flaky.calls == 2


def test_every_repetition_of_a_keyed_write_has_the_same_key(drive: Drive, add_tool: AddTool) -> None:
    keys: list[str] = []

    async def keyed(idempotency_key: str) -> str:
        keys.append(idempotency_key)
        if len(keys) < 3:
            raise Unavailable("the line broke", sent=True)
        return "done"

    add_tool("test.keyed", keyed, effect="write", repeat="keyed")
    drive()

    run = finish(start({"a": tool("test.keyed", retry={"attempts": 3, "first": "10ms"})}, ["start -> a"]))

    assert run.status == "succeeded"
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert {str(call.idempotency_key) for call in calls_of(run)} == set(keys)
    assert len({call.request_hash for call in calls_of(run)}) == 1


def test_a_step_that_takes_too_long_has_the_class_timeout(drive: Drive, add_tool: AddTool) -> None:
    async def endless() -> None:
        await asyncio.sleep(60)

    add_tool("test.endless", endless)
    drive()

    run = finish(start({"a": tool("test.endless", timeout="150ms")}, ["start -> a"]), within=5)

    assert error_of(run)["class"] == "timeout"
    assert run.open_calls == 0


def test_a_timeout_is_tried_again_within_the_deadline_of_the_step(drive: Drive, add_tool: AddTool) -> None:
    async def endless() -> None:
        await asyncio.sleep(60)

    add_tool("test.endless", endless)
    drive()
    step = tool("test.endless", timeout="100ms", deadline="500ms", retry={"attempts": 50, "first": "10ms", "backoff": "fixed"})

    run = finish(start({"a": step}, ["start -> a"]), within=5)

    assert error_of(run)["class"] == "timeout"
    assert 2 <= len(calls_of(run)) <= 6


def test_a_run_whose_deadline_has_passed_while_it_rested_fails_as_timed_out(drive: Drive) -> None:
    drive()

    run = finish(start({"a": {"kind": "wait", "with": {"for": "1h"}}}, ["start -> a"], limits={"duration": "300ms"}))

    assert (run.status, run.reason) == ("failed", "timed_out")


def test_a_run_whose_deadline_has_passed_begins_no_other_call(drive: Drive, add_tool: AddTool) -> None:
    async def slow() -> None:
        await asyncio.sleep(0.4)

    add_tool("test.slow", slow)
    drive()

    run = finish(start({"a": tool("test.slow"), "b": tool("test.slow")}, ["start -> a", "a -> b"], limits={"duration": "200ms"}))

    assert (run.status, run.reason) == ("failed", "timed_out")
    assert [call.path for call in calls_of(run)] == ["a"]


def test_a_call_in_flight_is_broken_off_when_the_runs_deadline_passes(drive: Drive, add_tool: AddTool) -> None:
    async def endless() -> None:
        await asyncio.sleep(60)

    add_tool("test.endless", endless)
    drive()

    run = finish(start({"a": tool("test.endless")}, ["start -> a"], limits={"duration": "300ms"}), within=3)

    assert (run.status, run.reason) == ("failed", "timed_out")


def test_a_run_that_was_started_too_late_does_nothing(drive: Drive, add_tool: AddTool) -> None:
    flaky = Flaky(0)
    add_tool("test.flaky", flaky.tool())
    run = start({"a": tool("test.flaky")}, ["start -> a"], limits={"duration": "1ms"})
    drive()

    run = finish(run)

    assert (run.status, run.reason) == ("failed", "timed_out")
    assert flaky.calls == 0
    assert Run.objects.get(id=run.id).steps == 0
