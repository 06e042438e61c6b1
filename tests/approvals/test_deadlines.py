"""A time-out never approves."""

from datetime import timedelta

import pytest
from django.utils import timezone

from approvals.deadlines import expire_due
from flows.models import AuditRow, Event, Request, Run
from tests.makers import make_request

pytestmark = pytest.mark.django_db


def overdue(**terms: object) -> Request:
    return make_request(due=timezone.now() - timedelta(seconds=5), terms=terms)


def test_a_rejecting_outcome_is_given_and_the_run_goes_on() -> None:
    request = overdue()

    assert expire_due() == 1
    assert expire_due() == 0

    request.refresh_from_db()
    assert (request.state, request.outcome, request.decided_by) == ("expired", "reject", None)
    assert Run.objects.get(id=request.run_id).status == "queued"
    row = AuditRow.objects.get()
    assert (row.action, row.actor, row.actor_name) == ("approval.expire", None, "deadline")


@pytest.mark.parametrize("at_deadline", ["escalate", "approve", "revise", None, "nonsense"])
def test_anything_else_leaves_it_open_and_escalates_once(at_deadline: str | None) -> None:
    request = overdue(at_deadline=at_deadline)

    assert expire_due() == 1
    assert expire_due() == 0

    request.refresh_from_db()
    assert request.state == "pending"
    assert request.terms["escalated"] is True
    assert request.revision == 1
    assert Event.objects.filter(run=request.run_id, type="request.escalated").count() == 1


def test_what_is_not_due_is_left_alone() -> None:
    make_request(due=timezone.now() + timedelta(minutes=1))
    make_request()

    assert expire_due() == 0
