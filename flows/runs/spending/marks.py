"""The days on which budgets passed a share of their limit, marked in the chart of costs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from django.db.models import Q

from flows.models import AuditRow
from flows.runs.spending.chart import Chart
from flows.runs.spending.explorer import local_day
from flows.runs.spending.wanted import Wanted


@dataclass(frozen=True, slots=True)
class Mark:
    """A day on which a budget passed a share of its limit, and where it stands in the chart."""

    day: date
    x: float
    words: str


def marks_of(wanted: Wanted, chart: Chart | None) -> list[Mark]:
    """The marks of the chart: one query. Budgets count real money only, and are those of the whole installation or of a kept flow."""
    if chart is None or wanted.purpose not in ("real", "all"):
        return []
    scope = wanted.scope()
    names = Q(subject__startswith="all,")
    for flow in wanted.chosen.get("flow", ()):
        names |= Q(subject__startswith=f"flow {flow},")
    rows = AuditRow.objects.filter(names, subject_kind="budget", action="budget.reached", at__gte=scope.since, at__lt=scope.until)
    marks = []
    for row in rows.order_by("id")[:100]:
        day = local_day(row.at)
        bar = next((bar for bar in chart.bars if bar.first <= day <= bar.last), None)
        if bar is not None:
            words = f"{day:%a} {day.day} {day:%b}: the budget {row.subject} passed {row.data.get('share')} % of its limit"
            marks.append(Mark(day, round(bar.x + bar.width / 2, 2), words))
    return marks
