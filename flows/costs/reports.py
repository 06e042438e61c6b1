"""What was spent, summed by the database from the ledger.

An unknown cost is counted, never summed as zero; simulated money stands apart from real money.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Count, DecimalField, F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce, TruncDay

from flows.access.actor import Actor
from flows.access.querysets import belonging
from flows.access.rights import Right
from flows.models import Call, Run

GROUPS: dict[str, Any] = {
    "flow": F("run__flow__slug"),
    "model": F("target"),
    "tool": F("target"),
    "day": TruncDay("started_at"),
    "person": F("run__started_by__username"),
    "run": F("run_id"),
    "source": F("run__source"),
}
"""What spend can be grouped by."""

ZERO = Decimal(0)
MOST_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Spend:
    """One row of a report. `cost` is what is known of real money in dollars; `unpriced` calls come on top of it."""

    name: Any
    cost: Decimal
    simulated: Decimal
    calls: int
    unpriced: int
    in_flight: int
    input_tokens: int
    output_tokens: int


def calls_for(actor: Actor) -> QuerySet[Call]:
    """The calls whose costs the actor may see."""
    return Call.objects.filter(belonging(actor.holdings, Right.SEE_COSTS, "run__flow__"))


def spend_by(actor: Actor, by: str, since: datetime | None, until: datetime | None) -> list[Spend]:
    """What was spent in calls that began in [since, until), grouped by one of `GROUPS`; the dearest first, days in order."""
    calls = _between(calls_for(actor), since, until)
    if by in ("model", "tool"):
        calls = calls.filter(kind=by)
    rows = calls.annotate(name=GROUPS[by]).values("name").annotate(**_sums()).order_by("name" if by == "day" else "-cost", "name")
    return [_spend(row) for row in rows[:MOST_ROWS]]


def spend_total(actor: Actor, since: datetime | None, until: datetime | None) -> Spend:
    """The same over everything."""
    return _spend({"name": None} | _between(calls_for(actor), since, until).aggregate(**_sums()))


@dataclass(frozen=True, slots=True)
class Difference:
    """A run whose spend is not the sum of its settled calls."""

    run: Run
    settled: Decimal


@dataclass(frozen=True, slots=True)
class LedgerSums:
    runs: int
    calls: int
    spent: Decimal
    settled: Decimal
    unpriced: int


def differing_runs(limit: int = 100) -> list[Difference]:
    """The runs whose spend is not exactly the sum of their calls, in one snapshot. None is what it should be."""
    calls = Call.objects.filter(run=OuterRef("pk")).order_by().values("run").annotate(sum=Sum("settled")).values("sum")
    settled = Coalesce(Subquery(calls), ZERO, output_field=DecimalField(max_digits=30, decimal_places=12))
    runs = Run.objects.annotate(settled=settled).exclude(settled=F("spent")).order_by("id")
    return [Difference(run, run.settled) for run in runs.defer("input", "output")[:limit]]


def ledger_sums() -> LedgerSums:
    """Totals over all runs and all calls."""
    runs = Run.objects.aggregate(count=Count("id"), total=Coalesce(Sum("spent"), ZERO))
    calls = Call.objects.aggregate(
        count=Count("id"), total=Coalesce(Sum("settled"), ZERO), unknown=Count("id", filter=_unpriced())
    )
    return LedgerSums(runs["count"], calls["count"], runs["total"], calls["total"], calls["unknown"])


def _spend(row: Any) -> Spend:
    return Spend(**row)


def _between(calls: QuerySet[Call], since: datetime | None, until: datetime | None) -> QuerySet[Call]:
    if since is not None:
        calls = calls.filter(started_at__gte=since)
    return calls.filter(started_at__lt=until) if until is not None else calls


def _unpriced() -> Q:
    """Calls that cost something nobody knows: not those in flight, nor those that failed before anything was used."""
    used = Q(status__in=["succeeded", "unknown"]) | Q(usage_source__in=["provider", "estimated"])
    return used & Q(kind="model", settled__isnull=True)


def _sums() -> dict[str, Any]:
    return {
        "cost": Coalesce(Sum("settled", filter=Q(simulated=False)), ZERO),
        "simulated": Coalesce(Sum("settled", filter=Q(simulated=True)), ZERO),
        "calls": Count("id"),
        "unpriced": Count("id", filter=_unpriced()),
        "in_flight": Count("id", filter=Q(status="started")),
        "input_tokens": Coalesce(Sum("input_tokens"), 0),
        "output_tokens": Coalesce(Sum("output_tokens"), 0),
    }
