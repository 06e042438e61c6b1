"""The rules by which a run goes on: edges, joins, dead paths, errors, retries, maps, state and limits. No clock, no database."""

from __future__ import annotations

from typing import Any

import pytest

from flows.engine.containers import MAX_ITEMS
from flows.engine.failures import BadRequest, Failure, InvalidOutput, RateLimited, TimedOut, Unavailable, UnknownOutcome
from flows.engine.kinds import Done
from flows.engine.plan import Begin, End, Record
from tests.engine.course import Course, approval, branch, course, each, one_each, tool, value, wait
from tests.engine.flows import make_flow

# ---------------------------------------------------------------------- edges and joins


def test_several_edges_from_one_port_run_in_parallel() -> None:
    run = course({"a": tool(), "b": tool(), "c": tool()}, ["start -> a", "a -> b", "a -> c"])

    run.done("a")

    assert list(run.flying) == ["b", "c"]


def test_several_edges_from_the_start_run_in_parallel() -> None:
    run = course({"a": tool(), "b": tool()}, ["start -> a", "start -> b"])

    assert run.begun == ["a", "b"]
    assert run.end is None


def test_a_join_waits_for_all_taken_edges() -> None:
    run = course({"a": tool(), "b": tool(), "c": tool()}, ["start -> a", "start -> b", "a -> c", "b -> c"])

    run.done("a")
    assert "c" not in run.begun
    run.done("b")

    assert run.begun == ["a", "b", "c"]


def test_a_join_does_not_wait_for_a_dead_edge() -> None:
    steps = {"a": tool(), "x": branch("false"), "y": tool(), "c": tool()}
    run = course(steps, ["start -> a", "start -> x", "x.yes -> y", "y -> c", "a -> c"])

    assert run.skipped == ["y"]
    run.done("a")

    assert run.begun == ["a", "c"]


def test_a_join_that_is_decided_by_a_dead_edge_last_runs() -> None:
    steps = {"a": tool(), "x": tool(), "b": branch("false"), "c": tool()}
    run = course(steps, ["start -> a", "start -> x", "x -> b", "b.yes -> c", "a -> c"])

    run.done("a")
    assert "c" not in run.begun
    run.done("x")

    assert "c" in run.begun


def test_a_join_none_of_whose_edges_is_taken_is_skipped() -> None:
    steps = {"x": branch("false"), "y": branch("false"), "c": tool()}

    run = course(steps, ["start -> x", "start -> y", "x.yes -> c", "y.yes -> c"])

    assert run.begun == []
    assert run.skipped == ["c"]
    assert run.ended == ("succeeded", None)


def test_join_any_runs_once_at_the_first_taken_edge_and_the_other_path_goes_on() -> None:
    steps = {"a": tool(), "b": tool(), "c": tool(join="any"), "d": tool()}
    run = course(steps, ["start -> a", "start -> b", "a -> c", "b -> c", "b -> d"])

    run.done("a")
    assert list(run.flying) == ["b", "c"]
    run.done("b")
    run.done("c")
    run.done("d")

    assert run.begun == ["a", "b", "c", "d"]
    assert run.ended[0] == "succeeded"


def test_join_any_is_skipped_when_all_its_edges_are_dead() -> None:
    steps = {"x": branch("false"), "y": branch("false"), "c": tool(join="any")}

    run = course(steps, ["start -> x", "start -> y", "x.yes -> c", "y.yes -> c"])

    assert run.skipped == ["c"]


def test_the_other_ports_of_a_branch_die() -> None:
    steps = {"x": branch("input.n > 1"), "a": tool(), "b": tool(), "c": tool()}

    run = course(steps, ["start -> x", "x.yes -> a", "x.no -> b", "b -> c"], {"n": 2}, input={"type": "object"})

    assert run.begun == ["a"]
    assert run.skipped == ["b", "c"]


