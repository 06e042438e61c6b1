"""A run of each kind, from its start to its end: output, events, ledger."""

from __future__ import annotations

import asyncio
from typing import Any

from flows.models import Run
from tests.execution.conftest import AddTool, Drive
from tests.execution.runs import (
    approval,
    attempts_of,
    calls_of,
    decided,
    error_of,
    finish,
    make_model,
    model,
    output_of,
    request_of,
    start,
    tool,
    types_of,
)
from tests.makers import make_flow, make_run


async def echo(**arguments: Any) -> dict[str, Any]:
    return arguments


def test_a_run_of_pure_steps(drive: Drive) -> None:
    steps = {
        "a": {"kind": "set", "with": {"values": {"n": "{{ input.n + 1 }}"}, "state": {"seen": "{{ input.n }}"}}},
        "b": {"kind": "branch", "with": {"cases": [{"port": "big", "when": "steps.a.output.n > 5"}], "else": "small"}},
        "c": {"kind": "check", "with": {"value": "abc", "rules": [{"type": "length", "max": 5}]}},
        "d": {"kind": "set", "with": {"values": {}}},
    }
    edges = ["start -> a", "a -> b", "b.big -> c", "b.small -> d"]
    drive()

    run = finish(start(steps, edges, {"n": 5}, state={"seen": 0}, output=["{{ steps.c.output.verdict }}", "{{ state.seen }}"]))

    assert output_of(run) == ["pass", 5]
    assert types_of(run) == [
        "run.created",
        "run.started",
        *["step.succeeded"] * 2,
        "step.skipped",
        "step.succeeded",
        "run.ended",
    ]
    assert (run.epoch, run.claims, run.steps) == (1, 0, 3)
    assert run.started_at is not None
    assert calls_of(run) == []


def test_a_run_with_a_tool(drive: Drive, add_tool: AddTool) -> None:
    add_tool("test.echo", echo)
    drive()

    run = finish(start({"a": tool("test.echo", {"x": 1})}, ["start -> a"], output="{{ steps.a.output }}"))

    assert output_of(run) == {"x": 1}
    assert types_of(run) == ["run.created", "run.started", "step.started", "step.succeeded", "run.ended"]
    (call,) = calls_of(run)
    assert (call.status, call.kind, call.target, call.path, call.n, call.epoch) == ("succeeded", "tool", "test.echo", "a", 1, 1)
    assert (call.request, call.response, call.settled) == ('{"x":1}', '{"x":1}', 0)
    (attempt,) = attempts_of(run, "a")
    assert (attempt.status, attempt.port, attempt.output, attempt.n) == ("succeeded", "done", '{"x":1}', 1)


def test_a_run_with_a_model(drive: Drive) -> None:
    make_model()
    drive()

    run = finish(start({"a": model("[[sim: say=Good day]]")}, ["start -> a"], output="{{ steps.a.output }}"))

    assert output_of(run) == "Good day"
    assert types_of(run) == ["run.created", "run.started", "step.started", "step.succeeded", "run.ended"]
    assert [call.status for call in calls_of(run)] == ["succeeded"]


def test_a_run_with_an_approval(drive: Drive) -> None:
    drive()
    steps = {"p": approval(payload={"amount": 1})}

    run = start(steps, ["start -> p"], output="{{ [steps.p.outcome, steps.p.payload, steps.p.output.comment] }}")
    decided(request_of(run), comment="fine")
    run = finish(run)

    assert output_of(run) == ["approve", {"amount": 1}, "fine"]
    assert types_of(run) == [
        "run.created",
        "run.started",
        "step.waiting",
        "run.parked",
        "request.answered",
        "run.continued",
        "step.succeeded",
        "run.ended",
    ]
    assert [attempt.status for attempt in attempts_of(run, "p")] == ["succeeded"]


def test_a_run_with_a_map_runs_its_items_side_by_side(drive: Drive, add_tool: AddTool) -> None:
    together, most = 0, 0

    async def slow(x: int) -> int:
        nonlocal together, most
        together += 1
        most = max(most, together)
        await asyncio.sleep(0.02)
        together -= 1
        return x * x

    add_tool("test.slow", slow)
    body = {"steps": {"t": tool("test.slow", {"x": "{{ item }}"})}, "edges": ["start -> t"], "output": "{{ steps.t.output }}"}
    steps = {"m": {"kind": "map", "with": {"over": "range(12)", "concurrency": 4, "body": body}}}
    steps["m"]["with"]["over"] = "input.many"
    drive()

    run = finish(start(steps, ["start -> m"], {"many": list(range(12))}, output="{{ steps.m.output }}"))

    assert output_of(run) == [x * x for x in range(12)]
    assert most == 4
    assert sorted({call.path for call in calls_of(run)}) == sorted(f"m[{n}].t" for n in range(12))
    assert types_of(run).count("step.opened") == 1


def test_a_run_with_nothing_to_do_in_parallel_with_something_ends_once(drive: Drive, add_tool: AddTool) -> None:
    add_tool("test.echo", echo)
    drive()
    steps = {"a": tool("test.echo"), "b": {"kind": "set", "with": {"values": {}}}, "c": tool("test.echo")}

    run = finish(start(steps, ["start -> a", "start -> b", "b -> c"]))

    assert output_of(run) is None
    assert len(calls_of(run)) == 2


