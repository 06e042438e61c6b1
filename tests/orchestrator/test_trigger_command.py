"""Triggers by command: the same verbs, rights and audit rows as on the pages."""

import json
import re
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from flows.models import AuditRow, Firing, Run, Trigger
from tests.makers import make_flow, make_person

pytestmark = pytest.mark.django_db


def refused(*words: str) -> str:
    with pytest.raises(CommandError) as refusal:
        call_command("trigger", *words)
    return str(refusal.value)


@pytest.fixture
def ann() -> str:
    make_flow("greet")
    return make_person("builder", "operator", username="ann").username


def test_a_schedule_is_made_shown_changed_paused_fired_and_removed(ann: str, capsys: Any) -> None:
    """TRG-1: a schedule says its next five fire times before and after it is changed."""
    rule = ("--cron", "30 8 * * *", "--zone", "Europe/Madrid", "--input", '{"name": "Ann"}')
    call_command("trigger", "add", "greet", "schedule", "Each morning", *rule, "--as", ann)
    name = capsys.readouterr().out.strip()
    call_command("trigger", "show", name)
    shown = capsys.readouterr().out
    assert shown.startswith("Each morning: schedule 30 8 * * * Europe/Madrid (At 08:30 every day), starts greet as ann\n")
    assert shown.count("\nnext: ") == 5
    assert shown.count(" 08:30 CE") == 5
    call_command("trigger", "change", name, "--overlap", "queue", "--as", ann)
    call_command("trigger", "pause", name)
    call_command("trigger", "list", "--flow", "greet")
    assert capsys.readouterr().out.endswith("starts greet; inactive: Paused.\n")
    call_command("trigger", "show", name, "--json")
    answered = json.loads(capsys.readouterr().out)
    assert (answered["id"], answered["settings"]["overlap"], answered["next"]) == (name, "queue", [])
    call_command("trigger", "resume", name)
    call_command("trigger", "fire", name, "--as", ann)
    run = Run.objects.get()
    assert capsys.readouterr().out == f"Each morning goes on.\n{run.public_id}\n"
    assert (json.loads(run.input), run.source) == ({"name": "Ann"}, "schedule")
    call_command("trigger", "remove", name)

    assert not Trigger.objects.exists()
    assert Run.objects.exists()
    acts = AuditRow.objects.filter(action__startswith="trigger.").order_by("id").values_list("action", "door")
    verbs = ["create", "change", "pause", "resume", "fire", "remove"]
    assert list(acts) == [(f"trigger.{verb}", "cli") for verb in verbs]


def test_a_webhook_is_made_and_its_deliveries_are_used_again(ann: str, capsys: Any) -> None:
    mapping = '{"name": "{{ body.who }}"}'
    call_command("trigger", "add", "greet", "webhook", "Hello", "--mapping", mapping, "--sample", '{"who": "Bob"}', "--as", ann)
    said = capsys.readouterr()
    name, secret = said.out.split()
    assert f"/hooks/{name}" in said.err
    call_command("trigger", "secret", name)
    assert capsys.readouterr().out.strip() not in ("", secret)
    delivered = Firing.objects.create(trigger=Trigger.objects.get(), mark="d-1", outcome="started", body='{"who": "Cid"}')
    call_command("trigger", "replay", name, delivered.public_id)
    call_command("trigger", "sample", name, delivered.public_id, "--as", ann)
    call_command("trigger", "fire", name)

    assert [json.loads(run.input) for run in Run.objects.order_by("id")] == [{"name": "Cid"}] * 2
    capsys.readouterr()
    call_command("trigger", "firings", name)
    started = re.findall(r"run_\w+", capsys.readouterr().out)
    assert started == [run.public_id for run in Run.objects.order_by("-id")]


def test_what_cannot_work_is_refused_with_place_and_remedy(ann: str) -> None:
    assert "cron" in refused("add", "greet", "schedule", "Never", "--cron", "0 0 31 2 *", "--as", ann)
    assert "mapping: is no setting. There are cron" in refused(
        "add", "greet", "schedule", "Mixed", "--cron", "0 8 * * *", "--mapping", "{{ body }}", "--as", ann
    )
    assert "no JSON" in refused("add", "greet", "webhook", "Bad", "--sample", "{", "--as", ann)
    assert "cannot be read" in refused("add", "greet", "webhook", "Bad", "--sample", "@/nowhere.json", "--as", ann)
    assert "no trigger" in refused("fire", "trg_nothing")
    assert "flows.edit" in refused("add", "greet", "webhook", "Not mine", "--as", make_person("viewer").username)
    assert not Trigger.objects.exists()