def test_the_output_of_a_skipped_step_is_null() -> None:
    steps = {"x": branch("true"), "a": value("1"), "b": tool(), "j": value("steps.b.output is None")}

    run = course(steps, ["start -> x", "x.yes -> a", "x.no -> b", "a -> j", "b -> j"], output="{{ steps.j.output.v }}")

    assert run.ended == ("succeeded", True)


@pytest.mark.parametrize("length", [2000])
def test_a_dead_path_may_be_two_thousand_steps_long(length: int) -> None:
    steps: dict[str, Any] = {"x": branch("false")} | {f"s{n}": tool() for n in range(length)}
    edges = ["start -> x", "x.yes -> s0", *(f"s{n} -> s{n + 1}" for n in range(length - 1))]

    run = course(steps, edges)

    assert len(run.skipped) == length
    assert run.ended[0] == "succeeded"


def test_a_chain_of_two_thousand_pure_steps_runs() -> None:
    steps = {f"s{n}": {"kind": "set", "with": {"values": {}}} for n in range(2000)}

    run = course(steps, ["start -> s0", *(f"s{n} -> s{n + 1}" for n in range(1999))])

    assert run.ended[0] == "succeeded"


def test_an_outcome_without_an_edge_ends_that_path() -> None:
    run = course({"p": approval(), "a": tool()}, ["start -> p", "p.approve -> a"])

    run.waits("p")
    assert run.end is None
    run.done("p", {"outcome": "reject"}, "reject")

    assert run.skipped == ["a"]
    assert run.ended[0] == "succeeded"


# ---------------------------------------------------------------------- errors


def test_a_failed_step_without_an_error_edge_fails_the_run() -> None:
    run = course({"a": tool(), "b": tool()}, ["start -> a", "a -> b"])

    run.fails("a", BadRequest("no such account"))

    assert run.end == End(
        "failed", "bad_request", error={"step": "a", "class": "bad_request", "message": "no such account", "attempts": 1}
    )
    assert run.begun == ["a"]


@pytest.mark.parametrize(
    ("step", "port", "slug"),
    [
        ({"kind": "wait", "with": {"event": "paid", "timeout": "1h"}}, "timeout", "timeout"),
        ({"kind": "check", "with": {"value": "abc", "rules": [{"type": "length", "max": 1}]}}, "fail", "check_failed"),
    ],
)
def test_an_unconnected_port_that_means_failure_fails_the_step(step: dict[str, Any], port: str, slug: str) -> None:
    run = course({"a": step, "b": tool()}, ["start -> a", "a.done -> b" if port == "timeout" else "a.pass -> b"])

    if port == "timeout":
        run.waits("a").done("a", None, "timeout")

    assert run.end is not None
    assert (run.end.status, run.end.reason) == ("failed", slug)
    assert run.begun.count("b") == 0


def test_a_connected_timeout_is_an_ordinary_port() -> None:
    steps = {"a": {"kind": "wait", "with": {"event": "paid", "timeout": "1h"}}, "b": tool()}
    run = course(steps, ["start -> a", "a.timeout -> b"])

    run.waits("a").done("a", None, "timeout")

    assert list(run.flying) == ["b"]


def test_what_is_in_flight_is_awaited_and_nothing_new_begins_when_the_run_is_failing() -> None:
    steps = {"a": tool(), "b": tool(), "c": tool(), "d": tool()}
    run = course(steps, ["start -> a", "start -> b", "a -> c", "b -> d"])

    run.fails("a")
    assert run.end is None
    run.done("b", 7)

    assert run.begun == ["a", "b"]
    assert run.recorded("b").status == "succeeded"
    assert run.ended[0] == "failed"


def test_a_failing_run_does_not_try_again_and_does_not_wait_for_people() -> None:
    run = course({"a": tool(), "b": tool(retry={"attempts": 3}), "p": approval()}, ["start -> a", "start -> b", "start -> p"])

    run.waits("p").fails("a")
    assert run.withdrawn == ["p"]
    run.fails("b", Unavailable("down"))

    assert run.retries == []
    assert run.ended[0] == "failed"


