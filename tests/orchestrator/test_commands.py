"""The commands: what they do, and how they fail."""

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from flows.access.keys import key_behind
from flows.models import AuditRow, Call, Flow, Person, Run, Worker
from flows.models.identifiers import new_id
from tests.makers import DOCUMENT, make_flow, make_memory, make_person, make_run

pytestmark = pytest.mark.django_db

TEXT_FLOW = DOCUMENT.replace("name: {type: string}", "name: {type: string, contentMediaType: text/plain}")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "greet.yaml"
    path.write_text(DOCUMENT)
    return path


def test_a_file_is_imported_published_and_exported(file: Path, capsys: Any) -> None:
    call_command("flow", "import", str(file), "--publish")
    assert "published as version 1" in capsys.readouterr().out
    call_command("flow", "export", "greet")

    assert capsys.readouterr().out == Flow.objects.get(slug="greet").draft


@pytest.mark.parametrize("verb", ["import", "validate"])
def test_a_bad_file_is_refused_with_file_place_and_reason(file: Path, verb: str) -> None:
    file.write_text(DOCUMENT.replace("kind: set", "kind: sett"))

    with pytest.raises(CommandError) as error:
        call_command("flow", verb, str(file))

    assert str(file) in str(error.value)
    assert "steps.greet.kind" in str(error.value)
    assert "line " in str(error.value)
    assert not Flow.objects.exists()
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("flow", verb, str(file.parent / "nowhere.yaml"))


def test_validate_knows_routes_only_with_a_catalogue(file: Path, tmp_path: Path, capsys: Any) -> None:
    model = "kind: model\n    with: {route: balanced, prompt: hi}"
    text = DOCUMENT.replace('kind: set\n    with:\n      values: {text: "Hello {{ input.name }}"}', model)
    file.write_text(text.replace("steps.greet.output.text", "steps.greet.output"))
    catalogue = tmp_path / "catalogue.yaml"
    catalogue.write_text("models: {m: {model: sim/small}}\nroutes: {other: {candidates: [m]}}\n")

    call_command("flow", "validate", str(file))
    assert "valid" in capsys.readouterr().out
    with pytest.raises(CommandError, match="balanced"):
        call_command("flow", "validate", str(file), "--catalogue", str(catalogue))


def test_a_run_is_started_with_json_a_file_or_a_text(tmp_path: Path) -> None:
    make_flow("greet", document=TEXT_FLOW)
    person = make_person("operator")
    (tmp_path / "in.json").write_text('{"name": "Bob"}')
    (tmp_path / "LICENSE").write_text("Apache\n")

    call_command("flow", "run", "greet", "--input", '{"name": "Ann"}', "--as", person.username)
    call_command("flow", "run", "greet", "--input", f"@{tmp_path}/in.json")
    call_command("flow", "run", "greet", "--input", f"@{tmp_path}/LICENSE")

    names = [json.loads(run.input)["name"] for run in Run.objects.order_by("id")]
    assert names == ["Ann", "Bob", "Apache\n"]
    assert Run.objects.order_by("id")[0].started_by == person
    with pytest.raises(CommandError, match=r"input\.name|name"):
        call_command("flow", "run", "greet", "--input", "{}")
    with pytest.raises(CommandError, match="--input"):
        call_command("flow", "run", "greet", "--input", "Ann")
    with pytest.raises(CommandError, match="nobody"):
        call_command("flow", "run", "greet", "--as", "nobody")


def test_waiting_without_an_engine_says_how_to_start_one() -> None:
    make_flow("greet")
    Worker.objects.create(host="h", pid=1, beat=timezone.now() - timedelta(hours=1))

    with pytest.raises(CommandError, match=r"manage\.py up"):
        call_command("flow", "run", "greet", "--input", '{"name": "Ann"}', "--wait")
    assert not Run.objects.exists()


def test_schema_prints_json(capsys: Any) -> None:
    call_command("flow", "schema")

    assert json.loads(capsys.readouterr().out)["properties"]["steps"]


