"""Loops: rounds, `until`, `max`, the port `limit`, what is in scope, and where one goes on after a crash."""

from __future__ import annotations

from typing import Any

import pytest

from flows.engine.kinds import Done
from flows.engine.plan import Record
from tests.engine.course import approval, course, each, loop, one_each, tool, value, wait

DRAFT = {"draft": tool()}


def polish(until: str | None = "steps.draft.output > 2", **settings: Any) -> dict[str, Any]:
    """A loop whose rounds each make one draft."""
    more = {} if until is None else {"until": until}
    return loop(DRAFT, ["start -> draft"], "{{ steps.draft.output }}", **more, **settings)


def test_rounds_run_one_after_the_other_until_the_condition_holds() -> None:
    run = course({"p": polish()}, ["start -> p"], output="{{ steps.p.output }}")

    assert run.begun == ["p[0].draft"]
    run.done("p[0].draft", 1).done("p[1].draft", 2).done("p[2].draft", 3)

    assert run.begun == ["p[0].draft", "p[1].draft", "p[2].draft"]
    assert run.ended == ("succeeded", 3)


def test_until_sees_the_rounds_number_its_output_and_its_steps() -> None:
    until = "loop.round == 2 and loop.previous == steps.draft.output"
    run = course({"p": polish(until, max=10)}, ["start -> p"], output="{{ steps.p.output }}")

    run.done("p[0].draft", "a").done("p[1].draft", "b")

    assert run.ended == ("succeeded", "b")


def test_a_round_knows_its_number_and_what_the_last_one_gave() -> None:
    body = {"v": value("[loop.round, loop.previous]")}
    run = course(
        {"p": loop(body, ["start -> v"], "{{ steps.v.output.v }}", until="loop.round == 3", max=9)},
        ["start -> p"],
        output="{{ steps.p.output }}",
    )

    assert run.ended == ("succeeded", [3, [2, [1, None]]])


def test_at_max_it_leaves_by_its_port_limit_with_the_last_rounds_output() -> None:
    steps = {"p": polish(), "after": value("1"), "late": value("steps.p.output")}
    run = course(steps, ["start -> p", "p -> after", "p.limit -> late"], output="{{ steps.late.output.v }}")

    run.done("p[0].draft", 0).done("p[1].draft", 1).done("p[2].draft", 2)

    assert run.skipped == ["after"]
    assert run.ended == ("succeeded", 2)


def test_at_max_without_a_way_out_it_fails_and_says_why() -> None:
    run = course({"p": polish(max=1)}, ["start -> p"])

    run.done("p[0].draft", 0)

    assert (run.error["step"], run.error["class"]) == ("p", "limit")
    assert run.error["message"] == "`until` was not met after one round, the loop's `max`, and its port `limit` leads nowhere."


def test_without_until_all_rounds_run_and_it_is_done() -> None:
    run = course({"p": polish(None, max=2)}, ["start -> p"], output="{{ steps.p.output }}")

    run.done("p[0].draft", 1).done("p[1].draft", 2)

    assert run.ended == ("succeeded", 2)


def test_a_failed_round_fails_the_loop_and_its_error_edge_is_taken() -> None:
    steps = {"p": polish(), "x": value("error.message")}
    run = course(steps, ["start -> p", "p.error -> x"], output="{{ steps.x.output.v }}")

    run.done("p[0].draft", 1).fails("p[1].draft")

    assert run.ended == ("succeeded", "p[1].draft: wrong")


def test_an_until_that_cannot_be_evaluated_fails_the_loop() -> None:
    run = course({"p": polish("steps.draft.output.score > 1")}, ["start -> p"])

    run.done("p[0].draft", None)

    assert (run.error["step"], run.error["class"]) == ("p", "expression")


def test_rounds_left_behind_are_forgotten() -> None:
    run = course({"p": polish("false", max=100)}, ["start -> p"])

    for index in range(50):
        run.done(f"p[{index}].draft", index)

    assert set(run.planner.tasks) == {"p", "p[50].draft"}


def test_it_goes_on_from_the_last_round_that_was_written_down() -> None:
    run = course({"p": polish("false", max=100)}, ["start -> p"])
    for index in range(50):
        run.done(f"p[{index}].draft", index)

    entries = run.journal.entries()
    again = run.again()

    assert len(entries) == 2  # the loop's own row, and the call of the round that goes on
    assert again.begun == ["p[50].draft"]
    assert again.flying["p[50].draft"].names["loop"] == {"round": 51, "previous": 49}


def test_what_rounds_left_behind_did_to_the_state_is_kept() -> None:
    body = {"s": {"kind": "set", "with": {"state": {"n": "{{ state.n + 1 }}"}}}, "t": tool()}
    steps = {"p": loop(body, ["start -> s", "s -> t"], until="false", max=9)}
    run = course(steps, ["start -> p"], state={"n": 0}).done("p[0].t").done("p[1].t")

    assert run.again().planner.state == {"n": 3}


def test_what_a_finished_map_did_to_the_state_is_kept() -> None:
    body = {"s": {"kind": "set", "with": {"state": {"n": "{{ state.n + 1 }}"}}}}
    steps = {"m": each("[1, 2]", body, ["start -> s"]), "t": tool()}
    run = course(steps, ["start -> m", "m -> t"], state={"n": 0})

    assert run.again().planner.state == {"n": 2}


