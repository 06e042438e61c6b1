"""What was spent, summed by the database from the ledger.

An unknown cost is counted, never summed as zero; simulated money stands apart from real money.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Case, CharField, Count, DecimalField, F, Func, OuterRef, Q, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce, StrIndex, Substr, TruncDay, TruncHour, TruncMonth

from flows.access.actor import Actor
from flows.access.querysets import belonging
from flows.access.rights import Right
from flows.models import Adjustment, Call, ModelEntry, Run

PURPOSE = Case(
    When(run__purpose="drill", then=Value("drill")),
    When(simulated=True, then=Value("simulated")),
    When(run__purpose="test", then=Value("test")),
    default=Value("production"),
    output_field=CharField(),
)
"""What a call was for. One of a drill counts as that whatever it called; a test's are only apart where they cost real money."""

_MODEL = ModelEntry.everything.filter(slug=OuterRef("target"))
PROVIDER = Case(
    When(kind="model", then=Subquery(_MODEL.values(provider=Substr("model", 1, StrIndex("model", Value("/")) - 1)))),
    default=None,
    output_field=CharField(),
)
"""Who serves the model that was called, as the catalogue has it; None for tools."""


class EachTag(Func):
    """The tags of a run, one row each; a run without any has one row, too."""

    template = "jsonb_array_elements_text(CASE %(expressions)s WHEN '[]' THEN '[null]' ELSE %(expressions)s END)"
    output_field = CharField()
    set_returning = True


GROUPS: dict[str, Any] = {
    "flow": F("run__flow__slug"),
    "model": F("target"),
    "tool": F("target"),
    "provider": PROVIDER,
    "route": F("route"),
    "team": F("run__flow__team__slug"),
    "hour": TruncHour("started_at"),
    "day": TruncDay("started_at"),
    "month": TruncMonth("started_at"),
    "person": F("run__started_by__username"),
    "key": F("run__started_key__label"),
    "run": F("run_id"),
    "step": F("path"),
    "version": F("run__version__number"),
    "source": F("run__source"),
    "purpose": PURPOSE,
}
"""What spend can be grouped by. Days and months are those of the current time zone."""

OVERLAPPING: dict[str, Any] = {"tag": EachTag("run__tags")}
"""Groups that share calls: what has two tags stands in both, so these come to more than the whole."""

IN_ORDER = frozenset({"hour", "day", "month", "version"})
"""Groups that stand in their own order; of the others the dearest comes first."""

PURPOSES = {
    "real": Q(simulated=False),
    "simulated": Q(simulated=True) & ~Q(run__purpose="drill"),
    "all": Q(),
    "production": Q(simulated=False, run__purpose="live"),
    "test": Q(simulated=False, run__purpose="test"),
    "drill": Q(run__purpose="drill"),
}
"""Which calls are meant: all that cost real money, or those that were made for one thing."""

ZERO = Decimal(0)
MOST_ROWS = 1000
UNPRICED = (
    ~Q(status="started")
    & Q(kind="model", settled__isnull=True)
    & (Q(status__in=["succeeded", "unknown"]) | Q(usage_source__in=["provider", "estimated"]))
)
"""Calls that cost something nobody knows: not those in flight, nor those that failed before anything was used."""

FAILED = ("failed_retryable", "failed_final", "unknown")


@dataclass(frozen=True, slots=True)
class Scope:
    """Which calls are meant: those that began in [since, until), of these flows, models, people …; an empty choice keeps all."""

    since: datetime | None = None
    until: datetime | None = None
    purpose: str = "all"
    flows: Sequence[str] = ()
    versions: Sequence[int] = ()
    models: Sequence[str] = ()
    tools: Sequence[str] = ()
    providers: Sequence[str] = ()
    routes: Sequence[str] = ()
    teams: Sequence[str] = ()
    people: Sequence[str] = ()
    keys: Sequence[str] = ()
    sources: Sequence[str] = ()
    tags: Sequence[str] = ()
    steps: Sequence[str] = ()
    run: UUID | None = None
    unpriced: bool = False


CHOICES = ("flows", "versions", "models", "tools", "providers", "routes", "teams", "people", "keys", "sources", "tags", "steps")
"""The fields of a `Scope` that choose by several values."""


@dataclass(frozen=True, slots=True)
class Spend:
    """One row of a report, in dollars and tokens. `cost` is what is known of real money, `simulated` of money that nobody owes;
    `unpriced` calls come on top. `wasted` is the part of both that failed attempts cost; `estimated` counts the calls whose usage the
    provider did not tell."""

    name: Any
    cost: Decimal
    simulated: Decimal
    wasted: Decimal
    calls: int
    unpriced: int
    estimated: int
    in_flight: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    saved: Decimal = ZERO  # what the providers' caches saved, where that was asked for

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens


def group_of(name: str) -> Any:
    """The expression of one of `GROUPS` or `OVERLAPPING` on calls."""
    return GROUPS[name] if name in GROUPS else OVERLAPPING[name]


def calls_for(actor: Actor) -> QuerySet[Call]:
    """The calls whose costs the actor may see."""
    return Call.objects.filter(belonging(actor.holdings, Right.SEE_COSTS, "run__flow__"))


