"""What budgets have used, when they will be used up, and what a limit would have done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Count, F, QuerySet, Sum, Window
from django.db.models.functions import TruncDay, TruncHour, TruncMonth, TruncWeek
from django.utils import timezone

from flows.models import Budget, BudgetPeriod, Call

TRUNCATED: dict[str, Any] = {"hour": TruncHour, "day": TruncDay, "week": TruncWeek, "month": TruncMonth}
SOON = Decimal("0.05")  # of a period: before so much of it has passed nothing is forecast
SCOPED = {
    "flow": "run__flow__slug",
    "team": "run__flow__team__slug",
    "person": "run__started_by__username",
    "key": "run__started_key_id",
    "model": "target",
}
HISTORY = 12  # periods


@dataclass(frozen=True, slots=True)
class Gauge:
    """A budget as it stands in its present period. `projected` is what it comes to at the end if the rest is like what has passed, and
    `breach` when it passes the limit; both None where it is too early to say, or it will not."""

    budget: Budget
    spent: Decimal
    reserved: Decimal
    unpriced: int
    begins: datetime | None
    ends: datetime | None
    noted: int
    spent_tokens: int = 0
    spent_calls: int = 0
    projected: Decimal | None = None
    breach: datetime | None = None

    @property
    def at_risk(self) -> bool:
        limit = self.budget.cost
        least = min(self.budget.warn, default=80)
        return limit is not None and (self.breach is not None or (self.spent + self.reserved) * 100 >= limit * least)


def gauges() -> list[Gauge]:
    """All budgets as they stand now: two queries."""
    now = timezone.now()
    running = {each.budget_id: each for each in BudgetPeriod.objects.filter(begins__lte=now, ends__gt=now)}
    budgets = Budget.objects.select_related("owner").order_by("scope", "subject", "period")
    return [_gauge(budget, running.get(budget.id), now) for budget in budgets]


def reached() -> list[BudgetPeriod]:
    """The present periods that have passed a share of their limit which is noted (`noted`, in percent), the fullest first. Whoever tells
    people of them tells each share once: it rises, and never falls, within a period; the audit log has a row of each."""
    now = timezone.now()
    found = BudgetPeriod.objects.filter(begins__lte=now, ends__gt=now, noted__gt=0).select_related("budget")
    return list(found.order_by("-noted", "budget__scope", "budget__subject"))


def history_of(budget: Budget) -> list[BudgetPeriod]:
    """The last periods in which anything was used, the newest first."""
    return list(budget.periods.order_by("-begins")[:HISTORY])


def calls_in_scope(scope: str, subject: str) -> QuerySet[Call]:
    """The real model calls that a budget of this scope counts."""
    calls = Call.objects.filter(kind="model", simulated=False)
    if scope == "all":
        return calls
    if scope == "tag":
        return calls.filter(run__tags__contains=[subject])
    return calls.filter(**{SCOPED[scope]: subject})


def budgets_of(call: Call) -> list[Budget]:
    """The budgets that count this call: none for a simulated one, or a tool's. The call's run should be loaded with flow and team."""
    if call.kind != "model" or call.simulated:
        return []
    run = call.run
    person, team = run.started_by, run.flow.team
    subjects = {
        ("all", ""),
        ("flow", run.flow.slug),
        ("model", call.target),
        ("key", str(run.started_key_id)),
        ("person", person.username if person is not None else ""),
        ("team", team.slug if team is not None else ""),
        *(("tag", tag) for tag in run.tags),
    }
    return [each for each in Budget.objects.order_by("scope", "subject", "period") if (each.scope, each.subject) in subjects]


def would_have_stopped(scope: str, subject: str, period: str, zone: str, cost: Decimal) -> int:
    """How many runs of the last 30 days made a call after their period had reached the limit."""
    calls = calls_in_scope(scope, subject).filter(started_at__gte=timezone.now() - timedelta(days=30))
    piece = TRUNCATED[period]("started_at", tzinfo=ZoneInfo(zone))
    before = Window(Sum("settled"), partition_by=[piece], order_by=[F("started_at").asc(), F("id").asc()])
    past = calls.annotate(total=before).filter(total__gt=cost)
    runs: int = past.aggregate(n=Count("run_id", distinct=True))["n"]
    return runs


def _gauge(budget: Budget, period: BudgetPeriod | None, now: datetime) -> Gauge:
    if period is None:
        return Gauge(budget, Decimal(0), Decimal(0), 0, None, None, 0)
    passed = Decimal((now - period.begins) / (period.ends - period.begins))
    projected, breach = None, None
    if passed >= SOON and period.spent:
        projected = max(period.spent / passed, period.spent + period.reserved)
        if budget.cost is not None and period.spent < budget.cost < projected:
            seconds = float((budget.cost / period.spent) * Decimal((now - period.begins).total_seconds()))
            breach = period.begins + timedelta(seconds=seconds)
    return Gauge(
        budget,
        period.spent,
        period.reserved,
        period.unpriced,
        period.begins,
        period.ends,
        period.noted,
        period.spent_tokens,
        period.spent_calls,
        projected,
        breach,
    )
