"""Budgets, prices and retention by command: the same verbs, rights and audit rows as on the pages."""

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from flows.models import AuditRow, Budget, BudgetPeriod, Call, ModelEntry, Price
from orchestrator.retention import purge
from tests.makers import make_flow, make_person, make_run
from tests.runs.journals import make_call

pytestmark = pytest.mark.django_db


def said(capsys: Any, *words: str) -> str:
    call_command(*words)
    out: str = capsys.readouterr().out
    return out


def refused(*words: str) -> str:
    with pytest.raises(CommandError) as refusal:
        call_command(*words)
    return str(refusal.value)


def test_a_budget_is_made_changed_raised_listed_and_removed(capsys: Any) -> None:
    """BUD-4: raising a limit needs a reason, and is audited as by command."""
    flow = make_flow("greet")
    owner = make_person("owner").username
    of_flow = ("flow", flow.slug, "--period", "day")

    assert (
        said(capsys, "budget", "set", *of_flow, "--cost", "$2.50", "--tokens", "9000") == "flow greet, day: $2.5, 9,000 tokens\n"
    )
    assert said(capsys, "budget", "set", *of_flow, "--warn", "40,90%") == "flow greet, day: $2.5, 9,000 tokens\n"
    assert "reason: raising a limit needs a reason" in refused("budget", "set", *of_flow, "--cost", "3")
    preview = said(capsys, "budget", "set", *of_flow, "--cost", "3", "--preview")
    assert preview == "It would have stopped 0 runs in the last 30 days. Nothing was changed.\n"
    call_command("budget", "set", *of_flow, "--cost", "3", "--tokens", "none", "--reason", "launch week", "--as", owner)
    budget = Budget.objects.get()
    assert (budget.cost, budget.tokens, budget.warn) == (3, None, [40, 90])
    begins = timezone.now() - timedelta(hours=12)
    figures = {"begins": begins, "ends": begins + timedelta(days=1), "spent": Decimal("0.82"), "spent_calls": 7}
    BudgetPeriod.objects.create(budget=budget, **figures)
    capsys.readouterr()
    assert "flow greet, day: $3; spent 0.82, reserved 0, about $1.6400 projected" in said(capsys, "budget", "list")
    assert "each run of greet, by its document: cost 1.00" in said(capsys, "budget", "list")
    assert json.loads(said(capsys, "budget", "list", "--json"))["items"][0]["spent"] == "0.82"
    assert "spent 0.82, reserved 0, 7 calls" in said(capsys, "budget", "history", *of_flow)
    assert "reason: is needed" in refused("budget", "remove", *of_flow)
    call_command("budget", "remove", *of_flow, "--reason", "over")

    assert not Budget.objects.exists()
    rows = AuditRow.objects.filter(subject_kind="budget").order_by("id").values_list("action", "door", "actor_name")
    acts = [("create", "command line"), ("change", "command line"), ("change", owner), ("remove", "command line")]
    assert list(rows) == [(f"budget.{verb}", "cli", who) for verb, who in acts]


def test_a_budget_that_cannot_be_is_refused(capsys: Any) -> None:
    call_command("budget", "set", "run", "--steps", "50", "--duration", "2h")
    assert Budget.objects.get().duration == 7200

    assert "there is no flow 'nowhere'. Name one that exists." in refused("budget", "set", "flow", "nowhere", "--cost", "1")
    assert "--cost: 'much' is no amount" in refused("budget", "set", "all", "--cost", "much")
    assert "--duration" in refused("budget", "set", "run", "--duration", "long")
    assert "no budget 'all, month'" in refused("budget", "remove", "all", "--reason", "x")
    assert "budgets.manage" in refused("budget", "set", "all", "--cost", "1", "--as", make_person("operator").username)
    assert "no hold" in refused("budget", "release", "7", "--reason", "stuck")
    capsys.readouterr()
    assert said(capsys, "budget", "holds") == ""


