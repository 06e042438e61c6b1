"""People by command."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from flows.models import AuditRow, Person
from tests.makers import make_key, make_person, make_request, make_team

pytestmark = pytest.mark.django_db


def test_an_invitation_by_command_opens_the_door_once(capsys: pytest.CaptureFixture[str]) -> None:
    make_team("finance")
    call_command("person", "invite", "--role", "approver", "--team", "finance")
    path = capsys.readouterr().out.strip()

    answer = Client().post(path, {"username": "ann", "name": "Ann", "password": "correct horse battery"})

    assert answer.status_code == 302
    assert Person.objects.get(username="ann").memberships.get().role == "approver"
    with pytest.raises(CommandError, match="there is no team 'nowhere'"):
        call_command("person", "invite", "--role", "viewer", "--team", "nowhere")


def test_deactivating_by_command_hands_over(capsys: pytest.CaptureFixture[str]) -> None:
    make_person("approver", username="ann"), make_person("approver", username="bob")
    make_request(terms={"approvers": {"people": ["ann"]}})
    with pytest.raises(CommandError, match="Say who takes over"):
        call_command("person", "deactivate", "ann")

    call_command("person", "deactivate", "ann", "--successor", "bob")

    assert "1 open request handed over" in capsys.readouterr().out


def test_a_person_is_changed_signed_out_and_given_a_link_by_command(capsys: pytest.CaptureFixture[str]) -> None:
    ann = make_person("viewer", username="ann")
    browser = Client()
    browser.force_login(ann)
    call_command("person", "change", "ann", "--email", "ann@example.com")
    call_command("person", "sign-ins", "ann")
    sign_in = capsys.readouterr().out.splitlines()[-1].split()[0]

    call_command("person", "sign-ins", "ann", "--end", sign_in)
    assert browser.get("/runs").status_code == 302
    call_command("person", "password-link", "ann")
    path = capsys.readouterr().out.strip()
    assert Client().post(path, {"fresh": "another correct horse"}).status_code == 302
    call_command("person", "deactivate", "ann")
    call_command("person", "reactivate", "ann")

    ann.refresh_from_db()
    assert (ann.email, ann.is_active, ann.check_password("another correct horse")) == ("ann@example.com", True, True)
    doors = AuditRow.objects.filter(subject="ann", door="cli").values_list("action", flat=True)
    assert {"person.change", "signin.end", "person.resetlink"} <= set(doors)


def test_the_same_over_the_api() -> None:
    owner, ann = make_person("owner"), make_person("viewer", username="ann")
    browser, here = Client(), Client()
    browser.force_login(ann)
    here.force_login(ann)
    _, owners = make_key(owner, "admin")
    _, anns = make_key(ann, "admin")

    def ask(secret: str, method: str, path: str, body: str = "") -> Any:
        headers = {"Authorization": f"Bearer {secret}"}
        return Client().generic(method, f"/api/v1{path}", body, content_type="application/json", headers=headers)

    assert ask(anns, "PATCH", "/me", r'{"name": "Ann\u0000 Other"}').json()["name"] == "Ann Other"
    assert ask(anns, "GET", "/me").json()["username"] == "ann"
    first, second = (each["id"] for each in ask(anns, "GET", "/me/sign-ins").json()["items"])
    assert ask(anns, "DELETE", f"/me/sign-ins/{first}").status_code == 204
    assert [each["id"] for each in ask(owners, "GET", "/people/ann/sign-ins").json()["items"]] == [second]
    assert ask(owners, "DELETE", f"/me/sign-ins/{second}").status_code == 404, "another's"
    assert ask(owners, "DELETE", f"/people/ann/sign-ins/{second}").status_code == 204
    assert [each.get("/runs").status_code for each in (browser, here)] == [302, 302]
    link = ask(owners, "POST", "/people/ann/password-link").json()["link"]
    assert Client().get(link.removeprefix("http://testserver")).status_code == 200
