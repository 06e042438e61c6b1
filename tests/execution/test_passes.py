"""Runs that go through their flow again: what is redone, what is kept, and which keys the outside world sees."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from flows.engine.failures import Unavailable
from flows.models import Attempt, Event, Request, Run, RunPass
from flows.runs.actions.cancel_run import cancel_run
from flows.runs.actions.retry_run import retry_run
from tests.engine.flows import source_of
from tests.execution.conftest import AddTool, Drive
from tests.execution.runs import calls_of, decided, output_of, reach, request_of, start, tool
from tests.makers import make_actor, make_flow


class Tools:
    """Tools that note what they were asked, and fail where they are told to."""

    def __init__(self) -> None:
        self.asked: Counter[Any] = Counter()
        self.failing: set[Any] = set()

    async def note(self, what: Any = None) -> Any:
        self.asked[what] += 1
        if what in self.failing:
            raise Unavailable("The service is down.")
        return f"{what} {self.asked[what]}"


@pytest.fixture
def noted(add_tool: AddTool) -> Tools:
    tools = Tools()

    async def note(what: str | None = None) -> Any:
        return await tools.note(what)

    add_tool("test.note", note, effect="write", repeat="keyed")
    return tools


def note(what: Any, **more: Any) -> dict[str, Any]:
    return tool("test.note", {"what": what}, **more)


def keys_of(run: Run, path: str) -> list[str]:
    return [str(call.idempotency_key) for call in calls_of(run, path)]


def settled(run: Run, *states: str) -> Run:
    """The run once it is in one of these states and let go, its events without a gap."""
    run = reach(run, *states)
    numbers = list(Event.objects.filter(run_id=run.id).order_by("seq").values_list("seq", flat=True))
    assert numbers == list(range(1, run.seq + 1))
    ends = Event.objects.filter(run_id=run.id, type="run.ended").values_list("pass_number", flat=True)
    assert len(set(ends)) == len(ends)
    return run


CHAIN = {"a": note("a"), "b": note("b"), "c": note("c")}
EDGES = ["start -> a", "a -> b", "b -> c"]


def test_a_retry_does_only_what_failed_and_what_comes_after(drive: Drive, noted: Tools) -> None:
    noted.failing = {"b"}
    run = start(CHAIN, EDGES, output="{{ steps.c.output }}")
    drive()
    run = settled(run, "failed")
    noted.failing = set()

    retry_run(make_actor("operator"), run)
    run = settled(run, "succeeded")

    assert output_of(run) == "c 1"
    assert noted.asked == {"a": 1, "b": 2, "c": 1}
    assert [(call.pass_number, call.path) for call in calls_of(run)] == [(1, "a"), (1, "b"), (2, "b"), (2, "c")]
    assert len(set(keys_of(run, "b"))) == 1  # the failed call may have been done: the same key
    carried = Attempt.objects.filter(run_id=run.id, carried=True)
    assert [(row.pass_number, row.path, row.status) for row in carried] == [(2, "a", "succeeded")]
    assert RunPass.objects.get().redone == []


def test_a_succeeded_step_that_is_run_again_on_purpose_has_another_key(drive: Drive, noted: Tools) -> None:
    run = start(CHAIN, EDGES, output="{{ steps.c.output }}")
    drive()
    run = settled(run, "succeeded")
    operator = make_actor("operator")

    retry_run(operator, run, "b")
    run = settled(reach_pass(run, 2), "succeeded")
    retry_run(operator, run, "c")
    run = settled(reach_pass(run, 3), "succeeded")

    assert noted.asked == {"a": 1, "b": 2, "c": 3}
    assert [len(set(keys_of(run, path))) for path in ("a", "b", "c")] == [1, 2, 3]
    assert list(RunPass.objects.order_by("number").values_list("redone", flat=True)) == [["b", "c"], ["c"]]
    assert output_of(run) == "c 3"


def reach_pass(run: Run, number: int) -> Run:
    run.refresh_from_db()
    assert run.pass_number == number
    return run


MAP = {
    "each": {
        "kind": "map",
        "with": {
            "over": "input.items",
            "concurrency": 1,
            "body": {
                "steps": {"first": note("{{ item }}1"), "second": note("{{ item }}2")},
                "edges": ["start -> first", "first -> second"],
                "output": "{{ steps.second.output }}",
            },
        },
    },
    "after": note("after"),
}
MAP_EDGES = ["start -> each", "each -> after"]


def test_a_retry_inside_a_map_redoes_the_item_and_no_other(drive: Drive, noted: Tools) -> None:
    noted.failing = {"y2"}
    run = start(MAP, MAP_EDGES, {"items": ["x", "y", "z"]}, output="{{ steps.each.output }}")
    drive()
    run = settled(run, "failed")
    noted.failing = set()

    retry_run(make_actor("operator"), run)
    run = settled(run, "succeeded")

    assert output_of(run) == ["x2 1", "y2 2", "z2 1"]
    assert noted.asked == {"x1": 1, "x2": 1, "y1": 1, "y2": 2, "z1": 1, "z2": 1, "after": 1}


def test_one_item_of_a_finished_map_is_run_again_and_what_comes_after_the_map(drive: Drive, noted: Tools) -> None:
    run = start(MAP, MAP_EDGES, {"items": ["x", "y", "z"]}, output="{{ steps.each.output }}")
    drive()
    run = settled(run, "succeeded")

    retry_run(make_actor("operator"), run, "each[0].second")
    run = settled(reach_pass(run, 2), "succeeded")

    assert output_of(run) == ["x2 2", "y2 1", "z2 1"]
    assert noted.asked == {"x1": 1, "x2": 2, "y1": 1, "y2": 1, "z1": 1, "z2": 1, "after": 2}
    assert RunPass.objects.get().redone == ["after", "each[0].second"]
    assert len(set(keys_of(run, "each[0].second"))) == 2


def test_a_cancelled_run_goes_on_where_it_was_broken_off(drive: Drive, noted: Tools) -> None:
    steps = {"a": note("a"), "hold": {"kind": "wait", "with": {"for": "1h"}}, "b": note("b")}
    run = start(steps, ["start -> a", "a -> hold", "hold -> b"])
    drive()
    operator = make_actor("operator")
    cancel_run(operator, settled(run, "waiting"))

    retry_run(operator, run)
    run = settled(run, "waiting")

    assert (run.pass_number, run.cancel_requested) == (2, False)
    assert noted.asked == {"a": 1}


def test_an_approval_that_was_given_holds_in_the_next_pass(drive: Drive, noted: Tools) -> None:
    steps = {
        "ask": {"kind": "approval", "with": {"title": "May it?", "seals": "act", "approvers": {"teams": ["finance"]}}},
        "act": note("act"),
    }
    noted.failing = {"act"}
    run = start(steps, ["start -> ask", "ask.approve -> act"])
    drive()
    decided(request_of(run))
    run = settled(run, "failed")
    noted.failing = set()

    retry_run(make_actor("operator"), run)
    run = settled(run, "succeeded")

    assert Request.objects.count() == 1
    assert noted.asked == {"act": 2}
    assert run.pass_number == 2


def nest(kind: str, **settings: Any) -> dict[str, Any]:
    body = {
        "steps": {"one": note("{{ loop.round }}one"), "two": note("{{ loop.round }}two")},
        "edges": ["start -> one", "one -> two"],
        "output": "{{ loop.round }}",
    }
    return {"kind": kind, "with": {**settings, "body": body}}


def test_a_loop_goes_on_in_the_round_that_failed(drive: Drive, noted: Tools) -> None:
    noted.failing = {"2two"}
    run = start({"again": nest("loop", max=3)}, ["start -> again"], output="{{ steps.again.output }}")
    drive()
    run = settled(run, "failed")
    noted.failing = set()

    retry_run(make_actor("operator"), run)
    run = settled(run, "succeeded")

    assert output_of(run) == 3
    assert noted.asked == {"1one": 1, "1two": 1, "2one": 1, "2two": 2, "3one": 1, "3two": 1}


def test_rounds_after_one_that_is_redone_are_redone_with_it(drive: Drive, noted: Tools) -> None:
    run = start({"again": nest("loop", max=3)}, ["start -> again"], output="{{ steps.again.output }}")
    drive()
    run = settled(run, "succeeded")

    retry_run(make_actor("operator"), run, "again[1].two")
    run = settled(reach_pass(run, 2), "succeeded")

    assert noted.asked == {"1one": 1, "1two": 1, "2one": 1, "2two": 2, "3one": 2, "3two": 2}
    assert sorted(RunPass.objects.get().redone) == ["again[1].two", "again[2].one", "again[2].two"]


def test_a_sub_flow_goes_on_where_it_failed_in_the_version_that_it_began_with(drive: Drive, noted: Tools) -> None:
    inner = source_of(CHAIN, EDGES, input={"type": "object"}, output="{{ steps.c.output }}")
    make_flow("inner", document=inner)
    noted.failing = {"b"}
    steps = {"sub": {"kind": "subflow", "with": {"flow": "inner"}}, "after": note("after")}
    run = start(steps, ["start -> sub", "sub -> after"], output="{{ steps.sub.output }}")
    drive()
    run = settled(run, "failed")
    noted.failing = set()
    operator = make_actor("operator")

    retry_run(operator, run)
    run = settled(run, "succeeded")
    assert (output_of(run), noted.asked) == ("c 1", {"a": 1, "b": 2, "c": 1, "after": 1})

    retry_run(operator, run, "sub/c")
    run = settled(reach_pass(run, 3), "succeeded")
    assert (output_of(run), noted.asked) == ("c 2", {"a": 1, "b": 2, "c": 2, "after": 2})
    assert len(set(keys_of(run, "sub/b"))) == 1
    assert len(set(keys_of(run, "sub/c"))) == 2


def test_a_flow_that_has_told_of_its_failure_tells_of_the_next_one_anew(drive: Drive, noted: Tools) -> None:
    noted.failing = {"b"}
    handler = {"steps": {"tell": note("tell")}, "edges": ["start -> tell"]}
    run = start({"a": note("a"), "b": note("b")}, ["start -> a", "a -> b"], on_error=handler)
    drive()
    run = settled(run, "failed")
    operator = make_actor("operator")

    retry_run(operator, run)
    run = settled(reach_pass(run, 2), "failed")
    assert noted.asked == {"a": 1, "b": 2, "tell": 2}
    assert len(set(keys_of(run, "error.tell"))) == 2

    noted.failing = set()
    retry_run(operator, run)
    assert settled(reach_pass(run, 3), "succeeded").output is not None
    assert noted.asked == {"a": 1, "b": 3, "tell": 2}
