"""Removing runs with all that belongs to them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction

from approvals.models import Delegation, Docket, HeldDecision, Notice, Remark, Revision, View, Vote
from flows.execution.doorbells import inbox_changed
from flows.models import (
    Adjustment,
    Attempt,
    BudgetHold,
    BudgetPeriod,
    Call,
    Delivery,
    Event,
    Firing,
    Intervention,
    MemoryChange,
    MemoryEntry,
    Request,
    Run,
    RunPass,
    ToolJob,
    UnsummedCall,
)

AT_ONCE = 500  # runs of one transaction


def remove_runs(runs: Sequence[str]) -> int:
    """Removes these runs, whatever state they are in, with their steps, calls, events and requests; gives how many there were. A run
    that repeats one of them stays and forgets it. Sums by day have to be made anew afterwards (`forget_sums`)."""
    removed, ids = 0, [UUID(run) for run in runs]
    for first in range(0, len(ids), AT_ONCE):
        with transaction.atomic():
            removed += _remove(ids[first : first + AT_ONCE])
            transaction.on_commit(inbox_changed)
    return removed


def _remove(runs: list[UUID]) -> int:
    """The rows of the runs are locked first: an engine that drives one finds it gone at its next record, and lets go of it."""
    here = list(Run.objects.select_for_update(of=("self",)).filter(id__in=runs).order_by("id").values_list("id", flat=True))
    requests = Request.objects.filter(run__in=here)
    for of_request in (Vote, View, Remark, Revision, HeldDecision, Docket, Notice, Delegation):
        of_request.objects.filter(request__in=requests).delete()
    requests.delete()
    calls = list(Call.objects.filter(run__in=here).values_list("id", flat=True))
    for of_call in (ToolJob, UnsummedCall):
        of_call.objects.filter(call_id__in=calls).delete()
    BudgetHold.objects.filter(run_id__in=here).delete()
    BudgetPeriod.objects.filter(run_id__in=here).delete()
    Adjustment.objects.filter(run_id__in=here).delete()
    MemoryChange.objects.filter(entry__in=MemoryEntry.objects.filter(run__in=here)).delete()
    MemoryEntry.objects.filter(run__in=here).delete()
    Firing.objects.filter(run__in=here).update(run=None)
    Run.objects.filter(origin__in=here).update(origin=None)
    for of_run in (Call, Attempt, Event, Delivery, Intervention, RunPass):
        of_run.objects.filter(run__in=here).delete()
    return Run.objects.filter(id__in=here).delete()[0]
