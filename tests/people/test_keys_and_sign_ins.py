"""PPL-3 and the rest of coming in: keys are shown once, browsers can be signed out, passwords follow rules."""

from __future__ import annotations

import pytest
from django.contrib.auth.tokens import default_token_generator
from django.core import mail
from django.test import Client
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from flows.access import signin
from flows.models import ApiKey, AuditRow, Person, SignIn
from tests.makers import make_key, make_person

pytestmark = pytest.mark.django_db
GOOD = "correct horse battery"


@pytest.fixture(autouse=True)
def no_attempts_yet() -> None:
    signin.client().flushdb()


def entered(person: Person, agent: str = "Browser") -> Client:
    client = Client(headers={"User-Agent": agent})
    answer = client.post("/login", {"username": person.username, "password": GOOD})
    assert answer.status_code == 302
    return client


def test_PPL_3_a_key_is_shown_once_and_then_by_how_it_begins() -> None:
    person = make_person("operator")
    client = entered(person)

    made = client.post("/settings/keys", {"scopes": ["runs:read", "runs:write"], "label": "ci", "days": "30"})

    key, secret = ApiKey.objects.get(), made.context["secret"]
    assert secret in made.content.decode()
    assert made["Cache-Control"] == "no-store"
    later = client.get("/settings/keys").content.decode()
    assert secret not in later
    assert key.hint in later
    assert secret not in str(ApiKey.objects.values().get()) + str(list(AuditRow.objects.values()))
    assert Client().get("/api/v1/runs", headers={"Authorization": f"Bearer {secret}"}).status_code == 200
    client.post(f"/settings/keys/{key.public_id}/revocation")
    assert Client().get("/api/v1/runs", headers={"Authorization": f"Bearer {secret}"}).status_code == 401


def test_a_key_lacks_what_its_scopes_do_not_name() -> None:
    _, secret = make_key(make_person("owner"), "runs:read")

    answer = Client().post(
        "/api/v1/teams", {"slug": "x"}, content_type="application/json", headers={"Authorization": f"Bearer {secret}"}
    )

    assert (answer.status_code, answer.json()["right"]) == (403, "people.manage")
    assert "'admin'" in answer.json()["detail"]


def test_keys_of_others_are_listed_for_whoever_manages_them_only() -> None:
    make_key(make_person("operator", username="ann"), "runs:read")
    bob = make_person("operator", username="bob")

    assert entered(bob).get("/settings/keys").context["keys"] == []
    assert len(entered(make_person("owner")).get("/settings/keys").context["keys"]) == 1


def test_each_browser_is_listed_and_can_be_signed_out_from_another() -> None:
    person = make_person("viewer")
    here, elsewhere = entered(person, "Here 1.0"), entered(person, "Elsewhere 2.0")
    text = here.get("/me").content.decode()
    assert "Here 1.0" in text
    assert "Elsewhere 2.0" in text

    here.post(f"/me/sign-ins/{SignIn.objects.get(agent='Elsewhere 2.0').public_id}/end")

    assert elsewhere.get("/runs").status_code == 302
    assert here.get("/runs").status_code == 200
    assert AuditRow.objects.get(action="signin.end").data["agent"] == "Elsewhere 2.0"


def test_nobody_ends_anothers_but_who_manages_people() -> None:
    ann = make_person("viewer", username="ann")
    browser = entered(ann)
    sign_in = SignIn.objects.get(person=ann)

    assert entered(make_person("builder")).post(f"/me/sign-ins/{sign_in.public_id}/end").status_code == 404
    assert entered(make_person("owner")).post(f"/settings/people/ann/sign-ins/{sign_in.public_id}/end").status_code == 302
    assert browser.get("/runs").status_code == 302


