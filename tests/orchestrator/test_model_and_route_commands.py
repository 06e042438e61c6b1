"""Models and routes by command: the same verbs, rights and audit rows as on the pages."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from flows.models import AuditRow, ModelEntry, Route, Run
from tests.makers import make_person

pytestmark = pytest.mark.django_db


def said(capsys: Any, *words: str) -> str:
    call_command(*words)
    out: str = capsys.readouterr().out
    return out


def refused(*words: str) -> str:
    with pytest.raises(CommandError) as refusal:
        call_command(*words)
    return str(refusal.value)


def test_a_connection_is_made_listed_checked_and_removed(tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "post.yaml"
    file.write_text("{kind: smtp, host: 127.0.0.1, port: 9, tls: none}")
    call_command("connection", "put", "post", str(file))
    capsys.readouterr()
    assert said(capsys, "connection", "list").startswith("post (smtp): ")
    assert json.loads(said(capsys, "connection", "list", "--json"))["items"][0]["name"] == "post"
    assert refused("connection", "check", "post").startswith("post: ")
    assert said(capsys, "connection", "remove", "post") == "post was removed.\n"
    assert "catalogue.manage" in refused("connection", "list", "--as", make_person("operator").username)


def test_models_and_routes_are_made_changed_tried_and_removed(tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "part.yaml"
    price = "{input: 1, output: 2}"
    file.write_text(f"{{model: sim/spare, context: 4000, capabilities: [tools], price: {price}}}")
    assert "spare" in said(capsys, "model", "put", "spare", str(file))
    assert said(capsys, "model", "put", "spare", str(file)) == "spare: nothing to change.\n"
    assert said(capsys, "model", "list", "--capability", "tools") == "spare (sim/spare), 4,000 tokens: tools\n"
    assert json.loads(said(capsys, "model", "show", "spare"))["context"] == 4000
    assert said(capsys, "model", "check", "spare").startswith("spare: ")

    file.write_text("{candidates: [spare], timeout: 20s}")
    call_command("route", "put", "balanced", str(file))
    file.write_text("{candidates: [spare], timeout: 9s}")
    call_command("route", "put", "balanced", str(file))
    capsys.readouterr()
    assert said(capsys, "route", "list").startswith("balanced v2 (")
    assert json.loads(said(capsys, "route", "list", "--json"))["items"][0]["version"] == 2
    assert "differences between v1 and v2." in said(capsys, "route", "compare", "balanced")
    assert said(capsys, "route", "rollback", "balanced", "1") == "balanced: v3, which equals v1\n"
    assert [line.split(":")[0] for line in said(capsys, "route", "versions", "balanced").splitlines()] == ["v3", "v2", "v1"]
    owner = make_person("owner").username
    assert "queued" in said(capsys, "route", "try", "balanced", "Hello", "--simulate", "--ceiling", "0.50", "--as", owner)
    assert Run.objects.get().purpose == "test"
    assert "balanced" in refused("model", "remove", "spare")
    assert said(capsys, "route", "remove", "balanced") == "balanced was removed.\n"
    assert said(capsys, "model", "remove", "spare") == "spare was removed.\n"

    assert not Route.objects.exists()
    assert not ModelEntry.objects.exists()
    assert AuditRow.objects.filter(door="cli", action__startswith="route.").count() == 4
    file.write_text("{candidates: [spare], timeout: soon}")
    assert "timeout" in refused("route", "put", "balanced", str(file))
    assert "no model 'spare'" in refused("model", "show", "spare")
    assert "routes.edit" in refused("route", "remove", "balanced", "--as", make_person("operator").username)
