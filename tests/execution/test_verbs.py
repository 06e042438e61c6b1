"""What people do to a run that goes on, on a real engine: pause and resume, skip, edit an input, repeat with a change."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from approvals.actions.decide import decide
from flows.engine.failures import Unavailable
from flows.execution.driving.sending import Sending
from flows.models import Attempt, Call, Event, Intervention, Run, ToolEntry
from flows.runs.actions.cancel_run import RunEnded, cancel_run
from flows.runs.actions.deliver_event import deliver_event
from flows.runs.actions.edit_input import edit_input
from flows.runs.actions.pause_run import pause_run, resume_run
from flows.runs.actions.repeat_run import repeat_run
from flows.runs.actions.retry_run import retry_run
from flows.runs.actions.skip_step import skip_step
from flows.runs.stepstates import NotBegun
from tests.execution.conftest import AddTool, Drive
from tests.execution.runs import (
    approval,
    calls_of,
    decided,
    error_of,
    finish,
    make_model,
    model,
    output_of,
    reach,
    request_of,
    start,
    tool,
    until,
)
from tests.makers import make_actor


class Gate:
    """A tool that waits until it is let through, and notes what it was given."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.failing: set[Any] = set()
        self._open = threading.Event()

    def let_through(self) -> None:
        self._open.set()

    async def tool(self, what: Any = None) -> Any:
        self.asked.append(what)
        while not self._open.is_set():
            await asyncio.sleep(0.005)
        if what in self.failing:
            raise Unavailable("The service is down.")
        return what


@pytest.fixture
def gate(add_tool: AddTool) -> Gate:
    gate = Gate()

    async def note(what: str | None = None) -> Any:
        return await gate.tool(what)

    add_tool("test.gate", note, effect="write", repeat="keyed")
    return gate


def step(what: Any, **more: Any) -> dict[str, Any]:
    return tool("test.gate", {"what": what}, **more)


def each(concurrency: int = 2) -> dict[str, Any]:
    body = {"steps": {"one": step("{{ item }}")}, "edges": ["start -> one"], "output": "{{ steps.one.output }}"}
    return {"kind": "map", "with": {"over": "input.items", "concurrency": concurrency, "body": body}}


ITEMS = {"items": ["a", "b", "c", "d"]}


# ------------------------------------------------------------------ pause and resume


def test_a_paused_run_finishes_what_is_in_flight_and_begins_nothing(drive: Drive, gate: Gate) -> None:
    run = start({"each": each()}, ["start -> each"], ITEMS, output="{{ steps.each.output }}")
    drive()
    until(lambda: len(gate.asked) == 2)
    operator = make_actor("operator")

    pause_run(operator, run)
    gate.let_through()
    run = reach(run, "waiting")

    assert (run.reason, run.owner, run.wake_at, run.paused) == ("paused", None, None, True)
    assert sorted(gate.asked) == ["a", "b"]
    assert set(Call.objects.filter(run_id=run.id).values_list("status", flat=True)) == {"succeeded"}
    paused = Event.objects.get(run_id=run.id, type="run.paused")
    assert not Call.objects.filter(run_id=run.id, seq__gt=paused.seq).exists()
    assert json.loads(paused.data or "{}")["by"] == operator.name

    resume_run(operator, run)
    run = finish(run)
    assert output_of(run) == ["a", "b", "c", "d"]
    assert sorted(gate.asked) == ["a", "b", "c", "d"]


def test_a_run_that_is_resumed_before_it_came_to_rest_goes_on_with_what_the_pause_refused(drive: Drive, gate: Gate) -> None:
    """The engine hears of the pause by a refused begin, and of the resumption while another call is still in flight."""
    steps = {"a": step("a"), "t": {"kind": "wait", "with": {"for": "1500ms"}}, "b": step("b")}
    run = start(steps, ["start -> a", "start -> t", "t -> b"])
    engine = drive()
    until(lambda: gate.asked == ["a"])
    Run.objects.filter(id=run.id).update(paused=True)
    until(lambda: run.id in engine.drivers and engine.drivers[run.id].desk.paused)
    time.sleep(0.1)
    assert gate.asked == ["a"]

    resume_run(make_actor("operator"), run)
    until(lambda: sorted(gate.asked) == ["a", "b"])
    gate.let_through()

    assert finish(run).status == "succeeded"


