"""What budgets have used, when they will be used up, what is stuck in them, and what a limit would have done."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from math import sqrt
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Count, F, Func, Max, OuterRef, Q, QuerySet, Subquery, Sum, Value, Window
from django.db.models.functions import TruncDay, TruncHour, TruncMonth, TruncWeek
from django.utils import timezone

from flows.access.installation import money
from flows.access.refusals import NotFound
from flows.engine.paths import enclosing
from flows.models import AuditRow, Budget, BudgetHold, BudgetPeriod, Call
from flows.models.budgets import MEASURES

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
LOOKED_AT = timedelta(days=30)
SETTLES = timedelta(minutes=1)
"""After a call's end: by then its hold has been counted."""

BEGINS = timedelta(minutes=5)
"""After a hold: by then its call has begun, or will not."""

FIFTH = 0.8416  # standard deviations from the middle to the 80th percentile
SURE = 0.9  # a spread beyond which the later end says nothing


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
    band: tuple[datetime, datetime | None] | None = None  # around `breach`; the later end is None where it may not come
    dearest: Decimal | None = None  # of the single runs, or steps, of the last 30 days
    changed: Change | None = None

    @property
    def at_risk(self) -> bool:
        limit = self.budget.cost
        least = min(self.budget.warn, default=80)
        return limit is not None and (self.breach is not None or (self.spent + self.reserved) * 100 >= limit * least)

    @property
    def over(self) -> Decimal | None:
        """Dollars that are spent beyond the limit; None where none are."""
        limit = self.budget.cost
        return self.spent - limit if limit is not None and self.spent > limit else None


@dataclass(frozen=True, slots=True)
class Change:
    """The last change of a budget's limits: when, by whom, why, and each measure from and to."""

    at: datetime
    by: str
    reason: str
    moves: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Overshoot:
    """Calls whose provider billed more than was reserved for them: how many, the most of one, and all together, in dollars."""

    calls: int
    most: Decimal
    total: Decimal


@dataclass(frozen=True, slots=True)
class Stuck:
    """A hold that nothing ends by itself: its call has ended, or was never written though the hold is old."""

    hold: BudgetHold
    ended: bool


def gauges() -> list[Gauge]:
    """All budgets as they stand now: four queries."""
    now = timezone.now()
    here = BudgetPeriod.objects.filter(begins__lte=now, ends__gt=now, run_id=None).select_related("budget")
    running = {each.budget_id: each for each in here}
    of_runs = BudgetPeriod.objects.filter(run_id__isnull=False, begins__gte=now - LOOKED_AT).order_by()
    dearest = dict(of_runs.values_list("budget_id").annotate(Max("spent")))
    budgets = list(Budget.objects.select_related("owner").order_by("scope", "subject", "period"))
    changes = _last_changes([each.name for each in budgets])
    return [
        replace(
            _gauge(each, running.get(each.id), now), dearest=dearest.get(each.id), changed=changes.get((each.name, each.id.hex))
        )
        for each in budgets
    ]


def overshoot() -> Overshoot:
    """What providers billed beyond what was reserved in the last 30 days: all that can pass a limit."""
    calls = Call.objects.filter(kind="model", simulated=False, started_at__gte=timezone.now() - LOOKED_AT)
    beyond = F("settled") - F("reserved")
    found = calls.filter(priced=True, settled__gt=F("reserved")).aggregate(n=Count("id"), most=Max(beyond), total=Sum(beyond))
    return Overshoot(found["n"], found["most"] or Decimal(0), found["total"] or Decimal(0))


def stuck_holds() -> list[Stuck]:
    """Holds that the reconciler should have ended long ago, the oldest first."""
    now = timezone.now()
    call = Call.objects.filter(id=OuterRef("call_id"))
    holds = BudgetHold.objects.select_related("period__budget").annotate(
        call_state=Subquery(call.values("status")), call_end=Subquery(call.values("ended_at"))
    )
    stuck = Q(call_end__lt=now - SETTLES) | Q(call_state__isnull=True, at__lt=now - BEGINS)
    return [Stuck(each, each.call_state is not None) for each in holds.filter(stuck).order_by("id")[:100]]


def proposed() -> Decimal | None:
    """Dollars a month that a first budget might allow: what the last 30 days of real calls cost and a fifth more, in two figures."""
    spent = calls_in_scope("all", "").filter(started_at__gte=timezone.now() - LOOKED_AT).aggregate(sum=Sum("settled"))["sum"]
    if not spent:
        return None
    return Decimal(f"{float(spent) * 1.2:.1e}").quantize(Decimal("0.01"), rounding=ROUND_CEILING)


def limits_in_words(budget: Budget) -> str:
    """Such as `$120, 5,000 tokens, 3,600 seconds`."""
    words = {"duration": "seconds"}
    return ", ".join(
        money(f"{value.normalize():f}") if name == "cost" else f"{value:,} {words.get(name, name)}"
        for name, value in budget.limits.items()
    )


