"""Removing what is older than the rules allow, a few runs at a time; called by the reconciler."""

from __future__ import annotations

import time
from datetime import datetime
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import transaction
from django.db.models import F, Func, TextField, Value
from django.db.models.functions import Now
from django.utils import timezone

from approvals.models import HeldDecision, Notice, Remark, Revision, Vote
from flows.access.actor import system
from flows.access.audit import record_change
from flows.models import Attempt, Call, Delivery, Event, Firing, Intervention, MemoryChange, Request, RetentionRule, Run
from orchestrator.retention.rules import due_rules, ended_runs, old_bodies, old_notices, older_than, with_payloads

RETENTION = system("retention")
AT_ONCE = 100  # runs of one transaction
EVERY = 60.0  # seconds between two looks of one process, once nothing was left to do

_next_look = 0.0


def purge_due() -> int:
    """Removes what is due of one batch of each rule; gives the number of runs and messages. Mostly it only looks at a clock."""
    global _next_look
    if time.monotonic() < _next_look:
        return 0
    now = timezone.now()
    done = sum(_payloads(rule, now) + _events(rule, now) + _messages(rule, now) for rule in due_rules())
    if not done:
        _next_look = time.monotonic() + EVERY
    return done


def remove_payloads(runs: list[UUID]) -> None:
    """Takes out of these ended runs all that people, models and tools said. Who, when, how long, how much and which hash was approved
    stay. Must run in a transaction."""
    Run.objects.filter(id__in=runs).update(input="null", output=None, purged_at=Now())
    Run.objects.filter(id__in=runs, handling__has_any_keys=("given", "sources")).update(
        handling=_without("handling", "given", "sources")
    )
    Run.objects.filter(id__in=runs, error__isnull=False).update(error='{"class": "removed", "message": "removed"}')
    Attempt.objects.filter(run__in=runs).update(output=None, state=None, checkpoint=None)
    Attempt.objects.filter(run__in=runs, error__isnull=False).update(error='{"class": "removed", "message": "removed"}')
    Call.objects.filter(run__in=runs).update(request=None, response=None, request_hash="", error_message="")
    Request.objects.filter(run__in=runs).update(show=None, payload="null", answer=None, comment="")
    Request.objects.filter(run__in=runs, terms__has_key="values").update(terms=_without("terms", "values"))
    HeldDecision.objects.filter(request__run__in=runs).update(payload=None, comment="")
    Notice.objects.filter(request__run__in=runs).update(subject="removed", facts=[])
    Vote.objects.filter(request__run__in=runs).update(comment="", payload=None)
    Remark.objects.filter(request__run__in=runs).update(text="")
    Revision.objects.filter(request__run__in=runs).update(payload="null")
    Delivery.objects.filter(run__in=runs).update(payload="null")
    Intervention.objects.filter(run__in=runs).update(after="{}")
    Firing.objects.filter(run__in=runs).update(body="")
    # What a memory holds now has an expiry of its own; what a run had set before somebody changed it goes with the run's payloads.
    MemoryChange.objects.filter(run__in=runs, revision__lt=F("entry__revision")).update(value=None)


def _payloads(rule: RetentionRule, now: datetime) -> int:
    due = with_payloads(older_than(ended_runs(rule.flow), rule.payload_days, now))
    with transaction.atomic():
        runs = list(due.order_by("id").select_for_update(of=("self",), skip_locked=True).values_list("id", flat=True)[:AT_ONCE])
        if runs:
            remove_payloads(runs)
            _record("payloads", rule, rule.payload_days, len(runs))
    return len(runs)


def _events(rule: RetentionRule, now: datetime) -> int:
    due = older_than(ended_runs(rule.flow), rule.event_days, now).filter(events_purged_at=None)
    with transaction.atomic():
        runs = list(due.order_by("id").select_for_update(of=("self",), skip_locked=True).values_list("id", flat=True)[:AT_ONCE])
        if runs:
            Event.objects.filter(run__in=runs).delete()
            Run.objects.filter(id__in=runs).update(events_purged_at=Now())
            _record("events", rule, rule.event_days, len(runs))
    return len(runs)


def _messages(rule: RetentionRule, now: datetime) -> int:
    """Bodies of deliveries, also of those that were refused, and messages that were sent; documents of knowledge bases and pinned
    results stay until somebody removes them."""
    bodies = old_bodies(rule.flow, rule.payload_days, now).values("id")[: AT_ONCE * 10]
    notices = old_notices(rule.flow, rule.payload_days, now).values("id")[: AT_ONCE * 10]
    with transaction.atomic():
        emptied = Firing.objects.filter(id__in=bodies).update(body="")
        removed, _ = Notice.objects.filter(id__in=notices).delete()
        for what, count in (("deliveries", emptied), ("notices", removed)):
            if count:
                _record(what, rule, rule.payload_days, count, of=what)
    return emptied + removed


def _without(column: str, *keys: str) -> Func:
    """A JSON object of the row without these keys."""
    return Func(
        F(column), Value(list(keys), output_field=ArrayField(TextField())), template="(%(expressions)s)", arg_joiner=" - "
    )


def _record(what: str, rule: RetentionRule, days: int | None, count: int, of: str = "runs") -> None:
    subject = rule.flow.slug if rule.flow is not None else "all"
    record_change(RETENTION, "retention.purge", "retention", subject, {"what": what, of: count, "days": days})