def test_loops_and_maps_stand_in_one_another() -> None:
    inner = loop({"t": tool()}, ["start -> t"], "{{ steps.t.output }}", until="steps.t.output == 'ok'")
    outer = each("['a', 'b']", {"l": inner}, ["start -> l"], "{{ [item, steps.l.output] }}")
    steps = {"again": loop({"m": outer}, ["start -> m"], "{{ steps.m.output }}", until="loop.round == 2")}
    run = course(steps, ["start -> again"], output="{{ steps.again.output }}")

    run.done("again[0].m[1].l[0].t", "ok").done("again[0].m[0].l[0].t", "no").done("again[0].m[0].l[1].t", "ok")
    run = run.again()
    assert run.flying.keys() == {"again[1].m[0].l[0].t", "again[1].m[1].l[0].t"}
    run.done("again[1].m[0].l[0].t", "ok").done("again[1].m[1].l[0].t", "ok")

    assert run.ended == ("succeeded", [["a", "ok"], ["b", "ok"]])


def test_a_round_may_ask_and_wait() -> None:
    body = {"ask": approval(), "w": wait()}
    steps = {"p": loop(body, ["start -> ask", "ask.reject -> w"], until="steps.ask.outcome == 'approve'")}
    run = course(steps, ["start -> p"]).waits("p[0].ask")

    run = run.again().done("p[0].ask", {"outcome": "reject", "payload": None}, "reject").waits("p[0].w")
    run = run.again().done("p[0].w").waits("p[1].ask")
    run.done("p[1].ask", {"outcome": "approve", "payload": None}, "approve")

    assert run.ended == ("succeeded", None)


def test_an_error_edge_before_a_container_is_in_scope_inside_it() -> None:
    steps = {"t": tool(), "p": loop({"v": value("error.message")}, ["start -> v"], "{{ steps.v.output.v }}", max=1)}
    run = course(steps, ["start -> t", "t.error -> p"], output="{{ steps.p.output }}").fails("t")

    assert run.ended == ("succeeded", "wrong")


def test_rounds_count_as_steps() -> None:
    run = course({"p": polish("false", max=100)}, ["start -> p"], cap=5)

    for index in range(2):
        run.done(f"p[{index}].draft")

    assert run.end is not None
    assert (run.end.status, run.end.reason) == ("budget_stopped", "steps")


@pytest.mark.parametrize("most", [100, 10_000])
def test_ten_thousand_rounds_of_pure_steps_keep_nothing_behind(most: int) -> None:
    body = {"v": value("(loop.previous or 0) + 1")}
    run = course(
        {"p": loop(body, ["start -> v"], "{{ steps.v.output.v }}", max=most)}, ["start -> p"], output="{{ steps.p.output }}"
    )

    assert run.ended == ("succeeded", most)
    assert len(run.planner.tasks) == 1


def test_a_round_writes_its_output_down_together_with_its_last_step() -> None:
    run = course({"p": polish("false")}, ["start -> p"])

    run.planner.succeed("p[0].draft", Done(7))
    decided = [each for each in run.planner.decide() if isinstance(each, Record)]

    assert [(each.path, each.status) for each in decided] == [("p[0].draft", "succeeded"), ("p", "open")]
    assert decided[1].checkpoint == {"round": 1, "previous": 7, "met": False}


def test_a_map_inside_a_loop_starts_afresh_each_round() -> None:
    steps = {"p": loop({"m": one_each("[1, 2]")}, ["start -> m"], "{{ steps.m.output }}", max=2)}
    run = course(steps, ["start -> p"], output="{{ steps.p.output }}")

    for index in range(2):
        run.done(f"p[{index}].m[0].t", index).done(f"p[{index}].m[1].t", index)

    assert run.ended == ("succeeded", [1, 1])


@pytest.mark.parametrize(
    ("inner", "flying"),
    [
        (one_each("[1, 2]", concurrency=1), "s[0].t"),
        (loop(DRAFT, ["start -> draft"]), "s[0].draft"),
        (each("[1]", {"l": loop(DRAFT, ["start -> draft"])}, ["start -> l"]), "s[0].l[0].draft"),
        (each("[1]", {"t": tool(), "u": tool()}, ["start -> t", "t -> u"]), "s[0].t"),
        (each("[1]", {"m": each("[1]", {"t": tool(), "u": tool()}, ["start -> t", "t -> u"])}, ["start -> m"]), "s[0].m[0].t"),
    ],
    ids=["map", "loop", "loop in a map", "steps", "steps in a map"],
)
def test_an_item_that_failed_ends_when_what_is_in_flight_in_a_container_inside_it_has_come_home(
    inner: dict[str, Any], flying: str
) -> None:
    steps = {"m": each("[1]", {"s": inner, "t": tool()}, ["start -> s", "start -> t"], on_item_error="collect")}
    run = course(steps, ["start -> m"], output="{{ steps.m.output[0].error.step }}").fails("m[0].t")

    assert run.end is None
    run.done(f"m[0].{flying}")

    assert run.ended == ("succeeded", "m[0].t")