def test_what_waits_for_a_slot_does_not_keep_a_paused_run_awake(drive: Drive, gate: Gate) -> None:
    ToolEntry.objects.filter(slug="test.gate").update(max_in_flight=1)
    first = start({"a": step("first")}, ["start -> a"])
    drive()
    until(lambda: gate.asked)
    second = start({"a": step("second")}, ["start -> a"])
    reach(second, "running")
    operator = make_actor("operator")

    pause_run(operator, second)
    second = reach(second, "waiting")

    assert (second.reason, gate.asked) == ("paused", ["first"])
    gate.let_through()
    finish(first)
    resume_run(operator, second)
    assert finish(second).status == "succeeded"
    assert gate.asked == ["first", "second"]


def test_decisions_and_events_are_kept_while_a_run_is_paused(drive: Drive, gate: Gate) -> None:
    gate.let_through()
    steps = {"ask": approval(), "hold": {"kind": "wait", "with": {"event": "paid"}}, "act": step("act")}
    run = start(steps, ["start -> ask", "start -> hold", "ask.approve -> act", "hold -> act"])
    drive()
    request = request_of(run)
    operator = make_actor("operator")
    paused = pause_run(operator, run)
    assert (paused.status, paused.reason) == ("waiting", "paused")

    decided(request)
    deliver_event(operator, run, "paid")
    run.refresh_from_db()
    assert (run.status, run.reason, gate.asked) == ("waiting", "paused", [])

    resume_run(operator, run)
    assert finish(run).status == "succeeded"
    assert gate.asked == ["act"]


def test_the_deadline_of_a_paused_run_still_counts(drive: Drive, gate: Gate) -> None:
    run = start({"a": step("a")}, ["start -> a"], run_limits={"duration": "1s"})
    pause_run(make_actor("operator"), run)
    drive()

    run = finish(run)

    assert (run.status, run.reason, gate.asked) == ("failed", "timed_out", [])


def test_a_paused_run_is_cancelled_at_once_and_an_end_beats_a_pause(drive: Drive, gate: Gate) -> None:
    operator = make_actor("operator")
    run = start({"a": step("a")}, ["start -> a"])
    pause_run(operator, run)
    drive()
    assert cancel_run(operator, run).status == "cancelled"

    other = start({"a": step("a")}, ["start -> a"])
    until(lambda: gate.asked)
    pause_run(operator, other)
    gate.let_through()
    assert finish(other).status == "succeeded"  # nothing was left to begin


# ------------------------------------------------------------------ skip


def test_a_step_that_failed_the_run_is_gone_past_in_another_pass(drive: Drive, gate: Gate) -> None:
    gate.let_through()
    gate.failing = {"b"}
    run = start({"a": step("a"), "b": step("b"), "c": step("{{ steps.b.output }}")}, ["start -> a", "a -> b", "b -> c"])
    drive()
    run = reach(run, "failed")

    skip_step(make_actor("operator"), run, "b", output="by hand", comment="Done by phone.")
    run = reach(run, "succeeded")

    assert gate.asked == ["a", "b", "by hand"]
    assert [(call.pass_number, call.path) for call in calls_of(run)] == [(1, "a"), (1, "b"), (2, "c")]


def test_a_wait_and_a_back_off_are_cut_short(drive: Drive, gate: Gate) -> None:
    gate.let_through()
    gate.failing = {"b"}
    steps = {"hold": {"kind": "wait", "with": {"for": "1h"}}, "b": step("b", retry={"attempts": 2, "first": "1h", "max": "1h"})}
    run = start(steps, ["start -> hold", "start -> b"], output="{{ steps.b.output }}")
    drive()
    run = reach(run, "retrying")
    operator = make_actor("operator")

    skip_step(operator, run, "b", output=7)
    until(lambda: Attempt.objects.filter(run_id=run.id, path="b", status="succeeded").exists())
    reach(run, "waiting")
    skip_step(operator, run, "hold")

    assert output_of(finish(run)) == 7
    assert gate.asked == ["b"]


