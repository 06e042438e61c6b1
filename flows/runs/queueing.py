"""Why a run does not go on just now: its place in the queue, and the slots that its calls wait for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now

from flows.models import Event, Run, Worker

COUNTED = 1000  # runs ahead; more are not counted
LOOKED_AT = 50  # newest events of a run in which a wait is looked for
SILENT = timedelta(minutes=1)  # after which a worker is none


@dataclass(frozen=True, slots=True)
class Standing:
    """`waits_for` says what a run waits for, in words; `ahead` are the runs of its flow that go before it, while it is queued."""

    waits_for: str | None = None
    ahead: int | None = None

    @property
    def words(self) -> str:
        """Both, as a page says it."""
        if not self.ahead:
            return self.waits_for or ""
        ahead = f"{self.ahead:,}{'+' if self.ahead >= COUNTED else ''} ahead"
        return f"{self.waits_for}, {ahead}" if self.waits_for else ahead


NOTHING = Standing()


def standing_of(run: Run) -> Standing:
    """Where the run stands. At most four queries, none of which grows with the queue."""
    if run.status == "queued":
        return Standing(_why_queued(run), _ahead(run))
    return Standing(_slots(run)) if run.status == "running" else NOTHING


def _why_queued(run: Run) -> str | None:
    flow = run.flow
    if flow.max_running is not None:
        begun = Run.objects.filter(flow=flow, started_at__isnull=False, ended_at__isnull=True)
        taken = (begun.exclude(id=run.id) if flow.keeps_slot else begun.filter(status="running")).count()
        if taken >= flow.max_running:
            doing = "are running or wait" if flow.keeps_slot else "are running"
            return f"{taken:,} of {flow.max_running:,} runs of this flow {doing}"
    if not Worker.objects.filter(beat__gt=Now() - SILENT, draining=False).exists():
        return "no engine is running"
    return None


def _ahead(run: Run) -> int:
    queued = Run.objects.filter(flow=run.flow_id, status="queued", owner__isnull=True)
    before = Q(priority__gt=run.priority)
    if run.started_at is not None:
        before |= Q(priority=run.priority, started_at__lt=run.started_at)
    else:
        before |= Q(priority=run.priority, started_at__isnull=False)
        before |= Q(priority=run.priority, started_at__isnull=True, id__lt=run.id)
    return queued.filter(before)[:COUNTED].count()


def _slots(run: Run) -> str | None:
    """The newest wait for a slot after which nothing has happened at the same step."""
    heard: set[str] = set()
    for path, type_, data in Event.objects.filter(run=run).order_by("-seq").values_list("path", "type", "data")[:LOOKED_AT]:
        if type_ == "call.waiting" and path not in heard:
            return f"waits for {json.loads(data or '{}').get('for', 'a slot')}"
        heard.add(path)
    return None
