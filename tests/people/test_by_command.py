"""People by command."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from flows.models import Person
from tests.makers import make_person, make_request, make_team

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
