"""The command that fills an installation."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import CommandError, call_command

from flows.costs.folding import differing_sums, fold_everything
from flows.costs.reports import differing_reports, differing_runs
from flows.models import Attempt, Call, Request, Run
from orchestrator.seeding import copies, large


@pytest.mark.django_db(transaction=True)
def test_a_large_installation_is_made_whose_ledger_is_true(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    for name, size in {"REQUESTS": 3, "ITEMS": 12, "NODES": 5}.items():
        monkeypatch.setattr(large, name, size)
    monkeypatch.setattr(copies, "BATCH", 20)

    def while_an_engine_sums(run: Any, count: int, flows: Any, progress: Any) -> None:
        copies.multiply_run(run, count, flows, lambda done: [fold_everything(), progress(done)])

    monkeypatch.setattr(large, "multiply_run", while_an_engine_sums)

    call_command("seed", "large", "--runs", "60")

    said = capsys.readouterr()
    assert "brings one of its own" in said.err
    assert "runs: 60\n" in said.out
    runs = Run.objects.filter(flow__slug__startswith="large-flow")
    assert runs.count() == 61
    assert runs.values("flow").distinct().count() == large.FLOWS
    assert runs.filter(status="failed", error__contains='"rate_limit"').count() == 2
    steps = Attempt.objects.filter(run=runs.order_by("number")[0]).count()
    assert steps >= large.STEPS  # more where a busy machine had to repeat one
    assert Call.objects.filter(run__in=runs).count() == Attempt.objects.filter(run__in=runs).count() == 61 * steps
    assert Request.objects.filter(state="pending").count() == 3
    assert Run.objects.get(flow__slug="large-map").steps >= 12
    assert differing_runs() == []
    assert differing_reports() == {}
    assert differing_sums() == []
    with pytest.raises(CommandError, match="runs here already"):
        call_command("seed", "large")