def test_an_error_edge_hands_the_run_on_with_the_error_in_scope(drive: Drive, add_tool: AddTool) -> None:
    async def broken() -> None:
        raise ValueError("out of paper")

    add_tool("test.broken", broken)
    add_tool("test.echo", echo)
    steps = {"a": tool("test.broken"), "b": tool("test.echo", {"why": "{{ error }}"})}
    drive()

    run = finish(start(steps, ["start -> a", "a.error -> b"], output="{{ steps.b.output.why }}"))

    why = output_of(run)
    assert why == {"step": "a", "class": "internal", "message": "test.broken: ValueError: out of paper", "attempts": 1}
    assert "step.failed" in types_of(run)


def test_a_failure_without_an_error_edge_fails_the_run_once_the_others_are_home(drive: Drive, add_tool: AddTool) -> None:
    async def broken() -> None:
        raise ValueError("out of paper")

    async def slow() -> str:
        await asyncio.sleep(0.2)
        return "home"

    add_tool("test.broken", broken)
    add_tool("test.slow", slow)
    drive()

    run = finish(
        start({"a": tool("test.broken"), "b": tool("test.slow"), "c": tool("test.slow")}, ["start -> a", "start -> b", "b -> c"])
    )

    assert (run.status, run.reason) == ("failed", "internal")
    assert error_of(run)["step"] == "a"
    assert {call.path: call.status for call in calls_of(run)} == {"a": "failed_final", "b": "succeeded"}


def test_an_output_that_cannot_be_made_fails_the_run(drive: Drive, add_tool: AddTool) -> None:
    async def nothing() -> None:
        return None

    add_tool("test.nothing", nothing)
    drive()

    run = finish(start({"a": tool("test.nothing")}, ["start -> a"], output="{{ steps.a.output.x }}"))

    assert (run.status, error_of(run)["step"]) == ("failed", "output")


def test_many_runs_end_each_with_its_own_output(drive: Drive, add_tool: AddTool) -> None:
    add_tool("test.echo", echo)
    drive(capacity=10)
    steps = {"a": tool("test.echo", {"n": "{{ input.n }}"})}
    runs = [start(steps, ["start -> a"], {"n": n}, output="{{ steps.a.output.n }}") for n in range(25)]

    assert [output_of(finish(run)) for run in runs] == list(range(25))


def test_a_tool_that_the_catalogue_does_not_have_fails_its_step_and_says_so(drive: Drive) -> None:
    drive()

    run = finish(start({"a": tool("no.such")}, ["start -> a"]))

    assert error_of(run)["class"] == "bad_request"
    assert "no tool named 'no.such'" in error_of(run)["message"]


def test_a_fault_in_a_steps_own_code_fails_the_run_and_keeps_the_engine(
    drive: Drive, add_tool: AddTool, monkeypatch: Any
) -> None:
    add_tool("test.echo", echo)
    engine = drive()

    def broken(*_: Any) -> Any:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("flows.steps.calling.dump", broken)
    first = finish(start({"a": tool("test.echo")}, ["start -> a"]))
    monkeypatch.undo()
    second = finish(start({"a": tool("test.echo")}, ["start -> a"]))

    assert error_of(first)["message"].startswith("RuntimeError in the step's own code")
    assert second.status == "succeeded"
    assert engine.drivers == {}


def test_a_message_with_a_lone_surrogate_fails_the_step_not_the_engine(drive: Drive, add_tool: AddTool) -> None:
    async def broken() -> None:
        raise ValueError("bad \ud800 text \x00")

    add_tool("test.broken", broken)
    drive(lease=60.0)

    run = finish(start({"a": tool("test.broken")}, ["start -> a"]), within=20)

    assert error_of(run)["step"] == "a"


def test_a_result_with_a_lone_surrogate_can_be_asked_about(drive: Drive, add_tool: AddTool) -> None:
    async def odd() -> Any:
        return {"x": "bad \ud800 text"}

    add_tool("test.odd", odd)
    drive(lease=60.0)
    run = start({"a": tool("test.odd"), "p": approval(payload="{{ steps.a.output }}")}, ["start -> a", "a -> p"])

    decided(request_of(run))

    assert finish(run, within=20).status == "succeeded"


def test_a_question_that_is_too_large_to_keep_fails_its_step(drive: Drive, add_tool: AddTool) -> None:
    async def large() -> Any:
        return ["x" * 1000] * 2500

    add_tool("test.large", large)
    drive(lease=60.0)
    steps = {"a": tool("test.large"), "p": approval(payload={}, show="{{ [steps.a.output, steps.a.output] }}")}

    run = finish(start(steps, ["start -> a", "a -> p"]), within=20)

    assert error_of(run)["step"] == "p"


def test_state_that_is_too_large_to_keep_fails_its_step(drive: Drive, add_tool: AddTool) -> None:
    async def large() -> Any:
        return ["x" * 1000] * 2500

    add_tool("test.large", large)
    drive(lease=60.0)
    steps = {"a": tool("test.large"), "b": {"kind": "set", "with": {"state": {"s": "{{ [steps.a.output, steps.a.output] }}"}}}}

    run = finish(start(steps, ["start -> a", "a -> b"], state={"s": 0}), within=20)

    assert error_of(run)["step"] == "b"


def test_a_version_that_cannot_be_compiled_any_more_fails_its_run(drive: Drive) -> None:
    run = make_run(make_flow(document="orchestrator: 1\nname: Old\nsteps: {a: {kind: gone}}\nedges: [start -> a]\n"))
    drive(lease=60.0)

    run = finish(run, within=20)

    assert run.status == "failed"
    assert Run.objects.get(id=run.id).claims <= 4
