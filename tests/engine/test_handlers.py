"""A flow's error handler: when it runs, what it sees, and that the run fails with its own error whatever happens in it."""

from __future__ import annotations

from typing import Any

from flows.engine.failures import BadRequest, TimedOut
from tests.engine.course import approval, child, course, each, subflow, tool, value
from tests.engine.flows import problems_of

NOTIFY: dict[str, Any] = {"steps": {"notify": tool(arguments={"text": "{{ error.message }}"})}, "edges": ["start -> notify"]}
EDGES = ["start -> a", "start -> b"]


def test_it_runs_once_what_is_in_flight_has_come_home() -> None:
    run = course({"a": tool(), "b": tool()}, EDGES, on_error=NOTIFY).fails("a")

    assert run.begun == ["a", "b"]
    run.done("b", 1)
    assert run.begun == ["a", "b", "error.notify"]
    assert run.end is None
    run.done("error.notify")

    assert run.ended[0] == "failed"
    assert [each.status for each in run.handled] == ["open", "succeeded"]


def test_it_sees_the_error_and_what_the_flow_saw() -> None:
    sees = {"steps": {"v": value("[error.step, error.class, error.attempts, steps.a.output, input.x, state.n]")}}
    run = course({"a": tool(), "b": tool()}, EDGES, {"x": 1}, state={"n": 2}, on_error={**sees, "edges": ["start -> v"]})

    run.done("a", "A").fails("b", TimedOut())

    done = run.recorded("error.v").done
    assert done is not None
    assert done.output["v"] == ["b", "timeout", 1, "A", 1, 2]
    assert run.error["step"] == "b"


def test_it_does_not_run_when_the_run_succeeds_or_the_error_is_handled() -> None:
    handled = {"a": tool(), "x": tool()}
    run = course(handled, ["start -> a", "a.error -> x"], on_error=NOTIFY).fails("a").done("x")

    assert run.ended[0] == "succeeded"
    assert run.handled == []


def test_it_does_not_run_when_the_run_is_stopped() -> None:
    run = course({"a": tool(), "b": tool()}, EDGES, on_error=NOTIFY)

    run.planner.stop("budget_stopped", "cost")
    run.fails("a").fails("b")

    assert run.ended[0] == "budget_stopped"
    assert run.handled == []


def test_a_failure_inside_it_is_written_down_and_the_runs_error_stays() -> None:
    run = course({"a": tool()}, ["start -> a"], on_error=NOTIFY).fails("a", BadRequest("first")).fails("error.notify")

    last = run.handled[-1]
    assert (last.status, last.error and last.error["step"]) == ("failed", "error.notify")
    assert run.error["message"] == "first"


def test_an_output_that_cannot_be_evaluated_is_handled_too() -> None:
    run = course({"a": tool()}, ["start -> a"], on_error=NOTIFY, output="{{ steps.a.output.x }}").done("a", None)

    run.done("error.notify")

    assert (run.ended[0], run.error["step"]) == ("failed", "output")


def test_it_may_ask_and_goes_on_after_a_crash_without_beginning_anything_twice() -> None:
    asks = {"steps": {"ask": approval(), "t": tool()}, "edges": ["start -> ask", "ask.approve -> t"]}
    run = course({"a": tool(), "b": tool()}, EDGES, on_error=asks).fails("a").done("b").waits("error.ask")

    run = run.again()
    assert (run.begun, run.handled, list(run.planner.held)) == ([], [], ["error.ask"])
    run.done("error.ask", {"outcome": "approve", "payload": None}, "approve")
    run = run.again().done("error.t")

    assert run.error["step"] == "a"


def test_a_crash_before_it_began_begins_it() -> None:
    run = course({"a": tool(), "b": tool()}, EDGES, on_error=NOTIFY).fails("a")

    run = run.again()
    assert run.handled
    assert run.begun == ["error.notify"]


def test_what_still_waits_is_withdrawn_before_it_begins() -> None:
    run = course({"a": tool(), "b": approval()}, EDGES, on_error=NOTIFY).waits("b").fails("a")

    assert run.withdrawn == ["b"]
    assert "error.notify" in run.begun


def test_it_runs_when_the_run_itself_broke_down_but_not_for_itself() -> None:
    died = {"step": "a", "class": "worker_died", "message": "The worker died 3 times."}
    run = course({"a": tool()}, ["start -> a"], on_error=NOTIFY)
    run.planner.abandon("a")
    run.planner.break_down(died)
    run = run.go().again()

    assert run.begun == ["error.notify"]
    run.planner.abandon("error.notify")
    run.planner.break_down({**died, "step": "error.notify"})
    run.go()

    assert run.error == died


def test_a_sub_flows_own_handler_runs_before_its_step_fails() -> None:
    other = child({"t": tool()}, ["start -> t"], on_error=NOTIFY)
    steps = {"sub": subflow(), "x": value("error.message")}
    run = course(steps, ["start -> sub", "sub.error -> x"], known=(other,), output="{{ steps.x.output.v }}")

    run.enters("sub").fails("sub/t")
    assert list(run.flying) == ["sub/error.notify"]
    run = run.again()
    assert list(run.flying) == ["sub/error.notify"]
    run.done("sub/error.notify")

    assert run.ended == ("succeeded", "sub/t: wrong")


def test_a_sub_flows_handler_begins_after_a_crash_that_came_first() -> None:
    other = child({"t": tool(), "u": tool()}, ["start -> t", "start -> u"], on_error=NOTIFY)
    run = course({"sub": subflow()}, ["start -> sub"], known=(other,)).enters("sub").fails("sub/t")

    run = run.again()

    assert [each.path for each in run.handled] == ["sub/error"]
    assert list(run.flying) == ["sub/error.notify"]


def test_its_steps_may_be_containers() -> None:
    body = {"m": each("[1, 2]", {"t": tool()}, ["start -> t"])}
    run = course({"a": tool()}, ["start -> a"], on_error={"steps": body, "edges": ["start -> m"]}).fails("a")

    run.done("error.m[0].t").done("error.m[1].t")

    assert run.ended[0] == "failed"


def test_what_is_wrong_with_it_is_said_at_its_place() -> None:
    wrong = {"steps": {"n": tool(arguments={"t": "{{ eror.message }}", "u": "{{ steps.zzz.output }}"})}, "edges": ["start -> m"]}

    found = problems_of({"a": tool()}, ["start -> a"], on_error=wrong)

    assert any(each.startswith("on_error.steps.n.with.arguments.t: there is no name `eror`") for each in found), found
    assert any("on_error.steps.n.with.arguments.u: `steps.zzz`" in each for each in found), found
    assert any(each.startswith("on_error.edges[0]: the edge `start -> m` leads to `m`") for each in found), found
