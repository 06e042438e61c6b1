"""What the chart of costs says of budgets: a line at what they allow, and the days on which they passed a share of their limit."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db.models import CharField, DateTimeField, F, Q, Value
from django.db.models.functions import Cast, JSONObject

from flows.access.installation import money
from flows.models import AuditRow, Budget
from flows.models.budgets import name_of
from flows.runs.spending.chart import Chart, span_of
from flows.runs.spending.explorer import local_day
from flows.runs.spending.wanted import Wanted

MOST_MARKS, MOST_LINES = 100, 3
DAYS = {"day": 1, "week": 7}
SCOPES = {"flow": "flow", "model": "model", "team": "team", "person": "person", "tag": "tag"}


@dataclass(frozen=True, slots=True)
class Mark:
    """A day on which a budget passed a share of its limit, and where it stands in the chart."""

    day: date
    x: float
    words: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """The budgets of what the page shows: `lines` by words, each the dollars that it allows in the time of one bar; `reached` are
    (budget, moment, share in percent)."""

    lines: Mapping[str, Decimal]
    reached: Sequence[tuple[str, datetime, int]]

    def marks(self, chart: Chart | None) -> list[Mark]:
        marks = []
        for name, at, share in self.reached:
            day = local_day(at)
            bar = next((bar for bar in chart.bars if bar.first <= day <= bar.last), None) if chart is not None else None
            if bar is not None:
                words = f"{day:%a} {day.day} {day:%b}: the budget {name} passed {share} % of its limit"
                marks.append(Mark(day, round(bar.x + bar.width / 2, 2), words))
        return marks


def bounds_of(wanted: Wanted) -> Bounds:
    """One query. Budgets count real money only. Marks are those of the whole installation and of kept flows; a line is drawn where the
    page shows exactly what the budget counts."""
    if wanted.purpose not in ("real", "all"):
        return Bounds({}, [])
    scope = wanted.scope()
    names = Q(subject__startswith="all,")
    for flow in wanted.chosen.get("flow", ()):
        names |= Q(subject__startswith=f"flow {flow},")
    reached = AuditRow.objects.filter(
        names, subject_kind="budget", action="budget.reached", at__gte=scope.since, at__lt=scope.until
    )
    marks = reached.order_by("-id")[:MOST_MARKS].values_list("subject", "at", "data")
    lines = Budget.objects.filter(_of_page(wanted), cost__isnull=False, period__in=[*DAYS, "month"]).order_by("-period")
    facts = JSONObject(scope=F("scope"), subject=F("subject"), period=F("period"), cost=Cast("cost", CharField()))
    rows: Any = marks.union(lines.values_list("subject", Value(None, DateTimeField()), facts)[:MOST_LINES], all=True)
    found: dict[str, Decimal] = {}
    passed = []
    for name, at, data in rows:
        if at is None:
            found[_words(data)] = _a_bar(wanted, data)
        else:
            passed.append((name, at, data.get("share")))
    return Bounds(found, sorted(passed, key=lambda each: each[1]))


def _of_page(wanted: Wanted) -> Q:
    """The budgets that count what the page shows."""
    kept = {name: values for name, values in wanted.chosen.items() if values}
    if wanted.run is not None or wanted.unpriced:
        return Q(pk__in=[])
    if not kept:
        return Q(scope="all")
    ((name, values),) = [*kept.items()] if len(kept) == 1 else [("", ())]
    return Q(scope=SCOPES[name], subject=values[0]) if name in SCOPES and len(values) == 1 else Q(pk__in=[])


def _words(data: Mapping[str, str]) -> str:
    name = name_of(data["scope"], data["subject"], data["period"])
    limit = money(f"{Decimal(data['cost']).normalize():,f}")
    return f"the budget {name}: {limit} a {data['period']}"


def _a_bar(wanted: Wanted, data: Mapping[str, str]) -> Decimal:
    """What the budget allows in the time of one bar, evenly spread."""
    days = DAYS.get(data["period"]) or monthrange(wanted.last.year, wanted.last.month)[1]
    return Decimal(data["cost"]) * span_of(wanted.first, wanted.last) / days
