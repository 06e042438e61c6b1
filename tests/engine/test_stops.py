"""A check that stops fails the run, whatever the flow had planned for the failure of the step or of what stands around it."""

from __future__ import annotations

from typing import Any

import pytest

from flows.engine.courses import Outcome, next_course
from tests.engine.course import course, each, loop, tool, value

STOPS = {
    "kind": "check",
    "with": {"value": "abc", "rules": [{"type": "length", "max": 2, "then": "stop", "message": "too long"}]},
}
GOES_ON = STOPS | {"on_error": "continue"}
EDGES = ["start -> c", "c.error -> after", "c.pass -> after"]


def test_no_error_edge_takes_it() -> None:
    run = course({"c": STOPS, "after": tool()}, EDGES)

    assert run.begun == []
    assert run.error == {"step": "c", "class": "check_failed", "message": "too long"}


def test_on_error_continue_does_not_go_on() -> None:
    run = course({"c": GOES_ON, "after": tool()}, ["start -> c", "c -> after"])

    assert run.begun == []
    assert run.error["step"] == "c"


def test_no_map_collects_it_and_what_is_in_flight_is_awaited() -> None:
    inside: dict[str, Any] = {"t": tool(), "c": STOPS}
    steps = {"m": each("[1, 2]", inside, ["start -> t", "t -> c"], on_item_error="collect"), "after": tool()}
    run = course(steps, ["start -> m", "m -> after", "m.error -> after"]).done("m[0].t")

    assert run.end is None
    run.done("m[1].t")

    assert run.begun == ["m[0].t", "m[1].t"]
    assert run.error["step"] == "m[0].c"
    assert run.again().error["step"] == "m[0].c"


@pytest.mark.parametrize(
    ("around", "stands"),
    [
        (each("[1]", {"c": GOES_ON}, ["start -> c"], on_item_error="collect"), "succeeded"),
        (loop({"c": GOES_ON}, ["start -> c"]), "open"),
        (each("[1]", {"l": loop({"c": GOES_ON}, ["start -> c"])}, ["start -> l"], on_item_error="collect"), "open"),
    ],
    ids=["in a map", "in a round", "in a round in a map"],
)
def test_a_crash_after_it_does_not_let_the_run_go_on_though_what_stands_around_it_is_behind(
    around: dict[str, Any], stands: str
) -> None:
    run = course({"m": around, "t": tool(), "after": tool()}, ["start -> m", "start -> t", "m -> after"])

    assert run.end is None  # the other branch is in flight
    assert run.recorded("m").status == stands
    again = run.again()

    assert again.begun == []
    assert again.error == run.done("t").error


def test_the_flows_error_handler_runs() -> None:
    handler = {"steps": {"tell": tool()}, "edges": ["start -> tell"]}
    run = course({"c": STOPS, "after": tool()}, EDGES, on_error=handler)

    assert run.begun == ["error.tell"]
    assert run.done("error.tell").error["class"] == "check_failed"


def test_another_pass_does_it_again() -> None:
    flow = course({"before": value(), "c": STOPS, "after": tool()}, ["start -> before", "before -> c", *EDGES[1:]]).flow
    rows = [Outcome(1, "before", "succeeded"), Outcome(2, "c", "failed", fails_run=True)]

    assert next_course(flow, rows).again == ("c",)


def test_another_pass_opens_what_stands_around_it_although_that_was_taken_care_of() -> None:
    steps = {"m": each("[1]", {"t": tool(), "c": STOPS}, ["start -> t", "t -> c"], on_item_error="collect"), "after": tool()}
    flow = course(steps, ["start -> m", "m -> after"]).flow
    rows = [Outcome(1, "m[0].t", "succeeded"), Outcome(2, "m[0].c", "failed", fails_run=True), Outcome(3, "m", "succeeded")]

    found = next_course(flow, rows)

    assert found.kept == (3, 1)
    assert found.reopened == {3}
    assert found.again == ("m[0].c",)
