"""What each card of the home page shows. Every figure is that of the list it leads to, by the same queries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from decimal import Decimal
from functools import reduce
from operator import or_
from statistics import median
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Count, OuterRef, Q, Subquery, Sum, Window
from django.utils import timezone

from approvals.reads import by_due, requests_in
from flows.access.actor import Actor
from flows.access.masking import hiding, masks_of
from flows.access.querysets import made_since, runs_for
from flows.costs.budgets import reached
from flows.costs.forecast import WEEKS, Forecast, month_end
from flows.costs.reports import UNPRICED, Scope, calls_within, summed
from flows.costs.sums import by_day
from flows.models import BudgetPeriod, Request, Run, Trigger
from flows.runs.listing import RunLine, fingerprint_of, lines_of
from flows.runs.reads import runs_listed
from flows.triggers.reads import triggers_for

REQUESTS_SHOWN, RUNS_SHOWN, ERRORS_SHOWN, SCHEDULES_SHOWN = 5, 8, 5, 4
AHEAD = timedelta(hours=3)
RECENT = timedelta(hours=24)
LOOKED_BACK = timedelta(days=7)
MOST_FAILURES = 500
MANY_RUNS, MANY_FAIL = 5, 0.2  # of so many runs in 24 hours more than this share: something is wrong with the flow
FINISHED = ("succeeded", "failed", "budget_stopped")
BROKEN = ("failed", "budget_stopped")
GOING = ("running", "waiting_approval", "waiting", "retrying", "queued")


@dataclass(frozen=True, slots=True)
class Needs:
    """Requests that this person may decide, those due first in front, and how many there are."""

    requests: list[Request]
    count: int


def needs(actor: Actor) -> Needs:
    found: list[Any] = list(by_due(requests_in(actor, "mine")).annotate(all=Window(Count("id")))[:REQUESTS_SHOWN])
    return Needs(found, found[0].all if found else 0)


@dataclass(frozen=True, slots=True)
class Breakage:
    """Equal errors of one flow: how often, since when, and the newest of them."""

    flow: str
    name: str
    kind: str  # the error's class
    step: str
    message: str
    count: int
    first: datetime
    newest: UUID
    failed: int
    finished: int
    """Failed and finished runs of the flow in the last 24 hours."""

    @property
    def query(self) -> str:
        """What the list of runs is asked for these: by their error, or by their state where that is all that is known."""
        if self.kind in BROKEN:
            same = {"state": self.kind}
        else:
            same = {"state": ",".join(BROKEN), "fingerprint": fingerprint_of({"class": self.kind, "step": self.step})}
        return urlencode({"flow": self.flow, **same, "started": f"{LOOKED_BACK.days}d"}, safe=",@[]")

    @property
    def may_be_retried(self) -> bool:
        """What a limit has stopped goes on once that is raised, run by run."""
        return self.kind not in ("budget", "budget_stopped")


def broken(actor: Actor, scope: str) -> list[Breakage]:
    """Flows whose last finished run failed, or many of whose recent runs did, with their errors of a week; the newest first."""
    now = timezone.now()
    runs = _of(runs_for(actor), actor, scope).filter(purpose="live")
    recent = runs.filter(ended_at__gte=now - RECENT, status__in=FINISHED).order_by().values("flow")
    counts = {
        row["flow"]: (row["failed"], row["n"])
        for row in recent.annotate(n=Count("id"), failed=Count("id", filter=Q(status__in=BROKEN)))
    }
    often = [flow for flow, (bad, n) in counts.items() if n >= MANY_RUNS and bad > MANY_FAIL * n]
    last = Run.objects.filter(flow=OuterRef("flow"), purpose="live", status__in=FINISHED).order_by("-id").values("status")[:1]
    failures = runs.filter(ended_at__gte=now - LOOKED_BACK, status__in=BROKEN, flow__archived_at__isnull=True)
    failures = failures.annotate(last=Subquery(last)).filter(Q(flow__in=often) | Q(last__in=BROKEN)).order_by("-id")
    names = ("id", "version_id", "flow", "flow__slug", "flow__name", "status", "error", "ended_at")
    versions: dict[UUID, UUID] = {}
    groups: dict[tuple[Any, str, str], Breakage] = {}
    for run, version, flow, slug, name, status, error, ended in failures.values_list(*names)[:MOST_FAILURES]:
        said = json.loads(error) if error else {}
        versions[run] = version
        kind, step = said.get("class") or status, said.get("step") or ""
        bad, n = counts.get(flow, (0, 0))
        newest = Breakage(slug, name, kind, step, said.get("message") or "", 0, ended, run, bad, n)
        known = groups.get((flow, kind, step), newest)
        groups[flow, kind, step] = replace(known, count=known.count + 1, first=min(known.first, ended))
    return _masked(list(groups.values())[:ERRORS_SHOWN], versions)


def _masked(found: list[Breakage], versions: Mapping[UUID, UUID]) -> list[Breakage]:
    """The same without what is hidden of their newest runs, whose versions are given; at most two queries, and those of the masks."""
    marked = hiding(versions[each.newest] for each in found)
    runs = [each.newest for each in found if versions[each.newest] in marked]
    if not runs:
        return found
    masks = masks_of(list(Run.objects.filter(id__in=runs).only("id", "version_id", "input")))
    return [replace(each, message=masks[each.newest].text(each.message)) if each.newest in masks else each for each in found]


@dataclass(frozen=True, slots=True)
class Money:
    """Today in the reader's zone: real money so far, what is usual by this hour, the month's forecast."""

    spent: Decimal
    simulated: Decimal
    unpriced: int
    usual: Decimal | None
    forecast: Forecast | None
    budgets: list[BudgetPeriod]
    """Those that have passed a noted share of their limit."""


def money(actor: Actor) -> Money:
    now = timezone.localtime()
    midnight = datetime.combine(now.date(), time.min, now.tzinfo)
    weeks = [timedelta(weeks=n) for n in range(1, WEEKS + 1)]
    calls, today = calls_within(actor, Scope()), Q(started_at__gte=midnight)
    looked_at = reduce(or_, (Q(started_at__gte=midnight - week, started_at__lt=now - week) for week in weeks), today)
    by_now = {
        f"week_{n}": Sum("settled", filter=Q(simulated=False, started_at__gte=midnight - week, started_at__lt=now - week))
        for n, week in enumerate(weeks)
    }
    found = calls.filter(looked_at).aggregate(
        spent=Sum("settled", filter=today & Q(simulated=False)),
        pretended=Sum("settled", filter=today & Q(simulated=True)),
        unpriced=Count("id", filter=today & UNPRICED),
        **by_now,
    )
    days = by_day(actor, Scope(min(midnight.replace(day=1), midnight - weeks[-1]), midnight, "real"))
    first = min(days, default=None)
    enough = first is not None and first <= (midnight - weeks[0]).date()
    usual = median([found[name] or Decimal(0) for name in by_now]) if enough else None
    spent = found["spent"] or Decimal(0)
    forecast = month_end(days | {now.date(): spent}, now.date(), first) if enough else None
    return Money(spent, found["pretended"] or Decimal(0), found["unpriced"], usual, forecast, reached())


def coming_up(actor: Actor) -> list[Trigger]:
    """The schedules that fire within the next hours, the soonest first."""
    now = timezone.now()
    due = triggers_for(actor).filter(kind="schedule", paused_at__isnull=True, next_fire_at__range=(now, now + AHEAD))
    live = due.filter(flow__archived_at__isnull=True, flow__paused_at__isnull=True, flow__published__isnull=False)
    return list(live.order_by("next_fire_at", "id")[:SCHEDULES_SHOWN])


@dataclass(frozen=True, slots=True)
class InFlight:
    """How many runs are in each state that is no end, and a few of them."""

    counts: list[tuple[str, int]]
    total: int
    lines: list[RunLine]


def in_flight(actor: Actor, scope: str) -> InFlight:
    going = _of(runs_listed(actor), actor, scope).filter(status__in=GOING)
    each_state = {f"n_{state}": Window(Count("id", filter=Q(status=state))) for state in GOING}
    dearest: list[Any] = list(going.annotate(**each_state).order_by("-spent", "id")[:RUNS_SHOWN])
    found = {state: getattr(dearest[0], f"n_{state}") for state in GOING} if dearest else {}
    return InFlight([(state, n) for state, n in found.items() if n], sum(found.values()), lines_of(dearest))


@dataclass(frozen=True, slots=True)
class Digest:
    """What happened since somebody was last here."""

    since: datetime
    runs: int
    failed: int
    spent: Decimal | None
    decided: int


def digest(actor: Actor, since: datetime, scope: str, *, costs: bool) -> Digest:
    runs = _of(runs_for(actor), actor, scope).filter(made_since(since), purpose="live")
    counts = runs.aggregate(n=Count("id"), failed=Count("id", filter=Q(status__in=BROKEN)))
    spent = summed(calls_within(actor, Scope(since=since, purpose="real"))).cost if costs else None
    decided = requests_in(actor, "done").filter(decided_at__gte=since, decided_by__isnull=False).order_by().count()
    return Digest(since, counts["n"], counts["failed"], spent, decided)


def _of(runs: Any, actor: Actor, scope: str) -> Any:
    """Of these runs those that one started oneself, or all."""
    return runs.filter(started_by=actor.person) if scope == "me" else runs
