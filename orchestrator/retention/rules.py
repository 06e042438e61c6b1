"""The rules, and which runs they reach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from approvals.models import Notice
from flows.engine.states import TERMINAL_STATES
from flows.models import Call, Event, Firing, Flow, Request, RetentionRule, Run

LONGEST = 3650  # days


@dataclass(frozen=True, slots=True)
class Preview:
    """What would go now, and when the next of what is kept now would."""

    runs: int  # whose payloads would be removed
    calls: int  # of models and tools, whose requests and answers would be
    events: int
    requests: int  # of those runs, with what was asked and said
    deliveries: int  # to webhooks, whose bodies would be
    notices: int  # messages that were sent
    next_at: datetime | None  # when the oldest run that is kept would follow


def rules() -> list[RetentionRule]:
    """All rules, the installation's first."""
    found = RetentionRule.objects.select_related("flow", "changed_by").order_by("flow__name", "id")
    return sorted(found, key=lambda rule: rule.flow is not None)


def rule_of(flow: Flow | None) -> RetentionRule:
    """The rule of this flow, or of the installation; one that keeps everything where there is none."""
    return RetentionRule.objects.filter(flow=flow).first() or RetentionRule(flow=flow)


def ended_runs(flow: Flow | None) -> QuerySet[Run]:
    """The ended runs that a rule of `flow` reaches: those of the flow, or those of all flows without a rule of their own."""
    ended = Run.objects.filter(status__in=sorted(TERMINAL_STATES))
    if flow is not None:
        return ended.filter(flow=flow)
    return ended.exclude(flow__in=_own_rules())


def older_than(runs: QuerySet[Run], days: int | None, now: datetime) -> QuerySet[Run]:
    """Those that ended at least so many days ago; none where the days are empty."""
    return runs.none() if days is None else runs.filter(ended_at__lt=now - timedelta(days=days))


def with_payloads(runs: QuerySet[Run]) -> QuerySet[Run]:
    return runs.filter(purged_at=None)


def old_bodies(flow: Flow | None, days: int | None, now: datetime) -> QuerySet[Firing]:
    """What was delivered so long ago to the webhooks of the flows that a rule of `flow` reaches, whether it started a run or not."""
    if days is None:
        return Firing.objects.none()
    found = Firing.objects.filter(at__lt=now - timedelta(days=days)).exclude(body="")
    return found.filter(trigger__flow=flow) if flow is not None else found.exclude(trigger__flow__in=_own_rules())


def old_notices(flow: Flow | None, days: int | None, now: datetime) -> QuerySet[Notice]:
    """Messages that were sent, or given up, so long ago: about requests of those flows, and without a flow about anything else."""
    if days is None:
        return Notice.objects.none()
    found = Notice.objects.filter(created_at__lt=now - timedelta(days=days)).exclude(state="queued")
    if flow is not None:
        return found.filter(request__run__flow=flow)
    return found.exclude(request__run__flow__in=_own_rules())


def _own_rules() -> QuerySet[RetentionRule, Any]:
    return RetentionRule.objects.filter(flow__isnull=False).values("flow")


def preview(flow: Flow | None, payload_days: int | None, event_days: int | None) -> Preview:
    """What these days would remove. A few counts over the runs that are old enough."""
    now, runs = timezone.now(), ended_runs(flow)
    old = with_payloads(older_than(runs, payload_days, now))
    events = Event.objects.filter(run__in=older_than(runs, event_days, now).values("id"))
    kept = with_payloads(runs).exclude(id__in=old.values("id")).order_by("ended_at").values_list("ended_at", flat=True).first()
    follows = kept + timedelta(days=payload_days) if kept is not None and payload_days is not None else None
    gone = old.values("id")
    return Preview(
        runs=old.count(),
        calls=Call.objects.filter(run__in=gone).count(),
        events=events.count(),
        requests=Request.objects.filter(run__in=gone).count(),
        deliveries=old_bodies(flow, payload_days, now).count(),
        notices=old_notices(flow, payload_days, now).count(),
        next_at=follows,
    )


def due_rules() -> Iterator[RetentionRule]:
    """The rules that remove anything at all."""
    return (rule for rule in rules() if rule.payload_days is not None or rule.event_days is not None)
