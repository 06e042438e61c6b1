"""The ledger adds up: steps to runs, runs to reports, in exact decimals, whatever the figures."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Sum
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.costs.reports import GROUPS, differing_reports, differing_runs, grouped, leaking_runs
from flows.models import Call, Run
from tests.makers import make_flow, make_run
from tests.runs.journals import make_call

amounts = st.none() | st.decimals(0, 1000, places=12, allow_nan=False)
ledger = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["a", "b", "each[3].c"]), amounts, st.booleans()), max_size=12)


@pytest.mark.django_db
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(ledger)
def test_steps_add_up_to_runs_and_runs_to_every_report(rows: list[tuple[int, str, Decimal | None, bool]]) -> None:
    Call.objects.all().delete()
    Run.objects.update(spent=0)
    runs = [make_run(make_flow(), status="succeeded") for _ in range(3)]
    for n, (which, path, amount, simulated) in enumerate(rows):
        make_call(runs[which], path, n=n, cost=None if amount is None else str(amount), simulated=simulated)
    for which, run in enumerate(runs):
        Run.objects.filter(id=run.id).update(spent=sum((row[2] or Decimal(0) for row in rows if row[0] == which), Decimal(0)))

    whole = sum((row[2] or Decimal(0) for row in rows), Decimal(0))
    assert differing_runs() == []
    assert differing_reports() == {}
    for by in GROUPS.keys() - {"tool"}:
        told = grouped(Call.objects.all(), by)
        assert sum((each.cost + each.simulated for each in told), Decimal(0)) == whole, by
    for run in Run.objects.filter(id__in=[run.id for run in runs]):
        by_step = Call.objects.filter(run=run).values("path").annotate(sum=Sum("settled")).values_list("sum", flat=True)
        assert sum((each or Decimal(0) for each in by_step), Decimal(0)) == run.spent


@pytest.mark.django_db
def test_verify_names_a_reservation_that_no_call_holds() -> None:
    run = make_run(status="running", reserved="0.25", open_calls=1)
    make_call(run, "a", cost=None, status="started", reserved="0.2", usage_source="", ended_at=None)

    assert [each.settled for each in leaking_runs()] == [Decimal("0.2")]
    with pytest.raises(CommandError):
        call_command("costs", "verify")
    Run.objects.filter(id=run.id).update(reserved="0.2")
    assert leaking_runs() == []


@pytest.mark.django_db
def test_verify_names_a_report_that_misses_something() -> None:
    run = make_run(status="succeeded", spent="0.3")
    make_call(run, "a", cost="0.2")

    assert set(differing_reports()) == GROUPS.keys() - {"tool"}
    with pytest.raises(CommandError):
        call_command("costs", "verify")
