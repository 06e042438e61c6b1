"""The general settings: facts, backup, and SET-2: what the mail server or a chat says of a test that fails is shown."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from flows.models import AuditRow
from tests.makers import make_person

pytestmark = pytest.mark.django_db


@pytest.fixture
def page() -> Client:
    person = make_person("owner")
    person.email = "owner@example.com"
    person.save()
    client = Client()
    client.force_login(person)
    return client


def test_it_says_what_the_installation_is_and_how_it_is_backed_up(page: Client, settings: Any) -> None:
    settings.SITE_URL = "https://runs.example.com"

    shown = page.get("/settings/general").content.decode()

    assert "https://runs.example.com" in shown
    assert "pg_dump" in shown
    assert "SECRET_KEY" in shown


def test_SET_2_a_letter_that_is_refused_shows_what_the_server_said(page: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ConnectionRefusedError("550 mailbox of nobody")

    monkeypatch.setattr("orchestrator.actions.try_mail.send_mail", refuse)

    answer = page.post("/settings/general")

    assert answer.status_code == 502
    assert "550 mailbox of nobody" in answer.content.decode()
    assert AuditRow.objects.filter(action="mail.try").exists()


def test_a_letter_that_was_taken_is_in_the_box(page: Client, mailoutbox: list[Any]) -> None:
    assert page.post("/settings/general").status_code == 302
    assert [letter.to for letter in mailoutbox] == [["owner@example.com"]]
