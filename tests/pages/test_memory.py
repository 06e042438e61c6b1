"""The pages of memories: what is remembered, by whom, until when; putting it right, and forgetting."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from flows.models import AuditRow, MemoryChange, MemoryEntry
from tests.makers import make_flow, make_memory, make_person, make_run, make_team

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(make_person("operator"))
    return client


def seen(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200, answer.content.decode()[:1500]
    return answer.content.decode()


def test_the_list_says_what_is_remembered_whose_it_is_and_which_run_set_it(operator: Client) -> None:
    assert "Nothing is remembered yet" in seen(operator, "/memory")
    flow = make_flow()
    run = make_run(flow, status="succeeded")
    make_memory(flow, "vixen", "foxes", run=run, path="keep", expires_at=timezone.now() + timedelta(days=3))
    make_memory(None, "orders", {"n": 3}, key="customer 7")
    person = make_person(username="ann")
    make_memory(None, "likes", "tea", scope="person", place=f"person:all:{person.id}", person=person, untrusted="web.fetch")

    page = seen(operator, "/memory")

    for text in ("vixen", "foxes", f"run {run.number}", "keep", "customer 7", "tea", "others’ words", flow.name):
        assert text in page
    assert "vixen" in seen(operator, "/memory?text=foxes")
    assert "orders" not in seen(operator, "/memory?text=foxes")
    assert "likes" in seen(operator, "/memory?scope=person&person=ann")
    assert "vixen" not in seen(operator, "/memory?scope=person")
    assert "Nothing that is remembered matches" in seen(operator, "/memory?key=8")


def test_the_list_has_pages_and_a_constant_number_of_queries(operator: Client) -> None:
    flow = make_flow()
    run = make_run(flow)
    make_memory(flow, "n", run=run)
    seen(operator, "/memory")  # a process reads the document of a version once
    with CaptureQueriesContext(connection) as few:
        seen(operator, "/memory")
    for number in range(60):
        make_memory(flow, f"n{number}", run=run)
    with CaptureQueriesContext(connection) as many:
        page = seen(operator, "/memory")

    assert len(few) == len(many)
    assert page.count('data-testid="entry"') == 50
    assert 'data-name="n59"' in page
    older = page.split("after=")[1].split('"')[0]
    assert seen(operator, f"/memory?after={older}").count('data-testid="entry"') == 11


def test_expired_and_other_teams_entries_are_not_there(operator: Client) -> None:
    theirs = make_team("theirs")
    gone = make_memory(make_flow(), "old", expires_at=timezone.now() - timedelta(seconds=1))
    hidden = make_memory(make_flow(team=theirs), "theirs")
    member = Client()
    member.force_login(make_person("operator", team=make_team("ours")))

    assert operator.get(f"/memory/{gone.public_id}").status_code == 404
    assert member.get(f"/memory/{hidden.public_id}").status_code == 404
    assert "theirs" not in seen(member, "/memory").split("<main")[1]
    assert member.post(f"/memory/{hidden.public_id}/removal").status_code == 404
    assert MemoryEntry.objects.count() == 2


def test_one_sees_and_forgets_what_is_kept_about_oneself_wherever_it_is_kept(client: Client) -> None:
    team = make_team("theirs")
    person = make_person("viewer", team=make_team("ours"))
    entry = make_memory(None, "likes", "tea", scope="person", place=f"person:{team.id}:{person.id}", person=person, team=team)
    client.force_login(person)

    assert "tea" in seen(client, f"/memory/{entry.public_id}")
    assert client.post(f"/memory/{entry.public_id}/removal").status_code == 302
    assert not MemoryEntry.objects.exists()


def test_a_person_puts_it_right_and_the_history_says_so(operator: Client) -> None:
    flow = make_flow()
    run = make_run(flow)
    entry = make_memory(flow, "vixen", "foxes", run=run, path="keep", untrusted="web.fetch")
    given: dict[str, Any] = {"value": '{"animal": "wolf"}', "expires": "2090-01-31T09:00", "revision": "1"}

    assert operator.post(f"/memory/{entry.public_id}", given).status_code == 302

    entry.refresh_from_db()
    assert (json.loads(entry.value), entry.revision, entry.run_id, entry.untrusted) == ({"animal": "wolf"}, 2, None, "")
    assert entry.expires_at is not None
    assert entry.expires_at.isoformat() == "2090-01-31T09:00:00+00:00"
    page = seen(operator, f"/memory/{entry.public_id}")
    assert page.count('data-testid="set-value"') == 2
    assert f"run {run.number}" in page
    row = AuditRow.objects.get(action="memory.change")
    assert row.data == {"place": entry.place, "name": "vixen"}  # not what it holds

    stale = operator.post(f"/memory/{entry.public_id}", given | {"value": "1"})
    assert stale.status_code == 409


@pytest.mark.parametrize(
    ("value", "expires", "said"),
    [
        ("foxes", "", "is no JSON"),
        ("null", "", "is null"),
        ('"' + "x" * 70_000 + '"', "", "is too large"),
        ("1", "2001-01-01T00:00", "has passed"),
        ("1", "tomorrow", "is no time"),
    ],
)
def test_what_was_typed_is_kept_where_it_is_refused(operator: Client, value: str, expires: str, said: str) -> None:
    entry = make_memory(make_flow())

    answer = operator.post(f"/memory/{entry.public_id}", {"value": value, "expires": expires})

    page = answer.content.decode()
    assert answer.status_code == 422
    assert said in page
    assert expires in page
    assert MemoryEntry.objects.get().revision == 1


def test_forgetting_asks_first_and_takes_the_history_with_it(operator: Client) -> None:
    flow = make_flow()
    entry, other = make_memory(flow, "a"), make_memory(flow, "b")
    page = seen(operator, f"/memory/{entry.public_id}/removal")
    assert "Forget all 2 entries" in page
    assert MemoryEntry.objects.count() == 2

    operator.post(f"/memory/{entry.public_id}/removal")
    assert [each.name for each in MemoryEntry.objects.all()] == ["b"]
    assert list(MemoryChange.objects.values_list("entry", flat=True)) == [other.id]
    make_memory(flow, "c")
    operator.post(f"/memory/{other.public_id}/removal", {"all": "yes"})

    assert not MemoryEntry.objects.exists()
    assert not MemoryChange.objects.exists()
    assert AuditRow.objects.get(action="memory.clear").data == {"names": ["b", "c"], "entries": 2}
    assert AuditRow.objects.filter(action="memory.delete").count() == 1


def test_a_viewer_sees_and_changes_nothing(client: Client) -> None:
    entry = make_memory(make_flow())
    client.force_login(make_person("viewer"))

    assert 'data-testid="change-form"' not in seen(client, f"/memory/{entry.public_id}")
    assert client.post(f"/memory/{entry.public_id}", {"value": "1"}).status_code == 403
    assert client.post(f"/memory/{entry.public_id}/removal").status_code == 403