def _last_changes(names: Sequence[str]) -> dict[tuple[str, str], Change]:
    """By the budget's name and identifier: one query."""
    rows = AuditRow.objects.filter(subject_kind="budget", subject__in=names, action="budget.change").order_by("subject", "-id")
    found = {}
    for row in rows.distinct("subject"):
        old, new = row.data.get("from", {}), row.data.get("to", {})
        moves = tuple((name, _written(old.get(name)), _written(new[name])) for name in MEASURES if name in new)
        found[row.subject, row.data.get("id", "")] = Change(row.at, row.actor_name, row.data.get("reason", ""), moves)
    return found


def _written(value: object) -> str:
    return "no limit" if value is None else f"{Decimal(str(value)).normalize():,f}"


def reached() -> list[BudgetPeriod]:
    """The present periods that have passed a share of their limit which is noted (`noted`, in percent), the fullest first. Whoever tells
    people of them tells each (period's `id`, the budget's `bounds`, `noted`) once: a share of a limit that was raised is passed anew. One
    that was passed together with a higher one is not noted alone. The audit log has one row of each."""
    now = timezone.now()
    found = BudgetPeriod.objects.filter(begins__lte=now, ends__gt=now, run_id=None).exclude(told={}).select_related("budget")
    passed = [each for each in found.order_by("budget__scope", "budget__subject", "budget__period") if each.noted]
    return sorted(passed, key=lambda each: -each.noted)


def budget_named(name: str) -> Budget:
    """The budget of this identifier. Raises `NotFound`."""
    try:
        found = Budget.objects.filter(id=UUID(name)).first()
    except ValueError:
        found = None
    if found is None:
        raise NotFound("budget")
    return found


def history_of(budget: Budget) -> list[BudgetPeriod]:
    """The last periods, or runs, in which anything was used, the newest first."""
    return list(budget.periods.order_by("-begins")[:HISTORY])


def calls_in_scope(scope: str, subject: str) -> QuerySet[Call]:
    """The real model calls that a budget of this scope counts."""
    calls = Call.objects.filter(kind="model", simulated=False)
    if scope == "all":
        return calls
    if scope == "tag":
        return calls.filter(run__tags__contains=[subject])
    if scope in ("run", "step"):
        flow, _, step = subject.partition("/")
        calls = calls.filter(run__flow__slug=flow) if flow else calls
        return calls.filter(path__regex=rf"^{re.escape(step)}(\[|[./]|$)") if step else calls
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
        *((scope, flow) for scope in ("run", "step") for flow in ("", run.flow.slug)),
        ("step", f"{run.flow.slug}/{next(enclosing(call.path), call.path)}"),
    }
    return [each for each in Budget.objects.order_by("scope", "subject", "period") if (each.scope, each.subject) in subjects]


def would_have_stopped(scope: str, subject: str, period: str, zone: str, cost: Decimal) -> int:
    """How many runs of the last 30 days made a call after their period had reached the limit."""
    calls = calls_in_scope(scope, subject).filter(started_at__gte=timezone.now() - LOOKED_AT)
    pieces: list[Any] = [F("run_id")] if period == "run" else [TRUNCATED[period]("started_at", tzinfo=ZoneInfo(zone))]
    if scope == "step":
        pieces.append(Func(F("path"), Value(r"[\[./].*$"), Value(""), function="regexp_replace"))
    before = Window(Sum("settled"), partition_by=pieces, order_by=[F("started_at").asc(), F("id").asc()])
    past = calls.annotate(total=before).filter(total__gt=cost)
    runs: int = past.aggregate(n=Count("run_id", distinct=True))["n"]
    return runs


def _gauge(budget: Budget, period: BudgetPeriod | None, now: datetime) -> Gauge:
    if period is None:
        return Gauge(budget, Decimal(0), Decimal(0), 0, None, None, 0)
    passed = Decimal((now - period.begins) / (period.ends - period.begins))
    projected, breach, band = None, None, None
    if passed >= SOON and period.spent:
        projected = max(period.spent / passed, period.spent + period.reserved)
        if budget.cost is not None and period.spent < budget.cost < projected:
            seconds = float((budget.cost / period.spent) * Decimal((now - period.begins).total_seconds()))
            breach = period.begins + timedelta(seconds=seconds)
            band = _band(breach, now, period.spent_calls)
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
        band,
    )


def _band(breach: datetime, now: datetime, calls: int) -> tuple[datetime, datetime | None]:
    """Where the limit is reached in three of five cases, if calls come by chance as often as so far: the 20th to the 80th percentile of
    a sum of so many calls whose costs differ as much as they cost."""
    spread = FIFTH * sqrt(2 / max(calls, 1))
    left = breach - now
    return now + left / (1 + spread), now + left / (1 - spread) if spread < SURE else None