def test_a_question_that_is_asked_while_the_run_is_failing_is_withdrawn() -> None:
    run = course({"a": tool(), "p": approval()}, ["start -> a", "start -> p"])

    run.fails("a")
    run.waits("p")

    assert run.withdrawn == ["p"]
    assert run.ended[0] == "failed"


def test_the_first_of_two_failures_is_the_runs_error() -> None:
    run = course({"a": tool(), "b": tool()}, ["start -> a", "start -> b"])

    run.fails("b", Unavailable("first")).fails("a", BadRequest("second"))

    assert run.end is not None
    assert run.end.error == {"step": "b", "class": "unavailable", "message": "first", "attempts": 1}


def test_on_error_continue_gives_null_and_goes_on() -> None:
    run = course({"a": tool(on_error="continue"), "b": value("steps.a.output is None")}, ["start -> a", "a -> b"])

    run.fails("a")

    assert run.recorded("b").done == Done({"v": True})
    assert run.ended[0] == "succeeded"


def test_on_error_continue_gives_every_kind_a_way_on() -> None:
    kinds = {"a": branch("1 / 0 > 1"), "b": approval(), "c": {"kind": "check", "with": {"value": 1, "rules": [{"type": "pii"}]}}}
    for key, step in kinds.items():
        flow = make_flow({key: step | {"on_error": "continue"}, "after": tool()}, [f"start -> {key}", f"{key} -> after"])
        assert "done" in flow.graph.nodes[key].ports

    run = course({"a": branch("1 / 0 > 1") | {"on_error": "continue"}, "after": tool()}, ["start -> a", "a -> after"])

    assert run.begun == ["after"]


def test_an_error_edge_is_taken_and_done_dies() -> None:
    run = course({"a": tool(), "b": tool(), "c": tool()}, ["start -> a", "a -> b", "a.error -> c"])

    run.fails("a")

    assert run.begun == ["a", "c"]
    assert run.skipped == ["b"]


def test_a_handled_error_leaves_the_run_succeeded() -> None:
    run = course({"a": tool(), "c": tool()}, ["start -> a", "a.error -> c"], output="{{ steps.c.output }}")

    run.fails("a").done("c", "mended")

    assert run.ended == ("succeeded", "mended")


def test_the_error_is_in_scope_behind_an_error_edge_also_further_downstream() -> None:
    steps = {"a": tool(retry={"attempts": 2}), "b": value("error.message"), "c": value("error")}
    run = course(steps, ["start -> a", "a.error -> b", "b -> c"])

    run.fails("a", Unavailable("down")).resume("a").fails("a", Unavailable("still down"))

    assert run.recorded("b").done == Done({"v": "still down"})
    assert run.recorded("c").done == Done({"v": {"step": "a", "class": "unavailable", "message": "still down", "attempts": 2}})


def test_a_step_that_joined_before_a_later_error_does_not_hear_of_it() -> None:
    steps = {"a": tool(), "b": tool(), "j": tool(join="any"), "k": tool()}
    run = course(steps, ["start -> a", "start -> b", "a -> j", "b.error -> j", "j -> k"])

    run.done("a").fails("b").done("j")

    assert "error" not in run.flying["k"].names


def test_the_error_of_a_step_can_be_looked_up_by_its_key() -> None:
    run = course({"a": tool(), "b": value("steps.a.error.class")}, ["start -> a", "a.error -> b"])

    run.fails("a", RateLimited("slow down"))

    assert run.recorded("b").done == Done({"v": "rate_limit"})


def test_an_expression_that_fails_is_the_steps_failure() -> None:
    run = course({"a": value("1 / 0"), "b": value("error.class")}, ["start -> a", "a.error -> b"])

    assert run.recorded("b").done == Done({"v": "expression"})


# ---------------------------------------------------------------------- retries


