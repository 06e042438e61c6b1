"""A sub-flow's own limits hold for what is done inside it, whoever drives the run."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from flows.models import Request, Run
from tests.engine.course import subflow
from tests.execution.conftest import Drive
from tests.execution.runs import calls_of, error_of, finish, make_model, output_of, start
from tests.execution.test_limits import DEAR, chain, chosen, parallel, question_of, ten
from tests.execution.test_structures import other

pytestmark = pytest.mark.django_db(transaction=True)


def inside(count: int, **limits: Any) -> Run:
    """A run of a sub-flow with so many steps and these limits, beside a step of the run's own."""
    other(*chain(count), output="{{ state }}", limits=limits)
    return start({"sub": subflow(), "own": ten()}, ["start -> sub", "start -> own"], output="{{ steps.own.output }}")


def test_at_a_sub_flows_limit_people_are_asked_and_what_is_outside_goes_on(drive: Drive) -> None:
    make_model(price=DEAR)
    drive()
    run = inside(3, cost=1.05)

    first = question_of(run)
    limit = json.loads(first.payload)["limit"]
    made = sorted(call.path for call in calls_of(run))
    chosen(first, "raise", {"limit": "1.15"})
    second = question_of(run)  # the run was taken up anew: what was spent before counts
    chosen(second, "raise", {"limit": "2"})

    assert (first.path, limit, made) == ("sub", {"of": "step", "which": "cost", "amount": "1.05"}, ["own", "sub/s0"])
    assert (second.path, json.loads(second.payload)["spent"]) == ("sub", "0.2")
    assert output_of(finish(run)) == "x"
    assert Request.objects.filter(run=run).count() == 2


@pytest.mark.parametrize(
    ("at_limit", "ended"), [("stop", ("budget_stopped", "cost of sub")), ("finish", ("succeeded", "limited"))]
)
def test_a_sub_flows_limit_stops_or_finishes_the_run(drive: Drive, at_limit: str, ended: tuple[str, str]) -> None:
    make_model(price=DEAR)
    drive()

    run = finish(inside(3, cost=1.05, at_limit=at_limit))

    assert (run.status, run.reason) == ended
    assert sorted(call.path for call in calls_of(run)) == ["own", "sub/s0"]
    if at_limit == "stop":
        assert "The limit of $1.05 of step sub has no room" in error_of(run)["message"]


def test_calls_side_by_side_wait_for_room_in_the_sub_flows_limit(drive: Drive) -> None:
    make_model(price=DEAR)
    other(*parallel(3, say="x"), limits={"cost": 1.25, "at_limit": "stop"})
    drive()

    run = finish(start({"sub": subflow()}, ["start -> sub"]))

    assert run.status == "succeeded"
    times = sorted((call.started_at, call.ended_at) for call in calls_of(run))
    assert all(end is not None and end <= start for (_, end), (start, _) in pairwise(times))


def test_the_limit_of_a_sub_flow_in_a_sub_flow_bounds_what_is_in_both(drive: Drive) -> None:
    make_model(price=DEAR)
    other(*chain(1), "inner")
    other(
        {"first": ten(), "again": subflow("inner")}, ["start -> first", "first -> again"], limits={"cost": 1, "at_limit": "stop"}
    )
    drive()

    run = finish(start({"sub": subflow()}, ["start -> sub"]))

    assert (run.status, run.reason) == ("budget_stopped", "cost of sub")
    assert [call.path for call in calls_of(run)] == ["sub/first"]
