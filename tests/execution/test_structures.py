"""Loops, sub-flows and error handlers on a real engine: nested, parked, and taken up after their worker is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from flows.models import Attempt, Event, Flow, FlowVersion, Request, Run
from tests.engine.course import each, loop, subflow, value
from tests.engine.flows import source_of
from tests.execution.conftest import AddTool, Drive
from tests.execution.runs import approval, attempts_of, decided, error_of, finish, output_of, reach, start, tool, types_of, until
from tests.makers import make_flow


async def echo(**arguments: Any) -> dict[str, Any]:
    return arguments


async def refuse() -> None:
    raise ValueError("no such account")


def other(steps: dict[str, Any], edges: list[str], slug: str = "other", **more: Any) -> Flow:
    """A published flow that sub-flows run."""
    return make_flow(slug, document=source_of(steps, edges, **more))


def republish(flow: Flow, steps: dict[str, Any], edges: list[str], **more: Any) -> None:
    version = FlowVersion.objects.create(flow=flow, number=2, document=source_of(steps, edges, **more), hash="2")
    Flow.objects.filter(id=flow.id).update(published=version)


def test_a_loop_runs_until_its_condition_holds(drive: Drive, add_tool: AddTool) -> None:
    add_tool("test.echo", echo)
    drive()
    body = {"t": tool("test.echo", {"n": "{{ loop.round }}", "was": "{{ loop.previous }}"})}
    steps = {"again": loop(body, ["start -> t"], "{{ steps.t.output.n }}", until="steps.t.output.n == 3", max=9)}

    run = finish(start(steps, ["start -> again"], output="{{ steps.again.output }}"))

    assert output_of(run) == 3
    assert types_of(run).count("step.opened") == 1
    assert types_of(run).count("step.round") == 3
    assert len(Attempt.objects.filter(run=run, path__startswith="again")) == 4


def test_an_approval_in_a_sub_flow_in_a_loop_in_a_map_goes_on_at_its_place(drive: Drive, add_tool: AddTool) -> None:
    add_tool("test.echo", echo)
    ask = approval(title="May {{ input.who }}?", payload={"who": "{{ input.who }}"}, outcomes={"yes": "approve", "no": "reject"})
    other(
        {"ask": ask, "t": tool("test.echo", {"who": "{{ input.who }}"})},
        ["start -> ask", "ask.yes -> t"],
        output="{{ steps.ask.outcome }}",
        input={"type": "object"},
    )
    drive()
    rounds = loop(
        {"sub": subflow(given={"who": "{{ item }}"})}, ["start -> sub"], "{{ steps.sub.output }}", until="loop.previous == 'yes'"
    )
    steps = {"each": each("['a', 'b']", {"l": rounds}, ["start -> l"], "{{ [item, steps.l.output] }}")}

    run = start(steps, ["start -> each"], output="{{ steps.each.output }}")
    first = open_requests(run, 2)
    decided(first["each[1].l[0].sub/ask"], "no")
    decided(first["each[0].l[0].sub/ask"], "yes")
    second = until(lambda: Request.objects.filter(run=run, path="each[1].l[1].sub/ask", state="pending").first())
    assert second is not None
    decided(second, "yes")
    run = finish(run)

    assert output_of(run) == [["a", "yes"], ["b", "yes"]]
    assert [call.path for call in run.calls.order_by("path")] == ["each[0].l[0].sub/t", "each[1].l[1].sub/t"]


def open_requests(run: Run, count: int) -> dict[str, Request]:
    def look() -> dict[str, Request]:
        found = {request.path: request for request in Request.objects.filter(run=run, state="pending")}
        return found if len(found) == count else {}

    return until(look)


def test_a_sub_flow_keeps_its_version_and_its_state_is_its_own(drive: Drive) -> None:
    bump = {"kind": "set", "with": {"state": {"n": "{{ state.n + 1 }}"}}}
    flow = other(
        {"bump": bump, "ask": approval(payload={})}, ["start -> bump", "bump -> ask"], state={"n": 10}, output="{{ state.n }}"
    )
    drive()
    steps = {"bump": bump, "sub": subflow()}

    run = reach(
        start(steps, ["start -> bump", "bump -> sub"], state={"n": 0}, output="{{ [state.n, steps.sub.output] }}"),
        "waiting_approval",
    )
    republish(flow, {"v": value()}, ["start -> v"], output="new")
    decided(Request.objects.get(run=run, path="sub/ask"))
    run = finish(run)

    assert output_of(run) == [1, 11]
    (opened,) = Event.objects.filter(run_id=run.id, type="step.opened", path="sub")
    assert '"number":1' in (opened.data or "")


@pytest.mark.parametrize(
    ("settings", "error_class", "said"),
    [
        ({"flow": "nowhere"}, "bad_request", "There is no flow 'nowhere'."),
        ({"version": 7}, "bad_request", "The flow other has no version 7."),
        ({"input": {"n": "x"}}, "invalid_input", "The input for version 1 of other does not fit: input.n: "),
    ],
)
def test_a_sub_flow_that_cannot_begin_fails_its_step(drive: Drive, settings: dict[str, Any], error_class: str, said: str) -> None:
    other({"v": value()}, ["start -> v"], input={"type": "object", "properties": {"n": {"type": "integer"}}})
    drive()
    steps = {"sub": {"kind": "subflow", "with": {"flow": "other", **settings}}}

    run = finish(start(steps, ["start -> sub"]))

    assert run.status == "failed"
    assert error_of(run)["class"] == error_class
    assert error_of(run)["message"].startswith(said)


def test_an_archived_flow_and_one_without_a_version_cannot_be_run(drive: Drive) -> None:
    other({"v": value()}, ["start -> v"])
    make_flow("draft", document=source_of({"v": value()}, ["start -> v"]), published=False)
    Flow.objects.filter(slug="other").update(archived_at="2026-01-01T00:00:00Z")
    drive()

    archived, draft = (finish(start({"sub": subflow(slug)}, ["start -> sub"])) for slug in ("other", "draft"))

    assert error_of(archived)["message"] == "The flow other is archived."
    assert error_of(draft)["message"] == "The flow draft is not published."


def test_a_flow_that_runs_itself_without_bound_is_stopped(drive: Drive) -> None:
    other({"sub": subflow("endless")}, ["start -> sub"], "endless")
    drive()

    run = finish(start({"sub": subflow("endless")}, ["start -> sub"]))

    assert run.status == "failed"
    assert "Sub-flows stand in one another more than 10 deep" in error_of(run)["message"]


def test_the_purse_of_the_run_holds_in_its_sub_flows(drive: Drive, add_tool: AddTool) -> None:
    add_tool("test.echo", echo)
    other({"t": tool("test.echo")}, ["start -> t"])
    drive()
    steps = {"m": each("[1, 2, 3, 4, 5]", {"sub": subflow()}, ["start -> sub"], concurrency=1)}

    run = finish(start(steps, ["start -> m"], run_limits={"steps": 6, "at_limit": "stop"}))

    assert (run.status, run.reason) == ("budget_stopped", "steps")


def test_a_failed_run_is_handled_by_its_flow(drive: Drive, add_tool: AddTool) -> None:
    add_tool("test.refuse", refuse)
    add_tool("test.echo", echo)
    drive()
    handler = {
        "steps": {"notify": tool("test.echo", {"text": "{{ error.step }}: {{ error.class }}"})},
        "edges": ["start -> notify"],
    }

    run = finish(start({"a": tool("test.refuse")}, ["start -> a"], on_error=handler))

    assert run.status == "failed"
    assert error_of(run)["step"] == "a"
    (notified,) = attempts_of(run, "error.notify")
    assert notified.status == "succeeded"
    assert (notified.output or "").startswith('{"text":"a: ')
    assert types_of(run)[-4:] == ["step.started", "step.succeeded", "handler.succeeded", "run.ended"]


def test_a_handler_that_fails_does_not_replace_the_error(drive: Drive, add_tool: AddTool) -> None:
    add_tool("test.refuse", refuse)
    drive()
    handler = {"steps": {"notify": tool("test.refuse")}, "edges": ["start -> notify"]}

    run = finish(start({"a": tool("test.refuse")}, ["start -> a"], on_error=handler))

    assert error_of(run)["step"] == "a"
    assert types_of(run)[-2:] == ["handler.failed", "run.ended"]


def test_a_handler_that_asks_rests_and_goes_on(drive: Drive, add_tool: AddTool) -> None:
    add_tool("test.refuse", refuse)
    add_tool("test.echo", echo)
    drive()
    handler = {"steps": {"ask": approval(payload={}), "t": tool("test.echo")}, "edges": ["start -> ask", "ask.approve -> t"]}

    run = reach(start({"a": tool("test.refuse")}, ["start -> a"], on_error=handler), "waiting_approval")
    decided(Request.objects.get(run=run, path="error.ask"))
    run = finish(run)

    assert (run.status, error_of(run)["step"]) == ("failed", "a")
    assert [each.status for each in attempts_of(run, "error.t")] == ["succeeded"]


class Gate:
    """A tool that lets each call through when the test says so."""

    def __init__(self) -> None:
        self.open = 0
        self.calls: list[int] = []

    def tool(self) -> Any:
        async def gate(n: int) -> int:
            self.calls.append(n)
            while n > self.open:
                await asyncio.sleep(0.01)
            return n

        return gate


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open = 10**9


def test_a_loop_whose_worker_is_gone_goes_on_in_its_round(drive: Drive, add_tool: AddTool, gate: Gate) -> None:
    add_tool("test.gate", gate.tool())
    other(
        {"t": tool("test.gate", {"n": "{{ input.n }}"})}, ["start -> t"], input={"type": "object"}, output="{{ steps.t.output }}"
    )
    first = drive(lease=1.0)
    body = {
        "s": {"kind": "set", "with": {"state": {"seen": "{{ state.seen + [loop.round] }}"}}},
        "sub": subflow(given={"n": "{{ loop.round }}"}),
    }
    rounds = loop(body, ["start -> s", "s -> sub"], "{{ (loop.previous or []) + [steps.sub.output] }}", max=6)

    run = start({"l": rounds}, ["start -> l"], state={"seen": []}, output="{{ [steps.l.output, state.seen] }}")
    gate.open = 3
    until(lambda: gate.calls == [1, 2, 3, 4])
    first.stop(5.0)
    gate.open = 6
    drive(lease=1.0)
    run = finish(run)

    assert output_of(run) == [[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]]
    assert gate.calls == [1, 2, 3, 4, 4, 5, 6]
