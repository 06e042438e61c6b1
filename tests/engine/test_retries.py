"""Containers that are tried again: in the steps that failed inside them, and in nothing that succeeded."""

from __future__ import annotations

from typing import Any

import pytest

from flows.engine.failures import BadRequest, Unavailable
from tests.engine.course import child, course, each, loop, subflow, tool
from tests.engine.flows import make_flow

DOWN = Unavailable("down")
START = ["start -> each"]
OTHER = child({"a": tool()}, ["start -> a"], on_error={"steps": {"tidy": tool()}, "edges": ["start -> tidy"]})


def one_loop(step: dict[str, Any], **retry: Any) -> dict[str, Any]:
    return {"each": loop({"a": step}, ["start -> a"], max=1) | {"retry": retry}}


def test_a_map_is_tried_again_in_the_items_that_failed() -> None:
    run = course({"each": each("[1, 2, 3]", {"a": tool()}, ["start -> a"]) | {"retry": {"attempts": 3}}}, START)
    run.done("each[0].a").done("each[2].a")

    run.fails("each[1].a", DOWN).resume("each[1].a").fails("each[1].a", DOWN).resume("each[1].a").done("each[1].a")

    assert run.begun == ["each[0].a", "each[1].a", "each[2].a", "each[1].a", "each[1].a"]
    assert run.ended[0] == "succeeded"


def test_it_fails_when_its_attempts_are_used_up() -> None:
    run = course(one_loop(tool(), attempts=2), START)

    run.fails("each[0].a", DOWN).resume("each[0].a").fails("each[0].a", DOWN)

    assert run.begun == ["each[0].a"] * 2
    assert run.error["class"] == "unavailable"


def test_a_class_that_its_policy_does_not_name_fails_it_at_once() -> None:
    run = course(one_loop(tool(), attempts=3, on=["rate_limit"]), START).fails("each[0].a", DOWN)

    assert run.retries == []


def test_each_try_of_it_gives_the_steps_inside_all_their_attempts() -> None:
    inner = {"attempts": 2, "first": "1s", "backoff": "fixed"}
    run = course(one_loop(tool(retry=inner), attempts=2, first="20s", backoff="fixed"), START)

    for _ in range(3):
        run.fails("each[0].a", DOWN).resume("each[0].a")
    run.fails("each[0].a", DOWN)

    assert [round(retry.delay / 20) for retry in run.retries] == [0, 1, 0]
    assert run.ended[0] == "failed"


def test_containers_inside_containers_multiply() -> None:
    inside = one_loop(tool(), attempts=2)["each"]
    run = course({"each": each("[1]", {"b": inside}, ["start -> b"]) | {"retry": {"attempts": 3}}}, START)

    while not run.end:
        run.fails("each[0].b[0].a", DOWN)
        if not run.end:
            run.resume("each[0].b[0].a")

    assert len(run.begun) == 6


def test_a_failure_that_is_taken_care_of_inside_is_not_tried_again() -> None:
    inside = loop({"a": tool(), "b": tool()}, ["start -> a", "a.error -> b"])
    run = course({"each": inside | {"retry": {"attempts": 3}}}, START)

    run.fails("each[0].a", DOWN)

    assert run.retries == []
    assert run.begun[-1] == "each[0].b"


def test_an_item_of_a_map_that_collects_is_tried_again_and_nothing_around_it() -> None:
    inside = each("[1]", {"a": tool()}, ["start -> a"], on_item_error="collect") | {"retry": {"attempts": 2}}
    run = course({"each": loop({"m": inside}, ["start -> m"]) | {"retry": {"attempts": 3}}}, START)

    run.fails("each[0].m[0].a", DOWN).resume("each[0].m[0].a").fails("each[0].m[0].a", DOWN)

    assert len(run.retries) == 1
    assert run.end is None  # the item's error is collected, and the next round begins


def test_a_sub_flow_is_tried_again_before_its_error_handler_runs() -> None:
    run = course({"sub": subflow(retry={"attempts": 2})}, ["start -> sub"], known=(OTHER,)).enters("sub")

    run.fails("sub/a", DOWN)
    again = run.again().resume("sub/a").fails("sub/a", DOWN)

    assert run.handled == []
    assert [each.path for each in again.handled] == ["sub/error"]
    assert again.begun == ["sub/a", "sub/error.tidy"]


def test_after_a_crash_no_attempt_is_given_twice() -> None:
    run = course(one_loop(tool(), attempts=2), START).fails("each[0].a", DOWN)

    again = run.again().resume("each[0].a").fails("each[0].a", DOWN)

    assert again.retries == []
    assert again.ended[0] == "failed"


def test_a_step_in_an_error_handler_is_tried_by_its_own_policy_only() -> None:
    run = (
        course({"sub": subflow(retry={"attempts": 2})}, ["start -> sub"], known=(OTHER,))
        .enters("sub")
        .fails("sub/a", BadRequest("x"))
    )

    run.fails("sub/error.tidy", DOWN)

    assert run.retries == []
    assert run.error["class"] == "bad_request"


def test_a_wait_whose_time_is_over_is_tried_again_where_nothing_else_is_said() -> None:
    run = course({"w": {"kind": "wait", "with": {"event": "go", "timeout": "1s"}, "retry": {"attempts": 2}}}, ["start -> w"])

    run.waits("w").done("w", None, "timeout").resume("w").waits("w").done("w", None, "timeout")

    assert [retry.error["class"] for retry in run.retries] == ["timeout"]
    assert run.error["class"] == "timeout"


@pytest.mark.parametrize("kind", ["map", "loop", "subflow"])
def test_retry_may_stand_on_every_container(kind: str) -> None:
    body = {"steps": {"a": tool()}, "edges": ["start -> a"]}
    settings = {"map": {"over": "input", "body": body}, "loop": {"max": 1, "body": body}, "subflow": {"flow": "other"}}

    flow = make_flow({"c": {"kind": kind, "with": settings[kind], "retry": {"attempts": 2}}}, ["start -> c"], lenient=True)

    assert flow.graph.nodes["c"].retry.attempts == 2