def test_a_step_that_has_not_begun_is_gone_past_in_a_paused_run(drive: Drive, gate: Gate) -> None:
    gate.let_through()
    operator = make_actor("operator")
    run = start({"each": each(), "b": step("b")}, ["start -> each", "each -> b"], ITEMS, output="{{ steps.each.output }}")
    pause_run(operator, run)

    skip_step(operator, run, "each[1].one", output="past")
    skip_step(operator, run, "b")
    drive()
    resume_run(operator, run)

    assert output_of(finish(run)) == ["a", "past", "c", "d"]
    assert sorted(gate.asked) == ["a", "c", "d"]


# ------------------------------------------------------------------ steering


def test_an_edited_input_is_what_the_tool_sees(drive: Drive, gate: Gate) -> None:
    gate.let_through()
    operator = make_actor("operator")
    run = start({"a": step("a"), "b": step("b {{ steps.a.output }}")}, ["start -> a", "a -> b"])

    edit = edit_input(operator, run, "b", {"arguments": {"what": "{{ steps.a.output }}"}})
    drive()
    run = finish(run)

    assert gate.asked == ["a", "{{ steps.a.output }}"]  # a value, not a template
    assert json.loads(edit.before or "") == {"arguments": {"what": "b {{ steps.a.output }}"}}
    assert edit.by == operator.person


def while_sending(monkeypatch: pytest.MonkeyPatch, line: dict[str, str], act: Callable[[], Any]) -> None:
    """Somebody acts at the moment in which the driver has decided this and has not written it down."""
    send, done = Sending.send, threading.Event()

    def interrupted(self: Sending) -> None:
        if not done.is_set() and any(line.items() <= op.items() for op in self._desk.sheet.ops):
            done.set()
            somebody = threading.Thread(target=lambda: (act(), connection.close()))
            somebody.start()
            somebody.join(5)
        send(self)

    monkeypatch.setattr(Sending, "send", interrupted)


