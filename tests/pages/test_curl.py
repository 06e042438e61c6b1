"""Each list says how a program asks for the same."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.test import Client

from tests.makers import make_flow, make_key, make_person, make_run, make_trigger

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("address", "rows"),
    [
        ("/runs?state=failed", 1),
        ("/flows?q=other", 1),
        ("/triggers?kind=webhook", 1),
        ("/audit?action=signin", 1),
        ("/settings/people?role=viewer", 1),
        ("/settings/keys", 1),
        ("/settings/teams", 0),
        ("/approvals?box=all", 0),
    ],
)
def test_the_copied_request_gives_what_the_list_shows(address: str, rows: int) -> None:
    flow = make_flow("greet")
    make_flow("other")
    make_run(flow, status="failed"), make_run(flow, status="waiting")
    make_trigger(flow, "webhook"), make_trigger(flow)
    make_person("viewer")
    client, owner = Client(), make_person("owner")
    client.force_login(owner)
    _, secret = make_key(owner, "admin")

    text = unescape(client.get(address).content.decode())
    copied = re.search(r"curl -H \"Authorization: Bearer \$ORCHESTRATOR_KEY\" 'http://testserver(/api/v1/[^']*)'", text)

    assert copied is not None
    answer = Client().get(copied[1], headers={"Authorization": f"Bearer {secret}"})
    assert (answer.status_code, len(answer.json()["items"])) == (200, rows)


def test_flows_are_narrowed_over_the_api_as_on_the_page() -> None:
    make_flow("live"), make_flow("draft", published=False)
    headers = {"Authorization": f"Bearer {make_key(make_person('viewer'), 'flows:read')[1]}"}

    def slugs(query: str) -> list[str]:
        return [each["slug"] for each in Client().get(f"/api/v1/flows?{query}", headers=headers).json()["items"]]

    assert slugs("") == ["draft", "live"]
    assert slugs("status=live") == ["live"]
    assert slugs("status=draft&q=dra") == ["draft"]
    assert slugs("tag=none") == []
