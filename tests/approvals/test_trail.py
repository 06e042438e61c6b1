"""What approvals leave in the audit log is sealed: `audit verify` names a row that was altered, removed or moved. And 600 at once."""

import gzip
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from approvals.actions.claim import claim
from approvals.actions.decide import decide
from approvals.reads import requests_in, waiting_for
from flows.access.actor import Actor
from flows.models import AuditRow
from tests.makers import make_key, make_person, make_request, make_run, make_team

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann() -> Actor:
    return Actor(person=make_person("approver", username="ann", team=make_team("finance")))


@pytest.fixture
def votes(ann: Actor) -> list[AuditRow]:
    """Two claims and two votes, sealed."""
    for _ in range(2):
        request = make_request()
        claim(ann, request)
        decide(ann, request.id, "approve", 1)
    call_command("audit", "verify")
    return list(AuditRow.objects.filter(action="approval.decide").order_by("id"))


def tamper(statement: str, *given: Any) -> None:
    """As somebody who owns the database would."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(statement, given)
        cursor.execute("SET session_replication_role = DEFAULT")


def refused() -> str:
    with pytest.raises(CommandError) as refusal:
        call_command("audit", "verify")
    return str(refusal.value)


def test_an_altered_vote_is_found(votes: list[AuditRow]) -> None:
    tamper("UPDATE flows_auditrow SET data = jsonb_set(data, '{outcome}', '\"reject\"') WHERE id = %s", votes[0].id)

    assert f"row {votes[0].id} was altered" in refused()


def test_a_removed_vote_is_found(votes: list[AuditRow]) -> None:
    tamper("DELETE FROM flows_auditrow WHERE id = %s", votes[0].id)

    assert f"row {votes[0].id} was removed" in refused()


def test_votes_that_changed_places_are_found(votes: list[AuditRow]) -> None:
    one, other = votes[0].id, votes[1].id
    tamper("UPDATE flows_auditrow SET id = CASE id WHEN %s THEN -1 ELSE -2 END WHERE id IN (%s, %s)", one, one, other)
    tamper("UPDATE flows_auditrow SET id = CASE id WHEN -1 THEN %s ELSE %s END WHERE id IN (-1, -2)", other, one)

    assert f"row {one} was altered or moved" in refused()


def test_a_refused_act_is_written_down_once_whatever_the_door() -> None:
    request, viewer = make_request(), make_person("viewer", username="viv")
    _, secret = make_key(viewer, "admin")
    client = Client()
    client.force_login(viewer)
    act, api = {"outcome": "approve", "revision": 1}, Client(headers={"Authorization": f"Bearer {secret}"})

    form = act | {"edit-amount": "420"}
    assert client.post(f"/approvals/{request.public_id}/decisions", form).status_code == 403
    assert client.post(f"/approvals/{request.public_id}/claim").status_code == 403
    for name, body in (("decisions", act), ("claim", {}), ("delegation", {"to": "viv"})):
        answer = api.post(f"/api/v1/approvals/{request.public_id}/{name}", body, content_type="application/json")
        assert answer.status_code == 403

    rows = AuditRow.objects.filter(actor=viewer).exclude(action__in=["approval.view", "signin"]).order_by("id")
    assert [(row.action, row.door, row.data["tried"]) for row in rows] == [
        ("approval.refuse", "page", "approve"),
        ("approval.refuse", "page", "claim"),
        ("approval.refuse", "api", "approve"),
        ("approval.refuse", "api", "claim"),
        ("approval.refuse", "api", "delegate"),
    ]


def test_of_600_open_requests_a_page_costs_what_one_of_a_few_does(ann: Actor, django_assert_max_num_queries: Any) -> None:
    run = make_run(status="waiting_approval")
    for _ in range(600):
        make_request(run)
    assert ann.person is not None
    client = Client()
    client.force_login(ann.person)

    with django_assert_max_num_queries(12):
        page = client.get("/approvals").content.decode()

    assert page.count('data-testid="approval-row"') == 50
    assert waiting_for(ann) == requests_in(ann, "mine").count() == 600
    assert ">600<" in page
    assert len(gzip.compress(page.encode())) <= 45_000
    request = requests_in(ann, "mine").first()
    assert request is not None
    client.get(f"/approvals/{request.public_id}")
    with django_assert_max_num_queries(13):  # the badge counts more than the queue looks at
        page = client.get(f"/approvals/{request.public_id}").content.decode()
    assert len(gzip.compress(page.encode())) <= 45_000
    assert page.count('data-testid="queue-row"') == 12
