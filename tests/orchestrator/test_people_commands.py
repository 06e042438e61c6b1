"""People, teams, keys and secrets by command: the same verbs, rights and audit rows as on the pages."""

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from flows.access.keys import key_behind
from flows.models import AuditRow, ModelEntry, Secret
from tests.makers import make_flow, make_person, make_team

pytestmark = pytest.mark.django_db


def said(capsys: Any, *words: str) -> str:
    call_command(*words)
    out: str = capsys.readouterr().out
    return out


def refused(*words: str) -> str:
    with pytest.raises(CommandError) as refusal:
        call_command(*words)
    return str(refusal.value)


def test_people_and_teams_are_listed_and_changed(capsys: Any) -> None:
    make_person("owner", username="olga")
    make_person("viewer", username="ann")
    assert said(capsys, "team", "add", "finance", "--name", "Finance") == "finance was added.\n"
    assert said(capsys, "person", "grant", "ann", "approver", "--team", "finance", "--as", "olga") == (
        "ann: approver in finance, viewer\n"
    )
    assert said(capsys, "person", "take", "ann", "viewer") == "ann: approver in finance\n"
    assert said(capsys, "person", "list", "--team", "finance") == "ann: approver in finance\n"
    assert json.loads(said(capsys, "person", "list", "--json"))["items"][0]["roles"] == [{"role": "approver", "team": "finance"}]
    assert said(capsys, "team", "list") == "finance: ann (approver)\n"
    make_flow("refunds", team=make_team("finance"))
    make_team("others")
    assert said(capsys, "team", "remove", "finance", "--to", "others").startswith("finance was removed; 1 flow")

    call_command("person", "invite", "--role", "viewer", "--email", "bob@example.com")
    capsys.readouterr()
    invitation = said(capsys, "person", "invitations")
    assert ": viewer for bob@example.com, until " in invitation
    assert said(capsys, "person", "withdraw", invitation.partition(":")[0]) == "Its link opens nothing any more.\n"
    assert said(capsys, "person", "invitations") == ""
    assert "owner" in refused("person", "take", "olga", "owner")
    assert "people.manage" in refused("person", "grant", "ann", "owner", "--as", "ann")
    assert "no team 'nowhere'" in refused("team", "remove", "nowhere")
    assert AuditRow.objects.filter(action="role.grant", door="cli", actor_name="olga").exists()


def test_keys_are_listed_and_ended(capsys: Any) -> None:
    make_person("operator", username="ann")
    secret = said(capsys, "apikey", "create", "--user", "ann", "--scopes", "runs:read", "--label", "reports").strip()
    listed = said(capsys, "apikey", "list", "--user", "ann")
    assert "of ann (reports): runs:read; never used" in listed
    assert secret not in listed
    assert json.loads(said(capsys, "apikey", "list", "--json"))["items"][0]["secret"] is None
    name = listed.partition(":")[0]
    assert "no key" in refused("apikey", "revoke", name, "--as", make_person("viewer").username)
    assert "is refused from now on" in said(capsys, "apikey", "revoke", name)

    assert key_behind(secret) is None
    assert said(capsys, "apikey", "list") == ""


def test_a_secret_is_written_granted_and_removed_and_never_printed(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ModelEntry.objects.create(slug="small-1", model="openai/small-1")
    monkeypatch.setattr("sys.stdin", io.StringIO("a-value-of-its-own\n"))
    assert said(capsys, "secret", "put", "SMALL_KEY", "--model", "small-1") == "SMALL_KEY: granted to small-1\n"
    listed = said(capsys, "secret", "list") + said(capsys, "secret", "list", "--json")
    assert "SMALL_KEY: granted to small-1, named by nothing" in listed
    assert "a-value-of-its-own" not in listed
    assert said(capsys, "secret", "put", "SMALL_KEY", "--keep") == "SMALL_KEY: granted to nothing\n"
    assert said(capsys, "secret", "reseal") == "0 were sealed under the newest key.\n"
    assert said(capsys, "secret", "remove", "SMALL_KEY") == "SMALL_KEY was removed.\n"

    assert not Secret.objects.exists()
    assert "no secret" in refused("secret", "remove", "SMALL_KEY")
    assert "catalogue.manage" in refused("secret", "list", "--as", make_person("operator").username)