def test_people_and_keys_are_made(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    call_command("person", "create", "ann", "--role", "operator", "--no-password")
    capsys.readouterr()
    call_command("apikey", "create", "--user", "ann", "--scopes", "runs:write,flows:read")

    key = key_behind(capsys.readouterr().out.strip())
    assert key is not None
    assert key.person == Person.objects.get(username="ann")
    assert key.scopes == ["flows:read", "runs:write"]
    with pytest.raises(CommandError, match="scopes"):
        call_command("apikey", "create", "--user", "ann", "--scopes", "everything")
    with pytest.raises(CommandError, match="already"):
        call_command("person", "create", "ann", "--role", "viewer", "--no-password")


def test_the_ledger_is_compared_exactly(capsys: Any) -> None:
    run = make_run(status="succeeded", spent=Decimal("0.000000000003"))
    for n in range(3):
        Call.objects.create(
            run=run, pass_number=1, path=f"s{n}", attempt=1, n=1, epoch=1, seq=1, status="succeeded", kind="model", target="m",
            repeat="freely", idempotency_key=new_id(), settled=Decimal("0.000000000001"),
        )  # fmt: skip

    call_command("costs", "report", "--by", "model", "--model", "m")
    assert capsys.readouterr().out == "m: 0.000000000003 in 3 calls\nin all: 0.000000000003 in 3 calls\n"
    call_command("costs", "report", "--json", "--to", "2020-01-01")
    assert json.loads(capsys.readouterr().out)["items"] == []
    with pytest.raises(CommandError, match="by: 'colour' is unknown"):
        call_command("costs", "report", "--by", "colour")
    call_command("costs", "verify")
    assert "0.000000000003 settled, 0.000000000003 spent" in capsys.readouterr().out
    Run.objects.update(spent=Decimal("0.000000000004"))
    with pytest.raises(CommandError, match="1 run"):
        call_command("costs", "verify")
    assert run.public_id in capsys.readouterr().err


def test_the_kill_switch_is_thrown_and_released_by_command(capsys: Any) -> None:
    owner = make_person("owner")
    with pytest.raises(CommandError, match="reason"):
        call_command("killswitch", "on")

    call_command("killswitch", "on", "--reason", "the mailer sends twice", "--as", owner.username)
    assert f"on: the mailer sends twice ({owner.username}, " in capsys.readouterr().out
    call_command("killswitch", "off")
    assert "off" in capsys.readouterr().out
    with pytest.raises(CommandError, match="killswitch"):
        call_command("killswitch", "on", "--reason", "x", "--as", make_person("operator").username)


def test_health_is_printed_as_json(capsys: Any) -> None:
    make_run()
    call_command("health")

    assert json.loads(capsys.readouterr().out)["queued"] == 1


def test_runs_are_controlled_by_command(capsys: Any) -> None:
    make_person("operator", username="olive")
    run = make_run(make_flow(), status="waiting", input='{"name":"Ann"}')

    call_command("run", "pause", run.public_id, "--as", "olive")
    call_command("run", "input", str(run.number), "greet", '{"values": {"text": "Good day"}}')
    call_command("run", "skip", run.public_id, "greet", "--output", '{"text": "By hand"}', "--comment", "Known.")
    call_command("run", "resume", run.public_id)
    assert Run.objects.get().status == "queued"
    call_command("run", "cancel", run.public_id)
    call_command("run", "retry", run.public_id, "--preview")
    call_command("run", "retry", run.public_id)

    said = capsys.readouterr()
    assert "makes: a new pass of version 1" in said.out
    assert "pass 2: queued" in said.err
    assert AuditRow.objects.get(action="run.pause").actor_name == "olive"
    call_command("run", "cancel", run.public_id)
    call_command("run", "retry", run.public_id, "--input", '{"name": "Bob"}')
    assert Run.objects.get(origin=run).input == '{"name":"Bob"}'


def test_many_runs_are_retried_by_command_and_refusals_are_told(capsys: Any) -> None:
    failed, done = make_run(status="failed"), make_run(status="succeeded")

    call_command("run", "many", "retry", "--preview")
    assert "1 of 2 would be eligible for retry." in capsys.readouterr().out
    call_command("run", "many", "retry", "--state", "failed,succeeded")

    said = capsys.readouterr().out
    assert f"{failed.public_id} (#{failed.number}): queued" in said
    assert f"{done.public_id} (#{done.number}): not eligible: The run succeeded" in said
    for arguments, words in (
        (("retry", done.public_id), "nothing|No step|no step"),
        (("resume", done.public_id), "retry it from a step"),
        (("skip", done.public_id, "greet", "--output", "{"), "no JSON"),
        (("input", done.public_id, "greet", "[]"), "JSON object"),
        (("cancel", "run_nothing"), "no run"),
    ):
        with pytest.raises(CommandError, match=words):
            call_command("run", *arguments)


@pytest.mark.django_db(transaction=True)
def test_a_drill_brings_an_engine_and_tells_what_handled_each_fault(capsys: Any) -> None:
    make_flow("greet")

    call_command("drill", "greet", "--input", '{"name": "Ann"}')

    said = capsys.readouterr()
    assert "brings one of its own" in said.err
    assert "– Outage." in said.out
    assert "None of the faults met it. 0 calls" in said.out
    assert not Run.objects.exclude(purpose="drill").exists()
    with pytest.raises(CommandError, match="name"):
        call_command("drill", "greet", "--input", "{}")
    with pytest.raises(CommandError, match="no JSON"):
        call_command("drill", "greet", "--input", "{")


def test_memory_lists_shows_and_forgets(capsys: Any) -> None:
    flow = make_flow("watch")
    run = make_run(flow)
    entry = make_memory(flow, "seen", "a fox", run=run, path="keep")
    make_memory(None, "other", 2, key="customer 7")

    call_command("memory", "list")
    assert [line.split("  ", 1)[1] for line in capsys.readouterr().out.splitlines()] == [
        "key customer 7  other = 2",
        'flow watch  seen = "a fox"',
    ]
    call_command("memory", "show", entry.public_id)
    assert f'run {run.number}, keep  "a fox"' in capsys.readouterr().out
    call_command("memory", "forget", entry.public_id)

    assert capsys.readouterr().out == "seen is forgotten.\n"
    assert AuditRow.objects.get().door == "cli"
    with pytest.raises(CommandError, match="entry of a memory"):
        call_command("memory", "show", entry.public_id)
    with pytest.raises(CommandError, match="scope"):
        call_command("memory", "list", "--scope", "world")


def test_a_tool_is_made_listed_tried_and_removed(tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "words.yaml"
    file.write_text("{kind: python, effect: read, function: text.statistics, description: Counts words.}")

    call_command("tool", "put", "count.words", str(file))
    call_command("tool", "put", "count.words", str(file))
    call_command("tool", "list")
    call_command("tool", "show", "count.words")
    call_command("tool", "try", "count.words", "--arguments", '{"text": "one two"}')

    said = capsys.readouterr().out
    assert "new tool count.words\ncount.words: nothing to change." in said
    assert "count.words (python): reads, may be repeated; used by no published flow" in said
    run = Run.objects.get()
    assert '"description": "Counts words."' in said
    assert f"{run.public_id}: queued" in said
    assert (run.purpose, run.source) == ("test", "cli")
    with pytest.raises(CommandError, match="`text` is missing"):
        call_command("tool", "try", "count.words", "--arguments", "{}")
    file.write_text("{kind: python, effect: reads, function: nothing}")
    with pytest.raises(CommandError, match="effect"):
        call_command("tool", "put", "count.words", str(file))
    call_command("tool", "remove", "count.words")
    assert "count.words was removed." in capsys.readouterr().out
    assert AuditRow.objects.filter(action="tool.remove", door="cli").exists()