def test_prices_are_added_imported_listed_and_calls_re_rated(tmp_path: Path, capsys: Any) -> None:
    ModelEntry.objects.create(slug="small-1", model="openai/small-1")
    ModelEntry.objects.create(slug="large-1", model="openai/large-1")
    began = timezone.now() - timedelta(days=2)
    make_call(make_run(status="succeeded"), "greet", cost=None, started_at=began, input_tokens=10, output_tokens=10)
    Call.objects.update(simulated=False)
    assert "small-1: 1 calls without a price" in said(capsys, "price", "unpriced")
    assert "large-1: the book has no row that holds now" in said(capsys, "price", "unpriced")

    added = said(capsys, "price", "add", "small-1", "--input", "0.25", "--output", "1", "--from", f"{began:%Y-%m-%d}")
    assert added.startswith("small-1: input $0.25, output $1; from ")
    assert "row in the book" in refused("price", "add", "small-1", "--input", "9", "--output", "9", "--from", f"{began:%Y-%m-%d}")
    assert "--input: 'dear' is no amount" in refused("price", "add", "small-1", "--input", "dear", "--output", "1")
    file = tmp_path / "prices.csv"
    file.write_text("model,input,output\nsmall-1,0.25,1\nlarge-1,2,8\n")
    told = said(capsys, "price", "import", str(file), "--preview")
    assert told == "line 3: new: large-1 input 2, output 8\n1 prices would be imported, 1 are known.\n"
    assert Price.objects.count() == 1
    assert "1 prices were imported" in said(capsys, "price", "import", str(file))
    assert [row["model"] for row in json.loads(said(capsys, "price", "list", "--json"))["items"]] == ["large-1", "small-1"]
    assert said(capsys, "price", "list", "--model", "large-1").startswith("large-1: input $2, output $8; from ")
    assert said(capsys, "price", "export").splitlines()[0].startswith("model,input,")
    file.write_text("model,input,output\nsmall-2,0.25,1\n")
    assert "line 2, model: the catalogue has no model named 'small-2'. Add it" in refused(
        "price", "import", str(file), "--preview"
    )

    of_week = ("small-1", "--from", f"{began:%Y-%m-%d}", "--to", f"{timezone.now():%Y-%m-%d}")
    assert said(capsys, "price", "rerate", *of_week, "--preview").startswith(
        "1 calls would be priced for the first time, 0 corrected"
    )
    assert "reason: is needed" in refused("price", "rerate", *of_week)
    assert "0.0000125 dollars in all" in said(capsys, "price", "rerate", *of_week, "--reason", "the row was late")
    assert AuditRow.objects.get(action="price.rerate").door == "cli"
    assert "prices.manage" in refused("price", "import", str(file), "--as", make_person("operator").username)


def test_retention_is_shown_foretold_set_and_carried_out(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A purge removes payloads and keeps figures; a preview says what it would remove."""
    monkeypatch.setattr(purge, "_next_look", 0.0)
    flow = make_flow("greet")
    old = timezone.now() - timedelta(days=10)
    run = make_run(flow, status="succeeded", input='{"name": "Ann"}', ended_at=old)
    assert said(capsys, "retention", "show") == "all: payloads for ever, events for ever\n"

    of_flow = ("--flow", "greet", "--payloads", "7")
    assert "the payloads of 1 runs" in said(capsys, "retention", "preview", *of_flow)
    assert json.loads(said(capsys, "retention", "preview", *of_flow, "--json"))["runs"] == 1
    call_command("retention", "set", *of_flow, "--as", make_person("owner", username="olga").username)
    assert said(capsys, "retention", "show").startswith("greet: payloads 7 days, events for ever (by olga, ")
    assert said(capsys, "retention", "set", "--events", "90") == "all: payloads for ever, events 90 days\n"
    assert said(capsys, "retention", "purge") == "What was due of 1 runs and messages is removed.\n"
    run.refresh_from_db()
    assert run.input == "null"
    assert said(capsys, "retention", "drop", "greet") == "greet follows the rule of the installation.\n"
    assert "flow: is no flow. Name one by its slug" in refused("retention", "set", "--flow", "nowhere", "--payloads", "7")
    assert "payload_days: is out of bounds" in refused("retention", "set", "--payloads", "0")
    assert "--payloads: 'soon' is no whole number" in refused("retention", "set", "--payloads", "soon")
    assert "settings.manage" in refused("retention", "purge", "--as", make_person("operator").username)
