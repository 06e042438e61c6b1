"""What starts a flow by itself is named where one publishes, pauses or archives it."""

import pytest
from django.test import Client

from flows.models import Flow
from tests.makers import make_flow, make_person, make_trigger

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(make_person("owner"))
    return client


@pytest.fixture
def flow() -> Flow:
    flow = make_flow("brief")
    make_trigger(flow, "schedule", cron="30 9 * * 2", zone="Europe/Madrid")
    make_trigger(flow, "webhook")
    return flow


@pytest.mark.parametrize("page", ["publication", "pause", "archive"])
def test_each_schedule_and_webhook_is_named(client: Client, flow: Flow, page: str) -> None:
    shown = client.get(f"/flows/brief/{page}").content.decode()

    for trigger in flow.triggers.all():
        assert f'href="/triggers/{trigger.public_id}">{trigger.name}</a>' in shown
    assert "30 9 * * 2" in shown
    assert "Europe/Madrid" in shown
    assert "Nothing but people" not in shown


def test_a_flow_without_any_says_that_people_and_the_api_start_it(client: Client) -> None:
    make_flow("greeting")

    assert "Started by</dt><dd>people and the API</dd>" in client.get("/flows/greeting/publication").content.decode()
    assert "Nothing but people and the API starts this flow." in client.get("/flows/greeting/pause").content.decode()


def test_FLW_3_pausing_several_names_what_each_starts_by(client: Client, flow: Flow) -> None:
    make_flow("greeting")

    shown = client.post("/flows/bulk", {"flow": ["brief", "greeting"], "act": "pause"}).content.decode()

    assert shown.count('data-testid="starters"') == 1
    for trigger in flow.triggers.all():
        assert trigger.name in shown