def test_a_changed_password_signs_all_other_browsers_out() -> None:
    person = make_person("viewer")
    here, elsewhere = entered(person), entered(person)

    wrong = here.post("/me/password", {"current": "wrong", "fresh": "another good phrase"})
    weak = here.post("/me/password", {"current": GOOD, "fresh": "short"})
    done = here.post("/me/password", {"current": GOOD, "fresh": "another good phrase"})

    assert [each.status_code for each in (wrong, weak, done)] == [422, 422, 302]
    assert here.get("/runs").status_code == 200
    assert elsewhere.get("/runs").status_code == 302


def test_signing_in_out_and_failing_to_are_in_the_log() -> None:
    person = make_person("viewer", username="ann")
    client = entered(person)
    client.post("/logout")
    Client().post("/login", {"username": "ann", "password": "wrong"})
    Client().post("/login", {"username": "my secret phrase", "password": "ann"})

    told = list(AuditRow.objects.order_by("id").values_list("action", "actor_name", "subject"))
    assert told == [
        ("signin", "ann", "ann"),
        ("signout", "ann", "ann"),
        ("signin.refused", "sign-in", "ann"),
        ("signin.refused", "sign-in", "(nobody's name)"),
    ]
    assert AuditRow.objects.first().address == "127.0.0.1"  # type: ignore[union-attr]
    assert not SignIn.objects.exists()


def test_guessing_is_slowed_down() -> None:
    make_person("viewer", username="ann")

    codes = [Client().post("/login", {"username": "ann", "password": f"guess {n}"}).status_code for n in range(10)]

    assert codes[-1] == 429


def test_a_forgotten_password_is_set_anew_by_a_mailed_link_that_works_once(mail_server: None) -> None:
    person = make_person("viewer", username="ann")
    Person.objects.filter(id=person.id).update(email="ann@example.com")

    for address in ("ann@example.com", "nobody@example.com"):
        text = Client().post("/password/forgotten", {"email": address}).content.decode()
        assert "If this address belongs to an account" in text
    assert len(mail.outbox) == 1
    link = "/" + mail.outbox[0].body.partition("://")[2].partition("/")[2].split()[0]

    assert Client().post(link, {"fresh": "another good phrase"}).status_code == 302
    assert Client().get(link).status_code == 410
    assert Client().post("/login", {"username": "ann", "password": "another good phrase"}).status_code == 302


def test_an_owner_gives_a_link_for_a_new_password() -> None:
    make_person("viewer", username="ann")

    page = entered(make_person("owner")).post("/settings/people/ann/reset")

    assert Client().get("/" + page.context["link"].partition("://")[2].partition("/")[2]).status_code == 200
    assert AuditRow.objects.filter(action="person.resetlink", subject="ann").exists()


def test_a_link_of_somebody_who_was_shut_out_is_over() -> None:
    person = make_person("viewer")
    uid, token = urlsafe_base64_encode(force_bytes(person.pk)), default_token_generator.make_token(person)
    Person.objects.filter(id=person.id).update(is_active=False)

    assert Client().get(f"/password/reset/{uid}/{token}").status_code == 410


def test_AUD_3_a_refused_act_is_in_the_log_and_one_who_keeps_trying_does_not_fill_it() -> None:
    client = entered(make_person("viewer", username="ann"))
    _, secret = make_key(Person.objects.get(username="ann"), "admin")

    answer = client.post("/settings/teams", {"slug": "mine"})
    Client().post("/api/v1/teams", {"slug": "x"}, content_type="application/json", headers={"Authorization": f"Bearer {secret}"})
    page, api = AuditRow.objects.filter(action="refusal").order_by("id")
    for _ in range(70):
        client.post("/settings/teams", {"slug": "mine"})

    assert (page.subject, page.door, page.data["right"], page.actor_name) == ("/settings/teams", "page", "people.manage", "ann")
    assert page.request == answer["X-Request-ID"]
    assert (api.subject, api.door, api.key is not None) == ("/api/v1/teams", "api", True)
    assert AuditRow.objects.filter(action="refusal").count() == 60