def test_a_failure_of_a_listed_class_is_tried_again_up_to_the_number_of_attempts() -> None:
    run = course({"a": tool(retry={"attempts": 3})}, ["start -> a"])

    for _ in range(2):
        run.fails("a", Unavailable("down")).resume("a")
    run.fails("a", Unavailable("down"))

    assert [retry.n for retry in run.retries] == [1, 2]
    assert [each.n for each in run.decisions if isinstance(each, Begin)] == [1, 2, 3]
    assert run.recorded("a").n == 3
    assert run.ended[0] == "failed"


def test_by_default_a_step_is_tried_once() -> None:
    run = course({"a": tool()}, ["start -> a"]).fails("a", Unavailable("down"))

    assert run.retries == []


@pytest.mark.parametrize(
    ("on", "failure", "again"),
    [
        (None, RateLimited("x"), True),
        (None, TimedOut("x"), True),
        (None, InvalidOutput("x"), True),
        (None, BadRequest("x"), False),
        (["bad_request"], BadRequest("x"), True),
        (["bad_request"], Unavailable("x"), False),
    ],
)
def test_what_is_tried_again_goes_by_the_class(on: list[str] | None, failure: Failure, again: bool) -> None:
    retry = {"attempts": 2} | ({"on": on} if on else {})
    run = course({"a": tool(retry=retry)}, ["start -> a"]).fails("a", failure)

    assert bool(run.retries) is again


def test_the_back_off_grows_up_to_its_limit() -> None:
    retry = {"attempts": 6, "backoff": "exponential", "first": "1s", "max": "5s"}
    run = course({"a": tool(retry=retry)}, ["start -> a"])

    for _ in range(5):
        run.fails("a", Unavailable("down")).resume("a")

    for seconds, made in zip((1, 2, 4, 5, 5), run.retries, strict=True):
        assert 0.8 * seconds <= made.delay <= 1.2 * seconds


def test_the_delay_is_spread_the_same_way_every_time_and_differently_for_each_step() -> None:
    steps = {"a": tool(retry={"attempts": 2}), "b": tool(retry={"attempts": 2})}

    def delays() -> list[float]:
        run = course(steps, ["start -> a", "start -> b"])
        return [each.delay for each in run.fails("a", Unavailable("x")).fails("b", Unavailable("x")).retries]

    assert delays() == delays()
    assert len(set(delays())) == 2


def test_the_other_side_may_ask_for_a_longer_wait() -> None:
    run = course({"a": tool(retry={"attempts": 2, "first": "1s"})}, ["start -> a"])

    run.fails("a", RateLimited("slow down", retry_after=40.0))

    assert run.retries[0].delay == 40.0


def test_a_step_that_may_not_be_repeated_is_not_tried_again() -> None:
    run = course({"a": tool(retry={"attempts": 3})}, ["start -> a"])

    run.fails("a", Unavailable("cut", sent=True), repeatable=False)

    assert run.retries == []
    assert run.ended[0] == "failed"


def test_the_deadline_of_a_step_bounds_its_attempts() -> None:
    step = tool(retry={"attempts": 9, "first": "1s", "backoff": "fixed"}, deadline="10s")
    run = course({"a": step}, ["start -> a"])

    run.fails("a", Unavailable("x"), elapsed=5.0).resume("a")
    run.fails("a", Unavailable("x"), elapsed=9.9)

    assert len(run.retries) == 1
    assert run.ended[0] == "failed"


def test_the_deadline_of_a_step_also_bounds_what_the_other_side_asks_for() -> None:
    run = course({"a": tool(retry={"attempts": 2}, deadline="10s")}, ["start -> a"])

    run.fails("a", RateLimited("x", retry_after=60.0), elapsed=1.0)

    assert run.retries == []


def test_another_attempt_sees_what_the_first_one_saw() -> None:
    steps = {
        "a": tool(arguments={"n": "{{ state.n }}"}, retry={"attempts": 2}),
        "w": tool(),
        "s": {"kind": "set", "with": {"state": {"n": 2}}},
    }
    run = course(steps, ["start -> a", "start -> w", "w -> s"], state={"n": 1})

    run.done("w").fails("a", Unavailable("x")).resume("a")

    assert [each.rendered["arguments"] for each in run.decisions if isinstance(each, Begin) and each.path == "a"] == [
        {"n": 1}
    ] * 2


