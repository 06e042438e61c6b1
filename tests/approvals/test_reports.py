"""Reports of costs by mail: each period once, exactly what the page shows, and only while the reader may see it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from approvals.hooks import HOOKS
from approvals.models import Notice
from approvals.reports import send_reports
from flows.access.actor import Actor
from flows.models import AuditRow, Call, Membership, Person, PinnedView
from flows.runs.actions.keep_view import keep_view
from flows.runs.spending.reporting import next_report, period_before
from tests.api.test_api import Api
from tests.approvals.test_alerts import with_mail
from tests.makers import make_flow, make_run, make_team
from tests.runs.journals import make_call

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("mail_server")]

TODAY = date(2026, 11, 25)  # a Wednesday


@pytest.mark.parametrize(
    ("every", "first", "last"),
    [
        ("day", date(2026, 11, 24), date(2026, 11, 24)),
        ("week", date(2026, 11, 16), date(2026, 11, 22)),
        ("month", date(2026, 10, 1), date(2026, 10, 31)),
    ],
)
def test_a_report_is_of_the_newest_period_that_is_over(every: str, first: date, last: date) -> None:
    assert period_before(every, TODAY) == (first, last)
    due = next_report(every, "Asia/Kathmandu")
    assert timezone.now() < due
    local = due - timedelta(minutes=15)
    assert (local.hour, local.minute) == (0, 0)
    assert every != "week" or local.weekday() == 0
    assert every != "month" or local.day == 1


def mailed(person: Person, query: str = "by=flow") -> PinnedView:
    """A view that is due."""
    keep_view(Actor(person), "costs", "My week", query, "week")
    return due(PinnedView.objects.get(person=person))


def due(view: PinnedView) -> PinnedView:
    PinnedView.objects.filter(id=view.id).update(next_at=timezone.now() - timedelta(minutes=1))
    return view


def last_week(call: Call) -> None:
    first, _ = period_before("week", timezone.localdate())
    Call.objects.filter(id=call.id).update(started_at=datetime(first.year, first.month, first.day, 12, tzinfo=UTC))


def test_it_is_sent_once_a_period_and_says_what_the_page_shows() -> None:
    reader, team = with_mail("operator"), make_team("others")
    with_mail("operator")
    for flow, cost in ((make_flow("refunds"), "1.25"), (make_flow("triage"), "0.000000000001"), (make_flow(team=team), "9")):
        last_week(make_call(make_run(flow, status="succeeded"), "a", cost=cost))
    Membership.objects.filter(person=reader).update(team=make_team("mine"))
    view = mailed(reader)

    assert [send_reports(), send_reports()] == [1, 0]
    due(view)
    assert send_reports() == 1  # the same period: told already

    notice = Notice.objects.get()
    assert (notice.person, notice.event) == (reader, "report")
    assert notice.subject.endswith(": $1.250000000001")
    assert notice.facts == [
        ["Spent", "$1.250000000001"],
        ["Calls", "2"],
        ["refunds", "$1.25"],
        ["triage", "$0.000000000001"],
    ]
    page = Client()
    page.force_login(reader)
    assert f'data-money="{Decimal("1.250000000001")}"' in page.get(notice.path).content.decode()
    assert PinnedView.objects.filter(next_at__gt=timezone.now()).exists()


def test_the_api_pins_a_view_has_it_mailed_and_unpins_it() -> None:
    ann, bob = (Api(with_mail("operator"), "costs:read") for _ in range(2))
    given = ann("PUT", "/costs/views/My week", {"query": "by=flow&flow=refunds", "every": "week"}).json()

    assert (given["name"], given["query"], given["every"], given["zone"]) == ("My week", "by=flow&flow=refunds", "week", "UTC")
    assert ann("GET", "/costs/views").json() == {"items": [given], "next": None}
    assert bob("GET", "/costs/views").json()["items"] == []
    assert bob("DELETE", "/costs/views/My week").status_code == 404
    assert ann("PUT", "/costs/views/My week", {"query": "by=wind"}).status_code == 422
    assert ann("DELETE", "/costs/views/My week").status_code == 204
    assert [row.data["every"] for row in AuditRow.objects.filter(action="report.schedule").order_by("id")] == ["week", "never"]
    make_call(make_run(make_flow("refunds"), status="succeeded"), "a", cost="0.5")
    make_call(make_run(make_flow("other"), status="failed"), "a", cost="7")
    figures = {"runs": 1, "succeeded": 1, "median": "0.5", "each": "0.5", "each_success": "0.5", "unpriced": 0}
    assert ann("GET", "/costs/per-run?flow=refunds").json() == figures


def test_who_may_not_see_costs_any_more_gets_none_and_the_audit_log_says_why() -> None:
    reader = with_mail("operator")
    view = mailed(reader)
    Membership.objects.filter(person=reader).update(role="viewer")

    assert send_reports() == 0

    view.refresh_from_db()
    assert (view.every, view.next_at) == ("", None)
    assert not Notice.objects.exists()
    assert AuditRow.objects.filter(action="report.schedule").order_by("-id")[0].data["every"] == "never"


def test_a_report_that_fails_is_not_in_the_way_of_the_others() -> None:
    broken, fine = mailed(with_mail("operator"), "by=model"), mailed(with_mail("operator"))
    PinnedView.objects.filter(id=broken.id).update(zone="Not/There")

    assert send_reports() == 1

    assert Notice.objects.get().person == fine.person
    assert PinnedView.objects.filter(id=broken.id, next_at__gt=timezone.now()).exists()
    assert send_reports in HOOKS
