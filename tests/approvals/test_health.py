"""How reviewing goes: the figures of policies and people, and the hint that a rule asks too much."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from approvals.models import View
from approvals.policies.health import STREAK, Figures, figures_of, loads_of
from flows.access.actor import Actor
from flows.models import Person, Request
from tests.makers import make_key, make_person, make_request, make_run, make_team

pytestmark = pytest.mark.django_db

NOW = datetime.fromisoformat("2026-07-15T12:00:00+00:00")
EDITED = '{"amount":1,"reason":"double"}'


@pytest.fixture
def people() -> list[Person]:
    return [make_person("approver", username=name, team=make_team("finance")) for name in ("ann", "bob")]


def decided(by: Person, at: datetime, *, took: int = 60, read: int = 30, **fields: Any) -> Request:
    """A request of the policy `refunds`, decided `took` seconds after it was asked and `read` seconds after it was opened."""
    request = make_request(fields.pop("run", None), terms={"policy": "refunds", "policy_version": 1})
    given = {"state": "approved", "answer": request.payload, "decided_by": by, "decided_at": at, **fields}
    Request.objects.filter(id=request.id).update(created_at=at - timedelta(seconds=took), **given)
    view = View.objects.create(request=request, person=by, revision=1)
    View.objects.filter(id=view.id).update(at=at - timedelta(seconds=read))
    return request


def figures(person: Person) -> Figures:
    return figures_of(Actor(person=person), NOW)["refunds"]


def test_it_tells_time_shares_and_haste_of_a_policy(people: list[Person]) -> None:
    ann, bob = people
    decided(ann, NOW, took=60)
    decided(ann, NOW, took=600, read=2)
    decided(bob, NOW, took=30, answer=EDITED)
    decided(bob, NOW, took=90, state="rejected")
    waiting = make_request(terms={"policy": "refunds", "policy_version": 1})
    decided(bob, NOW - timedelta(days=31), state="rejected")
    Request.objects.filter(id=waiting.id).update(created_at=NOW - timedelta(hours=1))

    found = figures(ann)

    assert (found.asked, found.decided, found.median_seconds) == (5, 4, 75.0)
    assert (found.unchanged, found.edited, found.rejected, found.hasty) == (0.5, 0.25, 0.25, 0.25)


def test_it_tells_what_each_person_bears(people: list[Person]) -> None:
    ann, bob = people
    for number in range(3):
        decided(ann, NOW, read=2 if number else 30)
    decided(bob, NOW, state="rejected")

    first, second = loads_of(Actor(person=ann), NOW)

    assert (first.person, first.decided, first.unchanged) == ("ann", 3, 1.0)
    assert round(first.hasty, 2) == 0.67
    assert (second.person, second.decided, second.unchanged) == ("bob", 1, 0.0)


def test_fifty_in_a_row_unchanged_hint_that_the_rule_is_too_wide(people: list[Person]) -> None:
    run = make_run(status="waiting_approval")
    decided(people[0], NOW - timedelta(days=2), run=run, answer=EDITED)
    for number in range(STREAK - 1):
        decided(people[0], NOW - timedelta(minutes=number + 2), run=run)
    assert (figures(people[0]).streak, figures(people[0]).narrow) == (STREAK - 1, False)

    decided(people[0], NOW - timedelta(minutes=1), run=run)
    assert (figures(people[0]).streak, figures(people[0]).narrow) == (STREAK, True)

    decided(people[0], NOW, run=run, state="rejected")
    assert (figures(people[0]).streak, figures(people[0]).narrow) == (0, False)


def test_page_and_api_tell_the_same_and_only_of_what_one_may_see(people: list[Person]) -> None:
    now = timezone.now()
    for _ in range(STREAK):
        decided(people[0], now, read=2)
    client = Client()
    client.force_login(people[0])

    page = client.get("/approvals/health").content.decode()

    assert "50 in a row unchanged: consider narrowing this rule" in page
    _, secret = make_key(people[0], "approvals:read")
    told = Client(headers={"Authorization": f"Bearer {secret}"}).get("/api/v1/policies/health").json()
    refunds = next(each for each in told["figures"] if each["policy"] == "refunds")
    assert (refunds["asked"], refunds["hasty"], refunds["narrow"]) == (50, 1.0, True)
    assert told["loads"] == [{"person": "ann", "decided": 50, "hasty": 1.0, "unchanged": 1.0}]
    assert "refunds" not in figures_of(Actor(person=make_person()))
