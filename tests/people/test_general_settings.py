"""The general settings: name, zone, currency, facts, backup, and SET-2: what the mail server or a chat says of a test that fails is
shown."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from flows.access.actor import Actor
from flows.access.installation import heed, look_up, the_installation
from flows.costs.folding import fold_everything, midnight_of
from flows.costs.reports import Scope
from flows.costs.sums import sources_of, standing
from flows.models import AuditRow, Budget, DaySum, Person
from tests.makers import make_flow, make_key, make_person, make_run
from tests.runs.journals import make_call

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


def test_S23_name_zone_and_currency_are_set_by_page_api_and_command(page: Client, capsys: pytest.CaptureFixture[str]) -> None:
    given = {"act": "save", "name": "Acme flows", "zone": "Europe/Madrid", "currency": "€"}
    assert page.post("/settings/general", given).status_code == 302

    assert "<title>General settings · Acme flows</title>" in page.get("/settings/general").content.decode()
    assert "Acme flows" in Client().get("/login").content.decode(), "who is not signed in, too"
    _, secret = make_key(make_person("owner", username="other"), "admin")
    headers = {"Authorization": f"Bearer {secret}"}
    body = json.dumps({"zone": "America/New_York", "reason": "We moved"})
    changed = Client().patch("/api/v1/installation", body, content_type="application/json", headers=headers).json()
    assert (changed["name"], changed["zone"], changed["currency"]) == ("Acme flows", "America/New_York", "€")
    call_command("installation", "set", "--currency", "CHF")
    assert capsys.readouterr().out == "name: Acme flows\nzone: America/New_York\ncurrency: CHF\n"

    rows = list(AuditRow.objects.filter(action="installation.change").order_by("id"))
    assert [row.door for row in rows] == ["page", "api", "cli"]
    assert rows[1].data == {
        "before": {"zone": "Europe/Madrid"},
        "after": {"zone": "America/New_York"},
        "reason": "We moved",
    }


@pytest.mark.parametrize(
    ("field", "wrong"),
    [("name", "x" * 61), ("name", " "), ("zone", "Mars/Base"), ("zone", "../etc"), ("currency", "1$"), ("currency", "<b>")],
)
def test_what_cannot_be_is_refused_and_shown_again(page: Client, field: str, wrong: str) -> None:
    given = {"act": "save", "name": "Acme", "zone": "UTC", "currency": "$", field: wrong}

    answer = page.post("/settings/general", given)

    assert answer.status_code == 422
    assert 'data-testid="form-errors"' in answer.content.decode()
    assert look_up().name == "Orchestrator"
    assert not AuditRow.objects.filter(action="installation.change").exists()
    with pytest.raises(CommandError, match=field):
        call_command("installation", "set", f"--{field}", wrong)


def test_amounts_bear_the_currencys_label_and_are_not_converted(page: Client) -> None:
    run = make_run(make_flow("greet"), status="succeeded", spent=Decimal("1.25"))
    call_command("installation", "set", "--currency", "CHF")
    heed(None)  # another process, which has not heard of it

    shown = page.get(f"/runs/{run.public_id}").content.decode()

    assert "CHF\N{NO-BREAK SPACE}1.2500" in shown
    assert "$1.25" not in shown
    assert the_installation().without_currency("CHF 0.50") == "0.50"


def test_a_new_zone_is_summed_anew_and_meanwhile_read_from_the_ledger(page: Client) -> None:
    """23:30 in Madrid of a summer's day is 21:30 in UTC; 00:30 of the next is the same day in UTC."""
    run = make_run(make_flow("greet"), status="succeeded")
    for hour, cost in ((21, "1"), (22, "2")):
        make_call(run, f"step{hour}", cost=cost, started_at=datetime(2026, 7, 1, hour, 30, tzinfo=UTC))

    def of_days() -> dict[date, Decimal]:
        with timezone.override(look_up().tz):
            scope = Scope(midnight_of(date(2026, 7, 1), look_up().tz), midnight_of(date(2026, 7, 3), look_up().tz))
            cells = sources_of(Actor(person=Person.objects.get()), scope, "day", at=standing()).by("day")
        return {day: figures[0] for (day,), figures in sorted(cells.items())}

    fold_everything()
    assert of_days() == {date(2026, 7, 1): 3}
    call_command("installation", "set", "--zone", "Europe/Madrid")
    unsummed = of_days()
    assert unsummed == {date(2026, 7, 1): 1, date(2026, 7, 2): 2}
    assert "are being summed" in page.get("/settings/general").content.decode()

    fold_everything()

    assert of_days() == unsummed
    days = DaySum.objects.filter(zone="Europe/Madrid", fine=False).order_by("day").values_list("day", "settled")
    assert list(days) == [(date(2026, 7, 1), 1), (date(2026, 7, 2), 2)]
    assert "are summed up to" in page.get("/settings/general").content.decode()


def test_new_budgets_have_the_installations_zone_and_others_keep_theirs(page: Client) -> None:
    def put(period: str) -> None:
        given = {"scope": "all", "subject": "", "period": period, "cost": "9", "warn": "80", "at_limit": "stop"}
        assert page.post("/budgets/edit", given).status_code == 302

    put("day")
    call_command("installation", "set", "--zone", "Asia/Tokyo")
    put("month")

    assert dict(Budget.objects.values_list("period", "zone")) == {"day": "UTC", "month": "Asia/Tokyo"}
    assert "1 budget</a> keeps another zone" in page.get("/settings/general").content.decode()


def test_SET_2_a_letter_that_is_refused_shows_what_the_server_said(
    page: Client, mail_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ConnectionRefusedError("550 mailbox of nobody")

    monkeypatch.setattr("orchestrator.actions.try_mail.send_mail", refuse)

    answer = page.post("/settings/general", {"act": "try"})

    assert answer.status_code == 502
    assert "550 mailbox of nobody" in answer.content.decode()
    assert AuditRow.objects.filter(action="mail.try").exists()
    tried = page.post("/api/v1/installation/mail-test", headers=with_token(page)).json()
    assert tried == {"to": "owner@example.com", "taken": False, "said": "ConnectionRefusedError: 550 mailbox of nobody"}
    with pytest.raises(CommandError, match="550 mailbox of nobody"):
        call_command("installation", "mail-test", "--as", username(page))


def test_a_letter_that_was_taken_is_in_the_box(page: Client, mail_server: None, mailoutbox: list[Any]) -> None:
    assert page.post("/settings/general", {"act": "try"}).status_code == 302
    assert page.post("/api/v1/installation/mail-test", headers=with_token(page)).json()["taken"]
    assert [letter.to for letter in mailoutbox] == [["owner@example.com"]] * 2


def with_token(page: Client) -> dict[str, str]:
    """What a page's script sends with a change."""
    page.get("/settings/general")
    return {"X-CSRFToken": page.cookies["csrftoken"].value}


def username(page: Client) -> str:
    return Person.objects.get(id=page.session["_auth_user_id"]).username


def test_without_a_mail_server_the_page_says_so_and_sends_nothing(page: Client, settings: Any) -> None:
    settings.EMAIL_HOST = ""

    assert 'data-testid="try-mail"' not in page.get("/settings/general").content.decode()
    refused = page.post("/api/v1/installation/mail-test", headers=with_token(page))
    assert (refused.status_code, refused.json()["problems"][0]["place"]) == (422, "EMAIL_HOST")
    assert not AuditRow.objects.filter(action="mail.try").exists()
