"""S23, Sign-in: by what rules people come in, who is in now, and signing a person out everywhere."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from flows.access import signin
from flows.models import AuditRow, Person, SignIn
from orchestrator.people.entering import lasting
from tests.makers import make_key, make_person

pytestmark = pytest.mark.django_db


def signed_in(person: Person) -> Client:
    client = Client()
    client.force_login(person)
    return client


def test_the_rules_are_those_that_the_door_goes_by(
    settings: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.AUTH_PASSWORD_VALIDATORS = [
        {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 17}}
    ]
    settings.SESSION_COOKIE_AGE, settings.PASSWORD_RESET_TIMEOUT = 3 * 86400, 7200
    settings.SESSION_COOKIE_SECURE, settings.EMAIL_HOST = True, "mail.example.com"
    monkeypatch.setattr(signin, "PER_PERSON", 61)
    owner = make_person("owner")

    page = signed_in(owner).get("/settings/sign-in").content.decode()
    call_command("person", "signed-in")
    said = capsys.readouterr().out
    answer = Client().get("/api/v1/sign-ins", headers={"Authorization": f"Bearer {make_key(owner, 'admin')[1]}"}).json()

    for words in (
        "at least 17 characters",
        "Within 15 minutes: 8 for a name from one address, 61 for a name from anywhere, 100 from an address",
        "It ends after 3 days",
        "over HTTPS alone",
        "Its link works once, for 7 days; for 30 days at most",
        "Its link works once, for 2 hours. It is sent by mail.",
    ):
        for shown in (page, said, " ".join(each["words"] for each in answer["rules"])):
            assert words in shown
    variables = {each["variable"] for each in answer["rules"]} - {""}
    assert variables == {"SECURE_COOKIES", "EMAIL_HOST", "SECRET_KEY"}
    assert all(each in page for each in variables)


def test_lengths_of_time_are_said_in_their_largest_even_unit() -> None:
    assert [lasting(each) for each in (86400, 1209600, 5400, 61)] == ["1 day", "14 days", "90 minutes", "61 seconds"]


def test_it_shows_who_is_in_and_an_owner_signs_a_person_out_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    owner, ann, bob, gone = (make_person("owner"), *(make_person("viewer", username=each) for each in ("ann", "bob", "gone")))
    page, first, second, bobs = signed_in(owner), signed_in(ann), signed_in(ann), signed_in(bob)
    signed_in(gone)
    Person.objects.filter(id=gone.id).update(is_active=False)
    signed_in(ann)
    over = SignIn.objects.filter(person=ann).latest("id").session_key
    Session.objects.filter(session_key=over).update(expire_date=timezone.now() - timedelta(days=1))

    shown = page.get("/settings/sign-in")
    listed = {each.person.username: each.browsers for each in shown.context["signed_in"]}
    assert listed == {owner.username: 1, "ann": 2, "bob": 1}
    assert "/api/v1/people/ann/sign-ins" in shown.content.decode()
    assert f"/people/{owner.username}/sign-ins/end" not in shown.content.decode(), "one's own are on one's own page"

    assert page.post("/settings/people/ann/sign-ins/end").status_code == 302
    assert [each.get("/runs").status_code for each in (first, second, bobs, page)] == [302, 302, 200, 200]
    assert AuditRow.objects.filter(action="signin.end", subject="ann", actor=owner).count() == 3, "the one that was over, too"

    headers = {"Authorization": f"Bearer {make_key(owner, 'admin')[1]}"}
    assert Client().delete("/api/v1/people/bob/sign-ins", headers=headers).status_code == 204
    assert bobs.get("/runs").status_code == 302
    third = signed_in(ann)
    call_command("person", "signed-in", "--json")
    assert {each["person"] for each in json.loads(capsys.readouterr().out)["items"]} == {owner.username, "ann"}
    call_command("person", "sign-out", "ann")
    assert capsys.readouterr().out == "ann is signed out of 1 browser.\n"
    assert third.get("/runs").status_code == 302


def test_who_does_not_manage_people_sees_and_ends_nothing() -> None:
    ann, client = signed_in(make_person("viewer", username="ann")), signed_in(make_person("builder"))

    assert client.get("/settings/sign-in").status_code == 403
    assert client.post("/settings/people/ann/sign-ins/end").status_code == 403
    assert ann.get("/runs").status_code == 200


def test_the_list_takes_the_same_queries_for_many() -> None:
    page = signed_in(make_person("owner"))

    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            assert page.get("/settings/sign-in").status_code == 200
        return len(asked)

    queries()
    few = queries()
    for number in range(6):
        signed_in(make_person("viewer", username=f"reader-{number}"))
    assert queries() == few