def test_an_edit_that_comes_while_its_step_begins_is_heeded(drive: Drive, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    gate.let_through()
    run = start({"a": step("a"), "b": step("old")}, ["start -> a", "a -> b"])
    operator = make_actor("operator")
    edit = {"arguments": {"what": "new"}}
    while_sending(monkeypatch, {"op": "begin", "path": "b"}, lambda: edit_input(operator, run, "b", edit))
    drive()

    finish(run)

    assert gate.asked == ["a", "new"]


def test_what_is_evaluated_is_edited_only_while_the_run_rests(drive: Drive, gate: Gate) -> None:
    steps = {"a": step("a"), "b": {"kind": "set", "with": {"values": {"v": "old"}}}}
    run = start(steps, ["start -> a", "a -> b"], output="{{ steps.b.output.v }}")
    operator = make_actor("operator")
    engine = drive()
    until(lambda: calls_of(run))

    with pytest.raises(NotBegun, match="Pause the run first"):
        edit_input(operator, run, "b", {"values": {"v": "new"}})
    pause_run(operator, run)
    until(lambda: engine.drivers[run.id].desk.paused)
    gate.let_through()
    edit_input(operator, reach(run, "waiting"), "b", {"values": {"v": "new"}})
    resume_run(operator, run)

    assert output_of(finish(run)) == "new"


def test_a_call_is_not_begun_past_what_others_changed(drive: Drive, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is: here an event that no step waits for. The step is begun anew, once."""
    gate.let_through()
    run = start({"a": step("a"), "b": step("b")}, ["start -> a", "a -> b"])
    while_sending(monkeypatch, {"op": "begin", "path": "b"}, lambda: deliver_event(make_actor("operator"), run, "else", None))
    drive()

    finish(run)

    assert gate.asked == ["a", "b"]
    assert [(call.path, call.status) for call in calls_of(run)] == [("a", "succeeded"), ("b", "succeeded")]


def test_the_next_attempt_of_a_step_begins_with_the_edited_input(drive: Drive, gate: Gate) -> None:
    gate.let_through()
    gate.failing = {"wrong"}
    run = start({"a": step("wrong", retry={"attempts": 2, "first": "1h", "max": "1h"})}, ["start -> a"])
    drive()
    run = reach(run, "retrying")
    operator = make_actor("operator")

    edit_input(operator, run, "a", {"arguments": {"what": "right"}})
    cancel_run(operator, reach(run, "retrying"))
    retry_run(operator, run)  # the edit goes along

    assert reach(run, "succeeded").pass_number == 2
    assert gate.asked == ["wrong", "right"]


# ------------------------------------------------------------------ repeating with a change


def test_another_input_makes_a_linked_run_that_takes_over_what_stands_before(drive: Drive, gate: Gate) -> None:
    gate.let_through()
    steps = {"a": step("{{ input.x }}"), "b": step("{{ input.x }} {{ steps.a.output }}"), "c": step("c")}
    run = start(steps, ["start -> a", "a -> b", "b -> c"], {"x": "old"}, output="{{ steps.b.output }}")
    drive()
    run = finish(run)

    fork = repeat_run(make_actor("operator"), run, input={"x": "new"}, from_step="b")
    fork = finish(fork)

    assert output_of(fork) == "new old"
    assert (fork.origin_id, fork.origin_path, fork.pass_number) == (run.id, "b", 1)
    assert gate.asked == ["old", "old old", "c", "new old", "c"]
    assert [call.path for call in calls_of(fork)] == ["b", "c"]
    before = {call.path: call.idempotency_key for call in calls_of(run)}
    assert all(call.idempotency_key != before[call.path] for call in calls_of(fork))
    assert Run.objects.get(id=run.id).pass_number == 1


def test_another_route_for_one_step_is_asked_in_a_linked_run(drive: Drive) -> None:
    make_model("sim-a")
    make_model("sim-b")
    run = start({"a": model("A"), "b": model("B")}, ["start -> a", "a -> b"])
    drive()
    run = finish(run)

    fork = finish(repeat_run(make_actor("operator"), run, from_step="b", route="sim-b"))

    assert [(call.path, call.target) for call in calls_of(run)] == [("a", "sim-a"), ("b", "sim-a")]
    assert [(call.path, call.target) for call in calls_of(fork)] == [("b", "sim-b")]
    assert Intervention.objects.get().run_id == fork.id


def test_a_call_that_may_not_be_repeated_is_not_repeated_by_a_retry(drive: Drive, add_tool: AddTool) -> None:
    asked = []

    async def lose() -> None:
        asked.append(1)
        raise Unavailable("The line was cut.", sent=True)

    add_tool("test.lose", lose, effect="write", repeat="never")
    run = start({"a": tool("test.lose")}, ["start -> a"])
    drive()
    reach(run, "waiting_approval")
    request = request_of(run)
    decide(make_actor("operator"), request.id, "fail", request.revision)
    run = reach(run, "failed")
    assert error_of(run)["class"] == "unknown_outcome"

    retry_run(make_actor("operator"), run)
    reach(run, "waiting_approval")

    assert asked == [1]


def test_a_pause_and_an_end_at_once_leave_a_run_that_rests_or_has_ended(drive: Drive, gate: Gate) -> None:
    gate.let_through()
    operator = make_actor("operator")
    drive()
    for number in range(8):
        run = start({"a": step("a"), "b": step("b")}, ["start -> a", "a -> b"])
        time.sleep(number * 0.004)
        try:
            pause_run(operator, run)
        except RunEnded:
            assert finish(run).status == "succeeded"
            continue
        run = until(lambda run=run: Run.objects.filter(id=run.id, owner=None).exclude(status="queued").first())
        if run.status == "waiting":
            assert run.reason == "paused"
            resume_run(operator, run)
        assert finish(run).status == "succeeded"


def test_a_cancel_ends_calls_questions_and_timers_inside_a_map(drive: Drive, gate: Gate) -> None:
    body = {
        "steps": {"call": step("{{ item }}"), "ask": approval(), "hold": {"kind": "wait", "with": {"for": "1h"}}},
        "edges": ["start -> call", "start -> ask", "start -> hold"],
    }
    run = start({"each": {"kind": "map", "with": {"over": "input.items", "body": body}}}, ["start -> each"], ITEMS)
    drive()
    until(lambda: len(gate.asked) == 4 and Attempt.objects.filter(run_id=run.id, status="waiting").count() == 8)

    cancel_run(make_actor("operator"), run)
    run = finish(run, within=3.0)  # nothing is open, reserved or asked any more

    assert run.status == "cancelled"
    asked = Event.objects.get(run_id=run.id, type="run.cancel_requested")
    assert not Call.objects.filter(run_id=run.id, seq__gt=asked.seq).exists()
    assert set(Call.objects.filter(run_id=run.id).values_list("status", flat=True)) == {"unknown"}
