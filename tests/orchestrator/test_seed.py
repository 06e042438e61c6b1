"""The command that fills an installation."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import CommandError, call_command

from flows.costs.reports import differing_reports, differing_runs
from flows.models import Attempt, Call, Request, Run
from orchestrator.seeding import large


@pytest.mark.django_db(transaction=True)
def test_a_large_installation_is_made_whose_ledger_is_true(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    for name, size in {"REQUESTS": 3, "ITEMS": 12, "NODES": 5}.items():
        monkeypatch.setattr(large, name, size)

    call_command("seed", "large", "--runs", "60")

    said = capsys.readouterr()
    assert "brings one of its own" in said.err
    assert "runs: 60\n" in said.out
    copies = Run.objects.filter(flow__slug__startswith="large-flow")
    assert copies.count() == 61
    assert copies.values("flow").distinct().count() == large.FLOWS
    assert copies.filter(status="failed", error__contains='"rate_limit"').count() == 2
    assert Call.objects.filter(run__in=copies).count() == Attempt.objects.filter(run__in=copies).count() == 61 * large.STEPS
    assert Request.objects.filter(state="pending").count() == 3
    assert Run.objects.get(flow__slug="large-map").steps >= 12
    assert differing_runs() == []
    assert differing_reports() == {}
    with pytest.raises(CommandError, match="runs here already"):
        call_command("seed", "large")
