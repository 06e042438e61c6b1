"""The kill switch on the pages: its banner on every page, who may release it, the page that throws it."""

from __future__ import annotations

import pytest
from django.test import Client

from flows.access import signin
from flows.execution.killswitch import the_switch
from flows.models import KillSwitch
from tests.makers import make_flow, make_person, make_run

pytestmark = pytest.mark.django_db

SHELLS = ["/runs", "/flows", "/approvals", "/nowhere"]
"""Pages of each room, and one that says what went wrong."""


@pytest.fixture(autouse=True)
def uncounted() -> None:
    signin.client().flushdb()


def thrown() -> None:
    person = make_person("owner", username="ada")
    KillSwitch.objects.create(id=1, is_on=True, reason="prices <b>are</b> wrong", by=person, by_name="ada")


def visit(client: Client, address: str, *roles: str) -> str:
    client.force_login(make_person(*roles))
    return client.get(address).content.decode()


def pages() -> list[str]:
    run = make_run()
    return [*SHELLS, f"/runs/{run.public_id}", f"/flows/{run.flow.slug}", f"/flows/{make_flow().slug}/run"]


def test_every_page_says_who_threw_it_and_why_as_long_as_it_is_on(client: Client) -> None:
    for address in pages():
        assert 'data-testid="kill-switch"' not in visit(client, address, "owner"), address
    thrown()

    for address in pages():
        text = visit(client, address, "owner")
        assert 'data-testid="kill-switch"' in text, address
        assert "ada threw the kill switch" in text
        assert "prices &lt;b&gt;are&lt;/b&gt; wrong" in text
        assert 'id="kill-switch" data-live-topic="inbox" data-live-url="/shell/killswitch"' in text, "it comes and goes live"


def test_nobody_outside_reads_it(client: Client) -> None:
    thrown()
    assert "kill-switch" not in client.get("/login").content.decode()


def test_only_who_may_release_it_is_offered_to(client: Client) -> None:
    thrown()
    assert 'data-testid="release-switch"' in visit(client, "/runs", "owner")
    assert 'data-testid="release-switch"' not in visit(client, "/runs", "operator")


def test_it_is_thrown_with_a_reason_and_released(client: Client) -> None:
    client.force_login(make_person("owner", username="ada"))
    assert 'data-testid="throw-switch"' in client.get("/killswitch").content.decode()
    assert client.post("/killswitch", {"act": "throw", "reason": ""}).status_code == 422
    assert not the_switch().is_on

    client.post("/killswitch", {"act": "throw", "reason": "the mailer sends twice"})
    switch = the_switch()
    assert (switch.is_on, switch.by_name, switch.reason) == (True, "ada", "the mailer sends twice")
    assert "Release" in client.get("/killswitch").content.decode()

    client.post("/killswitch", {"act": "release"})
    assert not the_switch().is_on


def test_the_banner_alone_is_what_an_open_page_fetches(client: Client) -> None:
    thrown()
    text = visit(client, "/shell/killswitch", "viewer")
    assert text.startswith('<div class="switch-slot" id="kill-switch"')
    assert "<html" not in text


def test_owners_find_it_in_their_menu(client: Client) -> None:
    assert 'href="/killswitch"' in visit(client, "/runs", "owner")
    assert 'href="/killswitch"' not in visit(client, "/runs", "builder")
