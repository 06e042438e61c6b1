"""Sub-flows: another flow inside the run, with its own input, steps, state and output, in one version for ever."""

from __future__ import annotations

from flows.engine.failures import BadRequest
from flows.engine.plan import Child
from flows.engine.planner import MAX_DEPTH
from tests.engine.course import Course, approval, child, children, course, each, loop, subflow, tool, value
from tests.engine.flows import make_flow

OTHER = child({"t": tool()}, ["start -> t"], output="{{ [input.n, steps.t.output] }}", input={"type": "object"})


def test_it_runs_the_other_flows_steps_at_paths_below_its_own() -> None:
    run = course({"sub": subflow(given={"n": "{{ 1 + 1 }}"})}, ["start -> sub"], known=(OTHER,), output="{{ steps.sub.output }}")

    assert run.begun == ["sub"]
    run.enters("sub").done("sub/t", "x")

    assert run.begun == ["sub", "sub/t"]
    assert run.ended == ("succeeded", [2, "x"])


def test_it_sees_its_own_input_and_steps_only_and_the_runs_names() -> None:
    names = child({"v": value("[input, get(steps, 'before', 'no'), run.id]")}, ["start -> v"], output="{{ steps.v.output.v }}")
    steps = {"before": value("1"), "sub": subflow(given={"a": 1})}
    run = course(steps, ["start -> before", "before -> sub"], {"b": 2}, known=(names,), output="{{ steps.sub.output }}")

    run.enters("sub")

    assert run.ended == ("succeeded", [{"a": 1}, "no", "run_1"])


def test_its_state_is_its_own() -> None:
    counts = child(
        {"s": {"kind": "set", "with": {"state": {"n": "{{ state.n + 1 }}"}}}, "t": tool()},
        ["start -> s", "s -> t"],
        state={"n": 10},
        output="{{ state.n }}",
    )
    steps = {"s": {"kind": "set", "with": {"state": {"n": "{{ state.n + 1 }}"}}}, "sub": subflow()}
    run = course(steps, ["start -> s", "s -> sub"], known=(counts,), state={"n": 0}, output="{{ [state.n, steps.sub.output] }}")

    run = run.enters("sub").again()
    assert run.planner.levels["sub/"].state == {"n": 11}
    run.done("sub/t")

    assert run.ended == ("succeeded", [1, 11])


def test_the_version_that_it_began_with_is_written_down_and_kept() -> None:
    older, newer = child({"a": tool()}, ["start -> a"]), child({"b": tool()}, ["start -> b"], number=2)
    run = course({"sub": subflow(given={"n": 1})}, ["start -> sub"], known=(older,)).enters("sub")

    opened = run.recorded("sub").checkpoint
    again = Course(run.flow, journal=run.journal, children={**children(newer), older.version: older})

    assert opened == {"flow": "other", "number": 1, "version": "other-1", "input": {"n": 1}}
    assert again.begun == ["sub/a"]


def test_its_input_stays_what_it_was_when_the_step_began() -> None:
    steps = {"s": tool(), "sub": subflow(given={"n": "{{ state.n }}"}), "c": {"kind": "set", "with": {"state": {"n": 2}}}}
    run = course(steps, ["start -> sub", "start -> s", "s -> c"], known=(OTHER,), state={"n": 1}, output="{{ steps.sub.output }}")

    run.done("s").enters("sub")
    run = run.again().done("sub/t", 0)

    assert run.ended == ("succeeded", [1, 0])


def test_a_flow_that_is_not_there_fails_the_step() -> None:
    run = course({"sub": subflow()}, ["start -> sub"]).fails("sub", BadRequest("There is no flow 'other'."))

    assert run.error["message"] == "There is no flow 'other'."


def test_a_failure_inside_takes_the_steps_error_edge() -> None:
    steps = {"sub": subflow(), "x": value("[error.step, error.message]")}
    run = course(steps, ["start -> sub", "sub.error -> x"], known=(OTHER,), output="{{ steps.x.output.v }}")

    run.enters("sub").fails("sub/t")

    assert run.ended == ("succeeded", ["sub", "sub/t: wrong"])


def test_an_approval_inside_a_sub_flow_in_a_loop_in_a_map_resumes_the_right_step() -> None:
    inner = child({"ask": approval(), "t": tool()}, ["start -> ask", "ask.approve -> t"], output="{{ steps.t.output }}")
    body = loop({"sub": subflow()}, ["start -> sub"], "{{ steps.sub.output }}", until="loop.previous == 'ok'")
    steps = {"m": each("[1, 2]", {"l": body}, ["start -> l"], "{{ steps.l.output }}")}
    run = course(steps, ["start -> m"], known=(inner,), output="{{ steps.m.output }}")
    yes = {"outcome": "approve", "payload": None}

    run.enters("m[0].l[0].sub").waits("m[0].l[0].sub/ask").enters("m[1].l[0].sub").waits("m[1].l[0].sub/ask")
    run = run.again().done("m[1].l[0].sub/ask", yes, "approve").done("m[1].l[0].sub/t", "ok")
    run = run.again().done("m[0].l[0].sub/ask", yes, "approve").done("m[0].l[0].sub/t", "no")
    run = run.again().enters("m[0].l[1].sub").waits("m[0].l[1].sub/ask").done("m[0].l[1].sub/ask", yes, "approve")
    run.done("m[0].l[1].sub/t", "ok")

    assert run.ended == ("succeeded", ["ok", "ok"])


def test_when_its_branch_has_failed_meanwhile_it_does_not_begin() -> None:
    steps = {"sub": subflow(), "t": tool()}
    run = course(steps, ["start -> sub", "start -> t"], known=(OTHER,)).fails("t").enters("sub")

    assert run.begun == ["sub", "t"]
    assert run.ended[0] == "failed"


def test_flows_that_call_each_other_without_bound_are_stopped() -> None:
    endless = Child(make_flow({"sub": subflow("endless")}, ["start -> sub"]), "endless", 1, "endless-1")
    run = course({"sub": subflow("endless")}, ["start -> sub"], known=(endless,))

    path = "sub"
    while path in run.flying:
        run.enters(path)
        path += "/sub"

    assert path.count("sub") == MAX_DEPTH + 2
    assert run.error["class"] == "bad_request"
    assert "Sub-flows stand in one another more than 10 deep" in run.error["message"]
    assert run.error["message"].count("endless") == MAX_DEPTH + 1


def test_paths_that_would_be_too_long_fail_the_step() -> None:
    key = "k" * 60
    long = Child(make_flow({key: subflow("long")}, [f"start -> {key}"]), "long", 1, "long-1")
    run = course({key: subflow("long")}, [f"start -> {key}"], known=(long,))

    path = key
    while path in run.flying:
        run.enters(path)
        path += f"/{key}"

    assert "would be longer than 400 characters" in run.error["message"]


def test_its_limits_are_at_hand_where_it_runs() -> None:
    limited = child({"t": tool()}, ["start -> t"], limits={"cost": "0.50"})
    run = course({"sub": subflow()}, ["start -> sub"], known=(limited,)).enters("sub")

    limits = run.planner.tasks["sub/t"].frame.level.flow.document.limits

    assert limits is not None
    assert str(limits.cost) == "0.50"