# ---------------------------------------------------------------------- maps


def test_a_map_gives_the_outputs_in_the_order_of_its_items() -> None:
    run = course({"m": one_each("[1, 2, 3]")}, ["start -> m"], output="{{ steps.m.output }}")

    for index in (2, 0, 1):
        run.done(f"m[{index}].t", f"out {index}")

    assert run.ended == ("succeeded", ["out 0", "out 1", "out 2"])


def test_a_map_runs_as_many_items_at_once_as_it_says() -> None:
    run = course({"m": one_each("[1, 2, 3, 4]", concurrency=2)}, ["start -> m"])

    assert list(run.flying) == ["m[0].t", "m[1].t"]
    run.done("m[1].t")

    assert list(run.flying) == ["m[0].t", "m[2].t"]


def test_a_map_over_an_empty_list_gives_an_empty_list() -> None:
    run = course({"m": one_each("[]")}, ["start -> m"], output="{{ steps.m.output }}")

    assert run.ended == ("succeeded", [])


@pytest.mark.parametrize(
    ("over", "words"), [("'abc'", "no list but str"), ("null", "no list but NoneType"), ("input.many", f"at most {MAX_ITEMS}")]
)
def test_a_map_over_what_is_no_list_or_too_long_fails_with_the_reason(over: str, words: str) -> None:
    many = {"many": [0] * (MAX_ITEMS + 1)}

    run = course({"m": one_each(over)}, ["start -> m"], many, input={"type": "object"})

    assert run.end is not None
    assert run.end.error is not None
    assert run.end.error["class"] == "expression"
    assert words in run.end.error["message"]


def test_a_map_that_cannot_open_takes_its_error_edge() -> None:
    run = course({"m": one_each("null"), "b": tool()}, ["start -> m", "m.error -> b"])

    assert list(run.flying) == ["b"]


def test_a_failed_item_begins_no_new_items_and_the_first_error_by_index_wins() -> None:
    run = course({"m": one_each("[1, 2, 3, 4]", concurrency=2), "e": value("error")}, ["start -> m", "m.error -> e"])

    run.fails("m[1].t", BadRequest("second"))
    assert list(run.flying) == ["m[0].t"]
    run.fails("m[0].t", Unavailable("first"))

    assert run.begun == ["m[0].t", "m[1].t"]
    done = run.recorded("e").done
    assert done is not None
    assert done.output["v"] == {"step": "m", "class": "unavailable", "message": "m[0].t: first", "attempts": 1}
    assert run.ended[0] == "succeeded"


def test_collect_keeps_each_items_output_or_error() -> None:
    steps = {"m": one_each("[1, 2]", on_item_error="collect")}
    run = course(steps, ["start -> m"], output="{{ steps.m.output }}")

    run.fails("m[0].t", BadRequest("wrong")).done("m[1].t", 5)

    error = {"step": "m[0].t", "class": "bad_request", "message": "wrong", "attempts": 1}
    assert run.ended == ("succeeded", [{"error": error}, {"output": 5}])


def test_a_body_whose_output_cannot_be_made_has_failed() -> None:
    steps = {"m": each("[1]", {"t": tool()}, ["start -> t"], "{{ steps.t.output.x }}", on_item_error="collect")}
    run = course(steps, ["start -> m"], output="{{ steps.m.output[0].error.step }}")

    run.done("m[0].t", None)

    assert run.ended == ("succeeded", "m[0].output")


def test_maps_inside_maps_have_paths_that_say_where() -> None:
    inner = each("[1]", {"c": tool()}, ["start -> c"], "{{ steps.c.output }}")
    steps = {"a": each("[1, 2]", {"b": inner}, ["start -> b"], "{{ steps.b.output }}")}
    run = course(steps, ["start -> a"], output="{{ steps.a.output }}")

    assert list(run.flying) == ["a[0].b[0].c", "a[1].b[0].c"]
    run.done("a[1].b[0].c", "y").done("a[0].b[0].c", "x")

    assert run.ended == ("succeeded", [["x"], ["y"]])


