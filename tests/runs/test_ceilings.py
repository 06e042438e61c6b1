"""An owner's ceiling holds on every path that a builder has: publishing, starting, testing, raising, asking."""

from __future__ import annotations

from typing import Any

import pytest

from flows.access.refusals import Forbidden
from flows.builder.actions.import_flow import import_flow
from flows.costs.actions.put_budget import Wanted, put_budget
from flows.models import Budget, Flow, Run
from flows.runs.actions.raise_limits import raise_limits
from flows.runs.actions.start_run import start_run
from flows.runs.limits import AboveBudget, AboveCeiling
from tests.makers import make_actor, make_flow, make_run

pytestmark = pytest.mark.django_db

DOCUMENT = """
orchestrator: 1
name: Greedy
limits: {cost: 100, tokens: 1000000, steps: 5000, duration: 30d}
steps:
  a: {kind: set, with: {values: {x: "1"}}}
edges: [start -> a]
"""


def allow_each_run(scope: str = "run", subject: str = "", **limits: Any) -> Budget:
    return put_budget(make_actor("owner"), Wanted(scope, subject, "run", **limits))[0]


def started(**given: Any) -> Run:
    return start_run(make_actor("builder"), "greedy", {}, **given)


@pytest.fixture
def greedy() -> Flow:
    """What a builder publishes with limits of their own choosing."""
    return import_flow(make_actor("builder"), "greedy", DOCUMENT, publish=True)[0]


@pytest.mark.parametrize("given", [None, {"steps": 4000, "duration": "20d"}], ids=["document", "start"])
@pytest.mark.parametrize(("scope", "subject"), [("run", ""), ("run", "greedy"), ("flow", "greedy"), ("tag", "urgent")])
def test_a_run_gets_no_more_steps_and_time_than_a_budget_allows(greedy: Flow, scope: str, subject: str, given: Any) -> None:
    allow_each_run(scope, subject, steps=7, duration=60)

    run = started(limits=given, tags=["urgent"])

    run.refresh_from_db()
    assert run.cap_steps == 7
    assert run.deadline is not None
    assert 50 < (run.deadline - run.created_at).total_seconds() <= 61


def test_the_lowest_of_all_holds(greedy: Flow) -> None:
    allow_each_run(steps=70)
    allow_each_run("flow", "greedy", steps=50)
    Flow.objects.filter(id=greedy.id).update(ceiling={"steps": 60})

    assert [started(limits=limits).cap_steps for limits in (None, {"steps": 20})] == [50, 20]


def test_a_ceiling_set_on_a_flow_holds_whatever_is_published_or_asked_for(greedy: Flow) -> None:
    Flow.objects.filter(id=greedy.id).update(ceiling={"cost": "0.50"})

    import_flow(make_actor("builder"), "greedy", DOCUMENT.replace("cost: 100", "cost: 200"), publish=True)

    assert [started(limits=limits).cap_cost for limits in (None, {"cost": 99})] == [0.5, 0.5]


@pytest.mark.parametrize("limits", [{"steps": 8}, {"duration": "2h"}])
@pytest.mark.parametrize("role", ["builder", "owner"])
def test_nobody_raises_a_run_above_a_budget(greedy: Flow, role: str, limits: dict[str, Any]) -> None:
    allow_each_run(steps=7, duration=3600)
    run = started()

    with pytest.raises(AboveBudget, match="only an owner may change it"):
        raise_limits(make_actor(role), run, limits)

    put_budget(make_actor("owner"), Wanted("run", "", "run", steps=9, duration=9000), "more is needed")
    assert raise_limits(make_actor(role), run, limits).id == run.id


def test_a_builder_does_not_raise_above_the_flows_ceiling() -> None:
    flow = make_flow()
    Flow.objects.filter(id=flow.id).update(ceiling={"cost": "0.50"})
    run = make_run(Flow.objects.get(id=flow.id), status="running", cap_cost="0.40")

    with pytest.raises(AboveCeiling):
        raise_limits(make_actor("builder"), run, {"cost": "0.60"})
    assert raise_limits(make_actor("builder"), run, {"cost": "0.50"}).cap_cost is not None


def test_a_builder_makes_and_changes_no_budget(greedy: Flow) -> None:
    budget = allow_each_run(steps=7)

    for wanted in (Wanted("run", "", "run", steps=9), Wanted("flow", "greedy", "run", steps=900)):
        with pytest.raises(Forbidden):
            put_budget(make_actor("builder"), wanted, "please")
    budget.refresh_from_db()
    assert budget.steps == 7
