"""Cancelling runs and delivering events to them."""

from uuid import uuid4

import pytest

from flows.access.actor import Actor
from flows.access.refusals import Forbidden, Invalid, NotFound
from flows.models import AuditRow, Delivery, Event, Request, Run
from flows.runs.actions.cancel_run import RunEnded, cancel_run
from flows.runs.actions.deliver_event import DeliveryKeyReused, deliver_event
from tests.makers import make_actor, make_flow, make_request, make_run, make_team

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> Actor:
    return make_actor("operator")


def events(run: Run) -> list[tuple[int, str]]:
    return list(Event.objects.filter(run=run).order_by("seq").values_list("seq", "type"))


@pytest.mark.parametrize("status", ["queued", "waiting", "retrying", "waiting_approval"])
def test_a_run_that_nobody_drives_ends_at_once(operator: Actor, status: str) -> None:
    run = make_run(status=status)
    request = make_request(run)

    cancel_run(operator, run)

    run.refresh_from_db()
    assert (run.status, run.reason, run.wake_at) == ("cancelled", "cancelled_by", None)
    assert run.ended_at is not None
    assert Request.objects.get(id=request.id).state == "withdrawn"
    assert events(run) == [(1, "run.created"), (2, "request.withdrawn"), (3, "run.ended")]
    assert run.seq == 3
    assert AuditRow.objects.get().action == "run.cancel"


def test_a_driven_run_is_asked_to_stop(operator: Actor) -> None:
    run = make_run(status="running", owner=uuid4())

    cancel_run(operator, run)
    cancel_run(operator, run)

    run.refresh_from_db()
    assert (run.status, run.cancel_requested, run.signals, run.ended_at) == ("running", True, 1, None)
    assert events(run) == [(1, "run.created"), (2, "run.cancel_requested")]
    assert AuditRow.objects.count() == 1


def test_a_cancelled_run_stays_and_another_end_is_told(operator: Actor) -> None:
    cancelled, done = make_run(status="cancelled"), make_run(status="succeeded")

    assert cancel_run(operator, cancelled).status == "cancelled"
    with pytest.raises(RunEnded, match="succeeded"):
        cancel_run(operator, done)
    assert not AuditRow.objects.exists()


def test_cancelling_needs_the_right() -> None:
    run = make_run(make_flow(team=make_team("mine")))

    with pytest.raises(Forbidden):
        cancel_run(make_actor("viewer"), run)
    with pytest.raises(NotFound):
        cancel_run(make_actor("operator", team=make_team("theirs")), run)
    run.refresh_from_db()
    assert run.status == "queued"


def test_an_event_wakes_the_run_that_waits(operator: Actor) -> None:
    run = make_run(status="waiting")

    delivery = deliver_event(operator, run, "order.paid", {"b": 1, "a": 2})

    run.refresh_from_db()
    assert (run.status, run.signals) == ("queued", 1)
    assert delivery.payload == '{"a":2,"b":1}'
    assert delivery.taken_by == ""
    assert events(run)[-1] == (2, "event.delivered")
    assert AuditRow.objects.get().action == "run.deliver"


def test_an_early_event_is_kept_and_the_same_key_delivers_once(operator: Actor) -> None:
    run = make_run(status="running", owner=uuid4())

    first = deliver_event(operator, run, "order.paid", {"n": 1}, key="k")
    again = deliver_event(operator, run, "order.paid", {"n": 1}, key="k")

    run.refresh_from_db()
    assert first.id == again.id
    assert Delivery.objects.count() == 1
    assert run.status == "running"
    assert run.signals == 1
    with pytest.raises(DeliveryKeyReused):
        deliver_event(operator, run, "order.paid", {"n": 2}, key="k")


def test_an_ended_run_takes_no_event_and_bad_events_are_named(operator: Actor) -> None:
    with pytest.raises(RunEnded):
        deliver_event(operator, make_run(status="failed"), "order.paid")
    with pytest.raises(Invalid) as refusal:
        deliver_event(operator, make_run(), "", key="")
    assert [fault.place for fault in refusal.value.problems] == ["event", "key"]
    assert not Delivery.objects.exists()