def test_a_body_sees_item_index_its_own_name_and_the_outer_steps() -> None:
    body = {"t": tool(arguments={"x": "{{ [item, index, word, steps.a.output.v] }}"})}
    steps = {"a": value("9"), "m": each("['p', 'q']", body, ["start -> t"], **{"as": "word"})}

    run = course(steps, ["start -> a", "a -> m"])

    assert [begin.rendered["arguments"]["x"] for begin in run.flying.values()] == [["p", 0, "p", 9], ["q", 1, "q", 9]]


def test_an_item_that_fails_withdraws_what_it_waits_for_and_no_other_item_does() -> None:
    body = {"p": approval(), "t": tool()}
    steps = {"m": each("[1, 2]", body, ["start -> p", "start -> t"], on_item_error="collect")}
    run = course(steps, ["start -> m"])
    for index in (0, 1):
        run.waits(f"m[{index}].p")

    run.fails("m[0].t")

    assert run.withdrawn == ["m[0].p"]
    assert list(run.planner.held) == ["m[1].p"]
    run.done("m[1].t").done("m[1].p", {"outcome": "reject"}, "reject")
    assert run.ended[0] == "succeeded"


def test_an_item_awaits_what_it_has_in_flight_before_it_has_failed() -> None:
    body = {"s": tool(), "t": tool(), "u": tool()}
    steps = {"m": each("[1]", body, ["start -> s", "start -> t", "t -> u"], on_item_error="collect")}
    run = course(steps, ["start -> m"])

    run.fails("m[0].s")
    assert run.end is None
    run.done("m[0].t")

    assert "m[0].u" not in run.begun
    assert run.ended[0] == "succeeded"


def test_a_handled_error_inside_an_item_is_no_error_of_the_map() -> None:
    body = {"t": tool(), "h": value("error.message")}
    steps = {"m": each("[1]", body, ["start -> t", "t.error -> h"], "{{ steps.h.output.v }}")}
    run = course(steps, ["start -> m"], output="{{ steps.m.output }}")

    run.fails("m[0].t", BadRequest("wrong"))

    assert run.ended == ("succeeded", ["wrong"])


def test_ten_thousand_items_of_pure_steps_run() -> None:
    steps = {"m": each("input.items", {"s": value("item")}, ["start -> s"], "{{ steps.s.output.v }}")}

    run = course(
        steps, ["start -> m"], {"items": list(range(MAX_ITEMS))}, input={"type": "object"}, output="{{ len(steps.m.output) }}"
    )

    assert run.ended == ("succeeded", MAX_ITEMS)


# ---------------------------------------------------------------------- state, limits, the end


def count() -> dict[str, Any]:
    return {"kind": "set", "with": {"state": {"log": "{{ state.log + [len(state.log)] }}"}}}


def test_changes_of_state_are_made_in_order_and_each_sees_the_one_before() -> None:
    run = course(
        {"a": count(), "b": count(), "c": count()},
        ["start -> a", "a -> b", "b -> c"],
        state={"log": []},
        output="{{ state.log }}",
    )

    assert run.ended == ("succeeded", [0, 1, 2])


def test_changes_of_state_survive_a_replay() -> None:
    flow = make_flow(
        {"a": count(), "t": tool(), "b": count()}, ["start -> a", "a -> t", "t -> b"], state={"log": []}, output="{{ state.log }}"
    )
    first = Course(flow)

    again = Course(flow, journal=first.journal)

    assert again.planner.state == {"log": [0]}
    assert again.done("t").ended == ("succeeded", [0, 1])


