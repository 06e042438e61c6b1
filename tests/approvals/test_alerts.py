"""Alerts: each kind of trouble is told once, to whom it concerns, and who does not want one kind does not get it."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from approvals.actions.save_channel import add_channel
from approvals.actions.save_preference import save_preference
from approvals.alerts import raise_alerts
from approvals.hooks import HOOKS
from approvals.models import Notice
from flows.access.actor import Actor
from flows.models import AllowedHost, Budget, BudgetPeriod, Event, Person, Run
from tests.makers import make_flow, make_person, make_request, make_run, make_team

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("mail_server")]


def with_mail(*roles: str, **fields: Any) -> Person:
    person = make_person(*roles, **fields)
    person.email = f"{person.username}@example.com"
    person.save()
    return person


def told() -> list[tuple[str, str, str]]:
    return [(each.event, each.subject, each.person.username) for each in Notice.objects.order_by("id") if each.person is not None]


def still_for(run: Run, minutes: int) -> Run:
    Event.objects.filter(run=run).update(at=timezone.now() - timedelta(minutes=minutes))
    return run


def test_the_reconciler_raises_them() -> None:
    assert raise_alerts in HOOKS


def test_a_failed_run_is_told_once_a_pass_to_whoever_started_it() -> None:
    ann, flow = with_mail("operator", username="ann"), make_flow("refund")
    with_mail("operator", username="bob")
    error = json.dumps({"step": "classify", "class": "rate_limit", "message": "the model's own words"})
    run = make_run(flow, status="failed", started_by=ann, error=error)

    assert raise_alerts() == 1
    assert raise_alerts() == 0

    assert told() == [("failed", f"Failed: refund #{run.number}", "ann")]
    notice = Notice.objects.get()
    assert notice.path == f"/runs/{run.public_id}"
    assert ["Error", "rate_limit"] in notice.facts
    assert "own words" not in json.dumps(notice.facts)
    Run.objects.filter(id=run.id).update(pass_number=2)
    assert raise_alerts() == 1, "the next pass failed, too"


def test_old_failures_tests_and_drills_are_not_told() -> None:
    with_mail("operator")
    make_run(status="failed", ended_at=timezone.now() - timedelta(hours=2))
    make_run(status="failed", purpose="test")
    make_run(status="failed", purpose="drill")
    make_run(status="succeeded")
    make_run(status="cancelled")

    assert raise_alerts() == 0


def test_where_nobody_started_it_those_who_control_the_runs_of_its_team_hear_of_it() -> None:
    team = make_team("finance")
    with_mail("operator", username="in-team", team=team)
    with_mail("operator", username="elsewhere", team=make_team("legal"))
    with_mail("viewer", username="looks-only", team=team)
    with_mail("owner", username="owner")
    make_run(make_flow(team=team), status="budget_stopped")

    raise_alerts()

    assert {name for _, _, name in told()} == {"in-team", "owner"}
    assert told()[0][1].startswith("Stopped by budget: ")


def test_a_run_that_stands_still_is_told_and_one_that_waits_for_its_turn_is_not() -> None:
    ann = with_mail("operator", username="ann")
    idle = still_for(make_run(status="running", started_by=ann), 20)
    late = still_for(make_run(status="retrying", started_by=ann, wake_at=timezone.now() - timedelta(minutes=20)), 30)
    still_for(make_run(status="running", started_by=ann, open_calls=1), 20)
    still_for(make_run(status="running", started_by=ann), 5)
    still_for(make_run(status="waiting", started_by=ann, wake_at=timezone.now() + timedelta(hours=1)), 90)
    still_for(make_run(status="waiting", started_by=ann, paused=True), 90)
    still_for(make_run(status="queued", started_by=ann), 90)

    assert raise_alerts() == 2
    assert raise_alerts() == 0

    assert {subject.rpartition("#")[2] for _, subject, _ in told()} == {str(idle.number), str(late.number)}


def test_a_budgets_owner_hears_of_each_share_once() -> None:
    ann = with_mail("owner", username="ann")
    with_mail("owner", username="bob")
    budget = Budget.objects.create(scope="all", period="day", cost=Decimal(10), warn=[80, 100], owner=ann)
    now = timezone.now()
    period = BudgetPeriod.objects.create(budget=budget, begins=now - timedelta(hours=1), ends=now + timedelta(hours=1), spent=9)

    assert raise_alerts() == 0
    BudgetPeriod.objects.filter(id=period.id).update(told={budget.bounds: 80})
    assert raise_alerts() == 1
    assert raise_alerts() == 0
    BudgetPeriod.objects.filter(id=period.id).update(told={budget.bounds: 100})
    assert raise_alerts() == 1

    Budget.objects.filter(id=budget.id).update(cost=Decimal(20))
    assert raise_alerts() == 0
    BudgetPeriod.objects.filter(id=period.id).update(told={budget.bounds: 100, "20/-/-": 80})
    assert (raise_alerts(), raise_alerts()) == (1, 0)

    assert [subject for _, subject, _ in told()] == [f"Budget all, day: {share} % used" for share in (80, 100, 80)]
    assert {name for *_, name in told()} == {"ann"}


def test_a_request_that_is_open_past_its_time_is_told_to_those_who_decide() -> None:
    with_mail("approver", username="ann", team=make_team("finance"))
    request = make_request(due=timezone.now() - timedelta(minutes=1), terms={"at_deadline": "escalate"})
    make_request(due=timezone.now() + timedelta(minutes=1))
    make_request(due=timezone.now() - timedelta(minutes=1), state="approved")

    assert raise_alerts() == 1
    assert raise_alerts() == 0

    ((event, subject, name),) = told()
    assert (event, name) == ("overdue", "ann")
    assert subject.startswith("Overdue: ")
    assert Notice.objects.get().path == f"/approvals/{request.public_id}"


def test_who_muted_one_kind_still_hears_of_the_others() -> None:
    ann = with_mail("operator", username="ann")
    save_preference(Actor(person=ann), "each", ["failed"])
    make_run(status="failed", started_by=ann)
    still_for(make_run(status="running", started_by=ann), 20)

    assert raise_alerts() == 2
    assert [event for event, _, _ in told()] == ["stuck"]


def test_a_channel_hears_of_the_alerts_that_it_was_made_for() -> None:
    AllowedHost.objects.create(host="chat.example.com")
    owner = Actor(person=make_person("owner"))
    channel, _ = add_channel(owner, "chat", "Operations", "https://chat.example.com/hook", ["failed"])
    make_run(status="failed")
    still_for(make_run(status="running"), 20)

    raise_alerts()

    assert [each.event for each in Notice.objects.filter(channel=channel)] == ["failed"]
