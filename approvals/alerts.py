"""Alerts: what is wrong and nobody may have seen. Runs that failed, runs that stand still, budgets, requests past their time.

Each is told once. What went wrong longer ago than `FRESH` is history and is not told, so whoever upgrades or restores an
installation is not flooded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid5

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now

from approvals.models import Alert
from approvals.notices.notify import notify
from approvals.notices.receivers import deciders_of, holders_of
from approvals.notices.wording import facts_of, subject_of
from flows.access.installation import money
from flows.access.rights import Right
from flows.costs.budgets import reached
from flows.engine.states import OPEN_REQUEST_STATES
from flows.execution.killswitch import the_switch
from flows.models import Event, Person, Request, Run
from flows.runs.reads import value_of

log = logging.getLogger(__name__)

FRESH = timedelta(hours=1)
STILL = timedelta(minutes=15)
"""A run about which nothing was written for so long, although it could go on, is stuck."""

MOST = 100  # alerts of one kind a look


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing that is wrong, as it will be told."""

    kind: str
    about: UUID
    level: int
    subject: str
    path: str
    people: Callable[[], Iterable[Person]]
    facts: list[tuple[str, str]]
    request: Request | None = None


def raise_alerts() -> int:
    """Tells of everything that is wrong and has not been told; gives how much that was. The reconciler calls it."""
    told = 0
    for found in (failed, stuck, budgets, overdue):
        for wrong in found():
            try:
                told += _tell(wrong)
            except Exception:
                log.exception("the alert %s about %s could not be raised", wrong.kind, wrong.about)
    return told


def _tell(wrong: Wrong) -> bool:
    with transaction.atomic():
        _, new = Alert.objects.get_or_create(kind=wrong.kind, about=wrong.about, level=wrong.level)
        if new:
            notify(
                wrong.kind,
                f"alert:{wrong.kind}:{wrong.about.hex}:{wrong.level}",
                wrong.subject,
                wrong.path,
                people=wrong.people(),
                facts=wrong.facts,
                request=wrong.request,
            )
    return new


def failed() -> list[Wrong]:
    """Runs that ended by an error or a limit."""
    bad = Run.objects.filter(status__in=("failed", "budget_stopped"), purpose="live", ended_at__gte=Now() - FRESH)
    wrongs = []
    for run in _untold(bad, "failed", "pass_number"):
        error = value_of(run.error)
        said = error if isinstance(error, dict) else {}
        what = "Stopped by budget" if run.status == "budget_stopped" else "Failed"
        facts = [
            *_facts(run),
            ("Step", str(said.get("step") or "–")),
            ("Error", str(said.get("class") or run.reason or run.status)),
        ]
        wrongs.append(_about_run("failed", run, run.pass_number, what, facts))
    return wrongs


def stuck() -> list[Wrong]:
    """Runs that could go on and do not: driven with nothing in flight, or past the time of their waking. What waits in the queue waits
    for its turn; where no engine is left, nobody looks here either, and the page of the installation's health says so."""
    if the_switch().is_on:
        return []
    long_ago = Now() - STILL
    newest = Event.objects.filter(run=OuterRef("pk"), seq=OuterRef("seq")).values("at")[:1]
    going = Run.objects.filter(ended_at__isnull=True, paused=False, purpose="live")
    still = going.filter(Q(status="running", open_calls=0) | Q(status__in=("waiting", "retrying"), wake_at__lt=long_ago))
    found = _untold(still.annotate(last=Subquery(newest)).filter(last__lt=long_ago), "stuck", "seq")
    return [_about_run("stuck", run, run.seq, "Stuck", [*_facts(run), *_standing(run)]) for run in found]


def _standing(run: Any) -> list[tuple[str, str]]:
    return [("State", run.status), ("Nothing since", f"{run.last:%d %b %H:%M} UTC")]


def budgets() -> list[Wrong]:
    """Budgets that have passed a share of their limit which their owner wants to know of."""
    wrongs = []
    for period in reached():
        budget = period.budget
        of = f" of {money(f'{budget.cost.normalize():f}')}" if budget.cost is not None else ""
        facts = [("Spent", f"{money(f'{period.spent.normalize():f}')}{of}"), ("Until", f"{period.ends:%d %b %H:%M} UTC")]
        subject = f"Budget {budget.name}: {period.noted} % used"
        owner = budget.owner

        def people(owner: Person | None = owner) -> Iterable[Person]:
            return [owner] if owner is not None and owner.is_active else holders_of(Right.MANAGE_BUDGETS)

        wrongs.append(Wrong("budget", uuid5(period.id, budget.bounds), period.noted, subject, "/budgets", people, facts))
    told = set(Alert.objects.filter(kind="budget", about__in=[each.about for each in wrongs]).values_list("about", "level"))
    return [each for each in wrongs if (each.about, each.level) not in told]


def overdue() -> list[Wrong]:
    """Requests that are still open although their time is over."""
    late = Request.objects.filter(state__in=sorted(OPEN_REQUEST_STATES), due__lt=Now(), due__gte=Now() - FRESH).exclude(
        kind="test"
    )
    late = late.filter(~Exists(Alert.objects.filter(kind="overdue", about=OuterRef("pk"))))
    found = late.select_related("run__flow__team", "flow__team", "run__started_by").order_by("due")[:MOST]
    return [
        Wrong(
            "overdue",
            request.id,
            0,
            subject_of(request, "Overdue"),
            f"/approvals/{request.public_id}",
            partial(deciders_of, request),
            facts_of(request),
            request,
        )
        for request in found
    ]


def _untold(runs: QuerySet[Run], kind: str, level: str) -> list[Run]:
    told = Alert.objects.filter(kind=kind, about=OuterRef("pk"), level=OuterRef(level))
    found = runs.filter(~Exists(told)).select_related("flow__team", "flow__owner", "started_by")
    return list(found.defer("input", "output", "flow__draft").order_by("id")[:MOST])


def _about_run(kind: str, run: Run, level: int, what: str, facts: list[tuple[str, str]]) -> Wrong:
    def people() -> Iterable[Person]:
        """Who started it and whom the flow belongs to; where nobody is, those who control its runs."""
        concerned = [each for each in (run.started_by, run.flow.owner) if each is not None and each.is_active]
        return concerned or holders_of(Right.CONTROL_RUNS, run.flow.team_id)

    return Wrong(kind, run.id, level, f"{what}: {run.flow.name} #{run.number}", f"/runs/{run.public_id}", people, facts)


def _facts(run: Run) -> list[tuple[str, str]]:
    by = run.started_by.username if run.started_by is not None else run.source
    return [("Flow", f"{run.flow.name} #{run.number}"), ("Started by", by)]
