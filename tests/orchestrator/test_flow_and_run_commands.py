"""Flows, runs and the audit log by command: what there is, what becomes of it, and who did what."""

import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from flows.models import AuditRow, Delivery, Flow
from tests.makers import DOCUMENT, make_flow, make_person, make_run
from tests.runs.journals import make_call

pytestmark = pytest.mark.django_db


def said(capsys: Any, *words: str) -> str:
    call_command(*words)
    out: str = capsys.readouterr().out
    return out


def test_a_flow_is_listed_published_paused_archived_and_taken_back(capsys: Any) -> None:
    flow = make_flow("greet", document=DOCUMENT.replace("Hello", "Good day"))
    flow.draft = DOCUMENT
    flow.save()
    make_flow("other", published=False)
    ann = make_person("builder", "operator", username="ann").username

    assert said(capsys, "flow", "list") == "greet: greet: version 1\nother: other: draft only\n"
    assert [each["slug"] for each in json.loads(said(capsys, "flow", "list", "--text", "oth", "--json"))["items"]] == ["other"]
    assert said(capsys, "flow", "publish", "greet", "--as", ann) == "greet: published as version 2\n"
    assert said(capsys, "flow", "rollback", "greet", "1") == "greet: published as version 3, which equals version 1\n"
    assert said(capsys, "flow", "restore", "greet", "--version", "1").startswith("greet: draft, revision ")
    assert "Good day" in Flow.objects.get(slug="greet").draft
    call_command("flow", "pause", "greet")
    assert "greet: Greeting: version 3, paused" in said(capsys, "flow", "list", "--status", "paused")
    call_command("flow", "resume", "greet")
    call_command("flow", "archive", "greet")
    assert said(capsys, "flow", "list", "--status", "live") == "greet starts runs again.\ngreet is archived.\n"
    call_command("flow", "unarchive", "greet")

    assert Flow.objects.get(slug="greet").archived_at is None
    with pytest.raises(CommandError, match=r"flows\.publish"):
        call_command("flow", "publish", "greet", "--as", make_person("viewer").username)


def test_runs_are_listed_shown_and_told_of_events(capsys: Any) -> None:
    run = make_run(make_flow("greet"), status="waiting", spent="0.1")
    make_run(make_flow("other"), status="succeeded")
    make_call(run, "greet")

    line = f"{run.public_id} (#{run.number}) of greet v1: waiting, $0.1000\n"
    assert said(capsys, "run", "list", "--state", "waiting") == line
    shown = said(capsys, "run", "show", str(run.number))
    assert shown.startswith(line)
    assert "  greet (model): " in shown
    assert "$" not in said(capsys, "run", "show", run.public_id, "--as", make_person("approver").username)
    call_command("run", "deliver", run.public_id, "order.paid", "--payload", '{"id": 7}', "--key", "k")

    assert json.loads(Delivery.objects.get().payload) == {"id": 7}
    assert AuditRow.objects.get(action="run.deliver").door == "cli"
    with pytest.raises(CommandError, match="is unknown"):
        call_command("run", "list", "--state", "asleep")


def test_the_audit_log_is_listed_and_exported(capsys: Any) -> None:
    """AUD-6: exporting is recorded, too, by whichever door."""
    make_flow("greet")
    call_command("flow", "pause", "greet")
    call_command("flow", "resume", "greet")
    capsys.readouterr()

    listed = said(capsys, "audit", "list", "--action", "flow.pause")
    assert "command line (cli)  flow.pause  flow greet" in listed
    assert [row["action"] for row in json.loads(said(capsys, "audit", "list", "--object", "greet", "--json"))["items"]] == [
        "flow.resume",
        "flow.pause",
    ]
    lines = said(capsys, "audit", "export", "jsonl", "--object", "greet").splitlines()
    assert [json.loads(line)["action"] for line in lines] == ["flow.resume", "flow.pause"]
    assert said(capsys, "audit", "export", "csv").startswith("at,actor,key,door,")
    assert AuditRow.objects.filter(action="audit.export", door="cli").count() == 2
    with pytest.raises(CommandError, match=r"audit\.see"):
        call_command("audit", "export", "csv", "--as", make_person("operator").username)