def calls_within(actor: Actor, scope: Scope) -> QuerySet[Call]:
    """Those of them that the scope means."""
    calls = _between(calls_for(actor), scope.since, scope.until).filter(PURPOSES[scope.purpose])
    chosen = {
        "run__flow__slug__in": scope.flows,
        "run__version__number__in": scope.versions,
        "route__in": scope.routes,
        "run__flow__team__slug__in": scope.teams,
        "run__started_by__username__in": scope.people,
        "run__started_key__label__in": scope.keys,
        "run__source__in": scope.sources,
        "path__in": scope.steps,
    }
    calls = calls.filter(**{name: list(values) for name, values in chosen.items() if values})
    if scope.providers:
        calls = calls.annotate(of_provider=PROVIDER).filter(of_provider__in=scope.providers)
    if scope.models or scope.tools:
        calls = calls.filter(Q(kind="model", target__in=scope.models) | Q(kind="tool", target__in=scope.tools))
    if scope.run is not None:
        calls = calls.filter(run_id=scope.run)
    if scope.unpriced:
        calls = calls.filter(UNPRICED)
    for tag in scope.tags:
        calls = calls.filter(run__tags__contains=[tag])
    return calls


def grouped(calls: QuerySet[Call], by: str, most: int = MOST_ROWS) -> list[Spend]:
    """The sums of these calls by one of `GROUPS` or `OVERLAPPING`."""
    if by in ("model", "tool"):
        calls = calls.filter(kind=by)
    order = ("name",) if by in IN_ORDER else ("-cost", "-all", "name")
    rows = (
        calls.annotate(name=group_of(by))
        .values("name")
        .annotate(**sums_of_calls(), all=Coalesce(Sum("settled"), ZERO))
        .order_by(*order)
    )
    return [_spend(row) for row in rows[:most]]


def summed(calls: QuerySet[Call]) -> Spend:
    """The sums of all of these calls."""
    return _spend({"name": None} | calls.aggregate(**sums_of_calls()))


@dataclass(frozen=True, slots=True)
class Adjusted:
    """What re-ratings say of some calls: so many dollars more (or less), for so many of them, and how many had no cost before."""

    amount: Decimal
    calls: int
    fresh: int


def adjusted(calls: QuerySet[Call]) -> Adjusted | None:
    """The adjustments of these calls; None where there are none. They stand beside what was charged, never in it."""
    rows = Adjustment.objects.filter(call_id__in=calls.order_by().values("id"))
    found = rows.aggregate(amount=Sum("amount"), calls=Count("call_id", distinct=True), fresh=Count("id", filter=Q(priced=False)))
    return Adjusted(found["amount"], found["calls"], found["fresh"]) if found["calls"] else None


@dataclass(frozen=True, slots=True)
class Difference:
    """A run whose spend is not the sum of its settled calls."""

    run: Run
    settled: Decimal


def leaking_runs(limit: int = 100) -> list[Difference]:
    """The runs whose reservation is not exactly what their calls in flight reserved. None is what it should be."""
    flying = Call.objects.filter(run=OuterRef("pk"), status="started").order_by().values("run").annotate(sum=Sum("reserved"))
    reserved = Coalesce(Subquery(flying.values("sum")), ZERO, output_field=DecimalField(max_digits=30, decimal_places=12))
    runs = Run.objects.filter(Q(reserved__gt=0) | Q(open_calls__gt=0)).annotate(settled=reserved).exclude(settled=F("reserved"))
    return [Difference(run, run.settled) for run in runs.order_by("id").defer("input", "output")[:limit]]


def differing_reports() -> dict[str, Decimal]:
    """By name of the grouping: what a report over everything comes to where that is not the sum of all runs. Empty is what it
    should be."""
    runs = Run.objects.aggregate(total=Coalesce(Sum("spent"), ZERO))["total"]
    sums = {}
    for by, group in GROUPS.items():
        calls = Call.objects.filter(kind=by) if by in ("model", "tool") else Call.objects.all()
        rows = calls.annotate(name=group).values("name").annotate(sum=Coalesce(Sum("settled"), ZERO)).order_by()
        sums[by] = sum((row["sum"] for row in rows), ZERO)
    kinds = Call.objects.exclude(kind__in=["model", "tool"]).aggregate(sum=Coalesce(Sum("settled"), ZERO))["sum"]
    sums["model"] = sums.pop("model") + sums.pop("tool") + kinds
    return {by: total for by, total in sums.items() if total != runs}


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
    calls = Call.objects.aggregate(count=Count("id"), total=Coalesce(Sum("settled"), ZERO), unknown=Count("id", filter=UNPRICED))
    return LedgerSums(runs["count"], calls["count"], runs["total"], calls["total"], calls["unknown"])


def _spend(row: Any) -> Spend:
    return Spend(**{name: value for name, value in row.items() if name != "all"})


def _between(calls: QuerySet[Call], since: datetime | None, until: datetime | None) -> QuerySet[Call]:
    if since is not None:
        calls = calls.filter(started_at__gte=since)
    return calls.filter(started_at__lt=until) if until is not None else calls


def sums_of_calls() -> dict[str, Any]:
    """The aggregates of `Spend`."""
    return {
        "cost": Coalesce(Sum("settled", filter=Q(simulated=False)), ZERO),
        "simulated": Coalesce(Sum("settled", filter=Q(simulated=True)), ZERO),
        "wasted": Coalesce(Sum("settled", filter=Q(status__in=FAILED)), ZERO),
        "calls": Count("id"),
        "unpriced": Count("id", filter=UNPRICED),
        "estimated": Count("id", filter=Q(usage_source="estimated")),
        "in_flight": Count("id", filter=Q(status="started")),
        "input_tokens": Coalesce(Sum("input_tokens"), 0),
        "cached_input_tokens": Coalesce(Sum("cached_input_tokens"), 0),
        "output_tokens": Coalesce(Sum("output_tokens"), 0),
        "reasoning_tokens": Coalesce(Sum("reasoning_tokens"), 0),
    }
