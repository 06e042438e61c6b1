"""Memories over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from flows.models import AuditRow, MemoryEntry
from tests.makers import make_flow, make_key, make_memory, make_person, make_run

pytestmark = pytest.mark.django_db


def call(method: str, path: str, body: Any = None, *scopes: str) -> Any:
    _, secret = make_key(make_person("operator"), *(scopes or ("runs:read", "runs:write")))
    data = json.dumps(body) if body is not None else ""
    return Client().generic(
        method, f"/api/v1{path}", data, content_type="application/json", headers={"Authorization": f"Bearer {secret}"}
    )


def test_entries_are_listed_shown_changed_and_forgotten() -> None:
    flow = make_flow("watch")
    run = make_run(flow)
    entry = make_memory(flow, "seen", {"n": 1}, run=run, path="keep")
    make_memory(None, "other", 2, key="k")

    listed = call("GET", "/memory?flow=watch").json()
    assert [(each["name"], each["value"], each["run"], each["path"]) for each in listed["items"]] == [
        ("seen", {"n": 1}, run.public_id, "keep")
    ]
    first = call("GET", "/memory?limit=1").json()
    assert [each["name"] for each in call("GET", f"/memory?after={first['next']}").json()["items"]] == ["seen"]

    changed = call("PUT", f"/memory/{entry.public_id}", {"value": [2], "expires_at": "2090-01-01T00:00:00Z", "revision": 1})
    assert changed.status_code == 200, changed.content
    assert (changed.json()["value"], changed.json()["revision"], changed.json()["run"]) == ([2], 2, None)
    assert changed.json()["expires_at"] == "2090-01-01T00:00:00Z"
    again = call("PUT", f"/memory/{entry.public_id}", {"value": 3, "revision": 1})
    assert (again.status_code, again.json()["detail"]) == (409, "seen was changed meanwhile: it is at revision 2, not 1.")

    history = call("GET", f"/memory/{entry.public_id}").json()["history"]
    assert [(each["revision"], each["value"], each["run"]) for each in history] == [(2, [2], None), (1, {"n": 1}, run.public_id)]

    assert call("DELETE", f"/memory/{entry.public_id}").status_code == 204
    assert call("GET", f"/memory/{entry.public_id}").status_code == 404
    assert [each.name for each in MemoryEntry.objects.all()] == ["other"]
    assert set(AuditRow.objects.values_list("action", flat=True)) == {"memory.change", "memory.delete"}


def test_a_whole_memory_is_forgotten_at_once() -> None:
    flow = make_flow()
    for name in ("a", "b"):
        entry = make_memory(flow, name)

    assert call("DELETE", f"/memory/{entry.public_id}?all=true").status_code == 204
    assert not MemoryEntry.objects.exists()


def test_a_key_that_only_reads_changes_nothing_and_bad_filters_are_told() -> None:
    entry = make_memory(make_flow())

    assert call("DELETE", f"/memory/{entry.public_id}", None, "runs:read").status_code == 403
    assert call("GET", "/memory?scope=world").json()["problems"][0]["place"] == "scope"
    assert call("GET", "/memory?after=x").status_code == 422
    assert MemoryEntry.objects.count() == 1