def test_the_cap_on_steps_stops_the_run_before_the_next_one() -> None:
    run = course({"a": tool(), "b": tool(), "c": tool()}, ["start -> a", "a -> b", "b -> c"], cap=2)

    run.done("a").done("b")

    assert run.begun == ["a", "b"]
    assert run.end == End("budget_stopped", "steps")


def test_the_items_of_a_map_count_as_steps() -> None:
    run = course({"m": one_each("[1, 2, 3]", concurrency=1)}, ["start -> m"], cap=4)

    run.done("m[0].t")

    assert run.planner.taken_steps == 4
    assert run.end == End("budget_stopped", "steps")


def test_attempts_do_not_count_as_steps() -> None:
    run = course({"a": tool(retry={"attempts": 3})}, ["start -> a"], cap=1)

    run.fails("a", Unavailable("x")).resume("a").done("a")

    assert run.ended[0] == "succeeded"


def test_the_output_is_made_when_nothing_is_in_flight_any_more() -> None:
    run = course(
        {"a": tool(), "b": tool()},
        ["start -> a", "start -> b"],
        output={"a": "{{ steps.a.output }}", "b": "{{ steps.b.output }}"},
    )

    run.done("a", 1)
    assert run.end is None
    run.done("b", 2)

    assert run.ended == ("succeeded", {"a": 1, "b": 2})


def test_an_output_that_cannot_be_made_fails_the_run() -> None:
    run = course({"a": tool()}, ["start -> a"], output="{{ steps.a.output.x }}").done("a", None)

    assert run.end is not None
    assert (run.end.status, run.end.reason) == ("failed", "expression")
    assert run.end.error is not None
    assert run.end.error["step"] == "output"


def test_a_stop_awaits_what_is_in_flight_and_begins_nothing_new() -> None:
    run = course({"a": tool(), "b": tool()}, ["start -> a", "a -> b"])

    run.planner.stop("budget_stopped", "cost")
    run.planner.stop("failed", "timed_out")
    assert run.go().end is None
    run.done("a")

    assert run.begun == ["a"]
    assert run.end == End("budget_stopped", "cost")


def test_a_stop_does_not_wait_for_people_or_for_another_attempt() -> None:
    run = course({"a": tool(retry={"attempts": 2}), "p": approval()}, ["start -> a", "start -> p"])
    run.waits("p").fails("a", Unavailable("x"))

    run.planner.stop("failed", "timed_out")

    assert run.go().end == End("failed", "timed_out")


def test_what_was_broken_off_lets_the_run_end() -> None:
    run = course({"a": tool(), "b": tool()}, ["start -> a", "start -> b"])
    run.planner.stop("cancelled", "cancelled")

    run.planner.abandon("a")
    assert run.go().end is None
    run.planner.abandon("b")

    assert run.go().end == End("cancelled", "cancelled")


def test_a_stop_ends_a_run_in_the_middle_of_a_map() -> None:
    run = course({"m": one_each("[1, 2, 3]", concurrency=1)}, ["start -> m"])

    run.planner.stop("cancelled", "cancelled")
    run.done("m[0].t")

    assert run.begun == ["m[0].t"]
    assert run.end == End("cancelled", "cancelled")


def test_with_begin_false_what_happened_is_written_and_nothing_begins() -> None:
    run = course({"a": tool(), "b": tool()}, ["start -> a", "a -> b"])
    run.planner.succeed("a", Done(1))

    decided = run.planner.decide(begin=False)

    assert [(type(each), each.path) for each in decided if not isinstance(each, End)] == [(Record, "a")]
    assert run.planner.more


def test_only_what_is_in_flight_can_report() -> None:
    run = course({"a": tool(), "b": tool()}, ["start -> a", "a -> b"])

    with pytest.raises(ValueError, match="b is idle"):
        run.planner.succeed("b", Done())
    run.done("a")
    with pytest.raises(ValueError, match="a is succeeded"):
        run.planner.succeed("a", Done())


# ---------------------------------------------------------------------- replay


