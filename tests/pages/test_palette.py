"""What the palette finds: only what one may see, at most five of a kind."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from flows.models import Request
from tests.makers import make_flow, make_person, make_request, make_run, make_team

pytestmark = pytest.mark.django_db


def found(client: Client, text: str) -> list[tuple[str, str]]:
    answer = client.get("/shell/search", {"q": text})
    assert answer.status_code == 200
    return [(each["section"], each["label"]) for each in answer.json()["found"]]


def signed_in(*roles: str, **fields: Any) -> Client:
    client = Client()
    client.force_login(make_person(*roles, **fields))
    return client


def test_flows_runs_requests_and_people_are_found_by_name() -> None:
    run = make_run(make_flow("refund-one"), status="waiting_approval")
    request = make_request(run)
    Request.objects.filter(id=request.id).update(title="Refund 420 to a customer")
    make_person("viewer", username="refunder")

    assert found(signed_in("owner"), "refund") == [
        ("Flows", "refund-one"),
        ("Runs", f"refund-one #{run.number}"),
        ("Approvals", "Refund 420 to a customer"),
        ("People", "refunder"),
    ]
    assert ("People", "refunder") not in found(signed_in("operator"), "refund")
    assert found(signed_in("operator"), f"#{run.number}") == [("Runs", f"refund-one #{run.number}")]


def test_filters_are_those_of_the_list() -> None:
    flow = make_flow("refund")
    failed = make_run(flow, status="failed")
    make_run(flow, status="succeeded")

    client = signed_in("operator")

    assert found(client, "state:failed flow:refund") == [("Runs", "All that match"), ("Runs", f"refund #{failed.number}")]
    assert client.get("/shell/search?q=state:failed flow:refund").json()["found"][0]["href"] == "/runs?state=failed&flow=refund"
    assert found(client, "state:nonsense") == []


def test_nothing_of_other_teams_is_found() -> None:
    flow = make_flow("hidden", team=make_team("legal"))
    run = make_run(flow, status="waiting_approval")
    Request.objects.filter(id=make_request(run).id).update(title="hidden")

    assert found(signed_in("operator", team=make_team("sales")), "hidden") == []
    assert found(signed_in("operator", team=make_team("sales")), "") == []


def test_it_takes_few_queries_however_much_there_is() -> None:
    client = signed_in("owner")
    for n in range(8):
        make_run(make_flow(f"refund-{n}"))
    found(client, "refund")

    with CaptureQueriesContext(connection) as caught:
        sections = [section for section, _ in found(client, "refund")]

    assert sections.count("Flows") == sections.count("Runs") == 5
    assert len(caught) <= 8
