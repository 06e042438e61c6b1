"""The versions of a route: listed, compared, gone back to by a new version; on its page and over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from flows.access.refusals import Forbidden, Invalid, NotFound
from flows.models import AuditRow, ModelEntry, Route, RouteVersion
from flows.routing.entries import RoutePart
from flows.runs.actions.put_model import CatalogueMoved
from flows.runs.actions.put_route import AlreadyInForce, put_route, roll_back_route
from flows.runs.catalogue.versions import compared
from tests.makers import make_actor, make_key, make_person

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def two_versions() -> None:
    for slug in ("small", "large"):
        ModelEntry.objects.create(slug=slug, model=f"sim/{slug}", simulated=True)
    builder = make_actor("builder")
    put_route(builder, "main", RoutePart.model_validate({"candidates": ("small",), "timeout": 20.0}))
    golden = {"model": "large", "when": {"tag": "gold"}, "weight": 2.0}
    put_route(builder, "main", RoutePart.model_validate({"candidates": (golden, "small"), "strategy": "weighted"}))


def signed_in(role: str) -> Client:
    client = Client()
    client.force_login(make_person(role))
    return client


def test_two_versions_are_compared_field_by_field() -> None:
    changes = {each.name: (each.change, each.before, each.after) for each in compared("main", 1, 2).changes}

    assert changes["strategy"] == ("changed", "ordered", "weighted")
    assert changes["timeout"] == ("changed", "20.0", "null")
    assert changes["candidates[1]"] == ("added", None, "small")
    assert compared("main") == compared("main", 1, 2)
    assert compared("main", 2, 2).changes == ()
    with pytest.raises(NotFound):
        compared("main", 1, 9)


def test_going_back_is_a_new_version_that_the_next_call_goes_by() -> None:
    builder = make_actor("builder")

    put = roll_back_route(builder, "main", 1, version=2)

    assert (put.entry.version, put.entry.candidates, put.entry.timeout) == (3, ["small"], 20.0)
    first, second, third = RouteVersion.objects.order_by("number")
    assert third.definition == first.definition != second.definition
    row = AuditRow.objects.get(action="route.roll_back")
    assert (row.subject, row.data["rolled_back_to"], row.data["version"]) == ("main", 1, 3)
    with pytest.raises(AlreadyInForce):
        roll_back_route(builder, "main", 1)
    with pytest.raises(CatalogueMoved):
        roll_back_route(builder, "main", 2, version=2)
    with pytest.raises(Forbidden):
        roll_back_route(make_actor("operator"), "main", 2)


def test_a_version_that_no_longer_fits_the_catalogue_is_refused_and_named() -> None:
    put_route(make_actor("builder"), "main", RoutePart.model_validate({"candidates": ("small",)}))
    ModelEntry.objects.filter(slug="large").delete()

    with pytest.raises(Invalid, match="Version 2 cannot be used any more") as refusal:
        roll_back_route(make_actor("builder"), "main", 2)

    assert [each.place for each in refusal.value.problems] == ["candidates[0]"]
    assert Route.objects.get().version == 3


def test_the_page_lists_compares_and_rolls_back() -> None:
    page = signed_in("viewer").get("/routes/main/versions").content.decode()
    assert "v1 → v2" in page
    assert "weighted" in page
    assert "roll-back" not in page
    builder = signed_in("builder")
    assert "Compare and roll back" in builder.get("/routes/main").content.decode()
    assert "No differences" in builder.get("/routes/main/versions?from=2&to=v2").content.decode()
    assert builder.get("/routes/main/versions?from=9").status_code == 404

    stale = builder.post("/routes/main/rollback", {"number": "1", "revision": "1"})
    assert stale.status_code == 409
    assert "Somebody else changed it meanwhile" in stale.content.decode()
    assert builder.post("/routes/main/rollback", {"number": "1", "revision": "2"})["Location"] == "/routes/main"
    assert Route.objects.get().version == 3
    again = builder.post("/routes/main/rollback", {"number": "1", "revision": "3"})
    assert "is what is in force" in again.content.decode()


def test_versions_over_http() -> None:
    _, secret = make_key(make_person("builder"), "admin")
    headers = {"Authorization": f"Bearer {secret}"}

    def send(method: str, path: str, body: Any = None, **more: str) -> Any:
        given = json.dumps(body) if body is not None else ""
        return Client().generic(
            method, f"/api/v1/routes/main/{path}", given, content_type="application/json", headers={**headers, **more}
        )

    assert [each["number"] for each in send("GET", "versions").json()["items"]] == [2, 1]
    found = send("GET", "comparison?before=1&after=2").json()
    assert {"change": "changed", "name": "strategy", "before": "ordered", "after": "weighted"} in found["changes"]
    assert send("POST", "rollback", {"version": 1}, **{"If-Match": '"1"'}).status_code == 409
    assert send("POST", "rollback", {"version": 1}, **{"If-Match": '"2"'}).json()["version"] == 3
    assert send("POST", "rollback", {"version": 1}).status_code == 409
    assert send("POST", "rollback", {"version": 8}).status_code == 404
