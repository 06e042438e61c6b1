"""The first visit to an empty installation: its owner is made, the demonstration comes and is told of, and it goes again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone
from playwright.sync_api import expect

from flows.models import Filling, Flow
from orchestrator.management.receivers import a_receiver
from orchestrator.welcome import make_token
from tests.makers import make_flow


@pytest.fixture
def receiver() -> Iterator[int]:
    """The demonstration's outside world, where this installation's processes look for it."""
    with a_receiver(settings.DATA_DIR, str) as port:
        yield port


def test_FST_1_and_4_the_first_owner_explores_with_demo_data_and_takes_it_away_again(visit: Any, receiver: int) -> None:
    first, token = visit(), make_token()
    page = first.page
    first.go("/")
    page.wait_for_url("**/welcome")
    expect(page.get_by_role("radio", name="Explore with demo data")).to_be_checked()
    first.is_accessible()
    page.get_by_label("Token").fill(token)
    page.get_by_label("Username").fill("ann")
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Make the owner and sign in").click()

    expect(first.see("demo-sign-ins")).to_contain_text("approver-1")
    first.is_accessible()
    page.get_by_role("link", name="Continue").click()
    expect(first.see("filling")).to_contain_text("on its way")
    own = make_flow("own", published=False)
    Filling.objects.update(ended_at=timezone.now(), what="")
    first.go("/")
    expect(first.see("first-item")).to_have_count(5)
    page.get_by_role("link", name="Remove demo data").click()
    expect(first.see("leaving")).to_contain_text("flows")
    first.is_accessible()
    first.see("remove-demonstration").click()

    expect(page.get_by_role("status").filter(has_text="The demonstration is gone")).to_be_visible()
    assert list(Flow.objects.all()) == [own]
    own.delete()
    first.go("/")
    first.see("offer-demonstration").click()
    expect(first.see("bring-demonstration")).to_be_visible()
    first.is_quiet()