def snapshot(run: Course) -> dict[str, Any]:
    """What a run would do now: what is in flight with what it was given, what it waits for, its state and its end."""
    held = {path: (task.status, task.n) for path, task in run.planner.held.items()}
    flying = {path: (begin.n, dict(begin.rendered)) for path, begin in run.flying.items()}
    return {"flying": flying, "held": held, "state": run.planner.state, "end": run.end}


def test_every_prefix_of_every_journal_gives_the_same_next_decisions() -> None:
    """All orders in which two parallel branches, a retry, an approval and a small map can come home, crashed at every point."""
    steps = {
        "a": tool(retry={"attempts": 2}, arguments={"n": "{{ state.n }}"}),
        "p": approval(),
        "s": {"kind": "set", "with": {"state": {"n": "{{ state.n + 1 }}"}}},
        "m": one_each("[1, 2]"),
        "j": tool(arguments={"m": "{{ steps.m.output }}", "n": "{{ state.n }}"}),
        "h": tool(arguments={"why": "{{ error.class }}"}),
    }
    edges = ["start -> a", "start -> p", "a -> m", "a.error -> h", "p.approve -> s", "m -> j", "s -> j"]
    flow = make_flow(steps, edges, state={"n": 0}, output={"n": "{{ state.n }}", "j": "{{ steps.j.output }}"})
    seen = 0
    ends: set[str] = set()

    def happen(events: tuple[tuple[str, str], ...]) -> Course:
        run = Course(flow)
        for what, path in events:
            match what:
                case "done":
                    run.done(path, f"{path} done")
                case "down":
                    run.fails(path, Unavailable("down"))
                case "wait":
                    run.waits(path)
                case "resume":
                    run.resume(path)
                case outcome:
                    run.done(path, {"outcome": outcome}, outcome)
        return run

    def possible(run: Course) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        for path in run.flying:
            found += [("wait", path)] if path == "p" else [("done", path)] + ([("down", path)] if path == "a" else [])
        for path, task in run.planner.held.items():
            found += [("resume", path)] if task.status == "retrying" else [("approve", path), ("reject", path)]
        return found

    todo: list[tuple[tuple[str, str], ...]] = [()]
    while todo:
        events = todo.pop()
        run = happen(events)
        seen += 1
        if run.end is not None:
            ends.add(run.end.status)
            continue
        again = Course(flow, journal=happen(events).journal)
        assert snapshot(again) == snapshot(run), events
        todo += [(*events, event) for event in possible(run)]
    assert ends == {"succeeded"}
    assert seen > 300


def test_a_journal_replayed_twice_decides_the_same() -> None:
    steps = {"m": each("[1, 2, 3]", {"t": tool(), "w": wait()}, ["start -> t", "t -> w"], concurrency=2), "e": tool()}
    flow = make_flow(steps, ["start -> m", "m -> e"])
    run = Course(flow).done("m[1].t").waits("m[1].w").done("m[0].t").done("m[1].w")

    first, second = Course(flow, journal=run.journal), Course(flow, journal=run.journal)

    assert snapshot(first) == snapshot(second)
    assert list(first.flying) == ["m[0].w", "m[2].t"]


def test_what_is_in_a_container_that_has_ended_is_not_taken_up() -> None:
    flow = make_flow({"m": one_each("[1, 2]"), "e": tool()}, ["start -> m", "m -> e"])
    run = Course(flow).done("m[0].t", 1).done("m[1].t", 2)

    again = Course(flow, journal=run.journal)

    assert list(again.flying) == ["e"]
    assert again.planner.root.steps["m"]["output"] == [1, 2]


def test_an_unknown_outcome_is_not_tried_again_unless_the_step_says_so() -> None:
    named = {"attempts": 2, "on": ["unknown_outcome"]}

    assert course({"a": tool(retry={"attempts": 2})}, ["start -> a"]).fails("a", UnknownOutcome("?")).retries == []
    assert len(course({"a": tool(retry=named)}, ["start -> a"]).fails("a", UnknownOutcome("?")).retries) == 1
