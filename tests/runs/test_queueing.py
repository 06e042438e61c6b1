"""Why a run does not go on just now."""

from __future__ import annotations

import json

import pytest
from django.utils import timezone

from flows.access.refusals import Invalid
from flows.builder.actions.change_settings import change_settings
from flows.models import Event, Flow, Run, Worker
from flows.models.identifiers import new_id
from flows.runs.actions.start_run import start_run
from flows.runs.queueing import COUNTED, standing_of
from tests.makers import make_actor, make_flow, make_run

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def an_engine() -> None:
    Worker.objects.create(id=new_id(), host="here", pid=1)


def running(flow: Flow, count: int, status: str = "running") -> None:
    for _ in range(count):
        make_run(flow, status=status, started_at=timezone.now())


def limited(**fields: object) -> Flow:
    flow = make_flow()
    return change_settings(make_actor("owner"), flow.slug, fields)


def test_it_names_the_limit_of_the_flow_and_the_runs_ahead() -> None:
    flow = limited(max_running=2)
    running(flow, 2)
    make_run(flow)
    run = make_run(flow)

    assert standing_of(run).words == "2 of 2 runs of this flow are running, 1 ahead"


def test_waiting_runs_count_where_they_keep_their_slot() -> None:
    flow = limited(max_running=2, keeps_slot=True)
    running(flow, 1)
    running(flow, 1, "waiting_approval")

    assert standing_of(make_run(flow)).words == "2 of 2 runs of this flow are running or wait"


def test_a_higher_priority_stands_ahead() -> None:
    flow = make_flow()
    low, high = make_run(flow), make_run(flow, priority=1)

    assert (standing_of(low).ahead, standing_of(high).ahead) == (1, 0)
    assert standing_of(high).words == ""


def test_without_an_engine_it_says_so() -> None:
    Worker.objects.all().delete()

    assert standing_of(make_run()).waits_for == "no engine is running"


def test_a_call_that_waits_for_a_slot_is_named_until_it_begins() -> None:
    run = make_run(status="running")
    data = json.dumps({"for": "a slot of small-1"})
    Event.objects.create(run_id=run.id, seq=2, pass_number=1, type="call.waiting", path="a", data=data)
    Event.objects.create(run_id=run.id, seq=3, pass_number=1, type="step.started", path="b")
    assert standing_of(run).words == "waits for a slot of small-1"

    Event.objects.create(run_id=run.id, seq=4, pass_number=1, type="step.started", path="a")
    assert standing_of(run).words == ""


def test_its_queries_do_not_grow(django_assert_max_num_queries: object) -> None:
    flow = limited(max_running=1)
    running(flow, 3)
    for _ in range(5):
        make_run(flow)
    run = Run.objects.select_related("flow").get(id=make_run(flow).id)
    with django_assert_max_num_queries(4):  # type: ignore[operator]
        assert standing_of(run).ahead == 5
    assert COUNTED >= 1000


def test_a_run_has_the_priority_of_its_start_or_of_its_flow() -> None:
    flow = limited(priority=4)
    actor = make_actor("operator")

    assert start_run(actor, flow.slug, {"name": "Ann"}).priority == 4
    assert start_run(actor, flow.slug, {"name": "Ann"}, priority=-3).priority == -3
    for wrong in (11, -11, True):
        with pytest.raises(Invalid) as refusal:
            start_run(actor, flow.slug, {"name": "Ann"}, priority=wrong)
        assert refusal.value.problems[0].place == "priority"


@pytest.mark.parametrize("wrong", [{"max_running": 0}, {"max_running": "2"}, {"priority": 11}, {"keeps_slot": "yes"}])
def test_settings_that_make_no_sense_are_refused_by_name(wrong: dict[str, object]) -> None:
    flow = make_flow()
    with pytest.raises(Invalid) as refusal:
        change_settings(make_actor("owner"), flow.slug, wrong)
    assert [fault.place for fault in refusal.value.problems] == list(wrong)
