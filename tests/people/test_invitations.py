"""An invitation is accepted once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from flows.access import signin
from flows.access.actions.accept_invitation import InvitationOver, accept_invitation
from flows.access.actions.invite_person import invite_person, withdraw_invitation
from flows.access.refusals import Forbidden, Invalid
from flows.models import AuditRow, Invitation, Person
from tests.makers import make_actor, make_team

pytestmark = pytest.mark.django_db
GOOD = "correct horse battery"


@pytest.fixture(autouse=True)
def no_attempts_yet() -> None:
    signin.client().flushdb()


def test_whoever_opens_the_link_first_becomes_a_person_with_its_roles() -> None:
    make_team("finance")
    _, secret = invite_person(make_actor("owner"), [("approver", "finance"), ("viewer", None)], email="ann@example.com")

    person = accept_invitation(secret, "ann", GOOD, "Ann")

    assert person.email == "ann@example.com"
    held = {(each.role, each.team.slug if each.team else None) for each in person.memberships.all()}
    assert held == {("approver", "finance"), ("viewer", None)}
    with pytest.raises(InvitationOver):
        accept_invitation(secret, "bob", GOOD)
    assert not Person.objects.filter(username="bob").exists()


def test_the_link_opened_twice_says_that_it_was_used() -> None:
    _, secret = invite_person(make_actor("owner"), [("viewer", None)])
    address = f"/invitations/{secret}"
    assert Client().get(address).status_code == 200

    first = Client().post(address, {"username": "ann", "name": "Ann", "password": GOOD})
    second = Client().post(address, {"username": "bob", "name": "Bob", "password": GOOD})

    assert first.status_code == 302
    assert (second.status_code, "It was used" in second.content.decode()) == (410, True)
    assert Person.objects.filter(username__in=("ann", "bob")).count() == 1


def test_a_password_that_breaks_the_rules_keeps_the_invitation_good() -> None:
    _, secret = invite_person(make_actor("owner"), [("viewer", None)])

    for bad in ("short", "password123", "1234567890123", "annabel-lee"):
        with pytest.raises(Invalid) as refused:
            accept_invitation(secret, "annabel-lee", bad)
        assert refused.value.problems[0].place == "password"

    assert accept_invitation(secret, "annabel-lee", GOOD).is_active


def test_a_withdrawn_one_and_one_that_is_over_open_nothing() -> None:
    owner = make_actor("owner")
    withdrawn, first = invite_person(owner, [("viewer", None)])
    old, second = invite_person(owner, [("viewer", None)])
    withdraw_invitation(owner, withdrawn)
    Invitation.objects.filter(id=old.id).update(expires_at=timezone.now() - timedelta(seconds=1))

    for secret in (first, second, "nonsense"):
        assert Client().get(f"/invitations/{secret}").status_code == 410
        with pytest.raises(InvitationOver):
            accept_invitation(secret, "ann", GOOD)


def test_only_its_hash_is_kept() -> None:
    invitation, secret = invite_person(make_actor("owner"), [("viewer", None)])

    row = AuditRow.objects.get(action="person.invite")
    assert secret not in str(Invitation.objects.filter(id=invitation.id).values().get()) + str(row.data)


def test_it_takes_the_right_and_roles_that_there_are() -> None:
    with pytest.raises(Forbidden):
        invite_person(make_actor("builder"), [("viewer", None)])
    with pytest.raises(Invalid) as refused:
        invite_person(make_actor("owner"), [("king", None), ("viewer", "nowhere")], email="no address")
    assert [fault.place for fault in refused.value.problems] == ["roles", "roles", "email"]


def test_it_goes_by_mail_where_mail_is_set_up(mail_server: None) -> None:
    client = Client()
    client.force_login(make_actor("owner").person)

    answer = client.post("/settings/people/invite", {"role": "viewer", "team": "", "email": "ann@example.com"})

    assert answer.context["link"] in mail.outbox[0].body
    assert mail.outbox[0].to == ["ann@example.com"]


def test_a_mail_that_cannot_be_sent_leaves_the_link(mail_server: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise OSError("no route to the mail server")

    monkeypatch.setattr("orchestrator.people.mails.send_mail", refuse)
    client = Client()
    client.force_login(make_actor("owner").person)

    text = client.post("/settings/people/invite", {"role": "viewer", "team": "", "email": "ann@example.com"}).content.decode()

    assert "no route to the mail server" in text
    assert "/invitations/" in text
