"""What the verbs do to a run beside its engine: lock its row, number an event, wake it.

Each verb locks the run's row first, then changes what it must. Numbers of events are given under that lock, so they have no gaps
and stand in commit order.
"""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.db import transaction

from flows.access.redaction import redacted
from flows.engine.states import PARKED_STATES
from flows.execution.doorbells import doorbell
from flows.execution.rings import ring
from flows.models import Event, Run


def lock_run(run_id: UUID) -> Run:
    """The run as it is now, its row locked until the transaction ends. Raises `Run.DoesNotExist`; must run in a transaction."""
    return Run.objects.select_for_update(of=("self",), no_key=True).select_related("flow").get(id=run_id)


def append_event(run: Run, type: str, path: str = "", data: dict[str, Any] | None = None) -> int:  # noqa: A002 - the column's name
    """Writes the run's next event and gives its number. The run's row must be locked by this transaction."""
    run.seq += 1
    Run.objects.filter(id=run.id).update(seq=run.seq)
    text = None if data is None else redacted(json.dumps(data, separators=(",", ":")))
    Event.objects.bulk_create([Event(run_id=run.id, seq=run.seq, pass_number=run.pass_number, type=type, path=path, data=text)])
    return run.seq


def signal(run: Run) -> None:
    """Tells the run's engine that what it depends on has changed; wakes a parked run. The run's row must be locked."""
    run.signals += 1
    Run.objects.filter(id=run.id).update(signals=run.signals)
    requeue(run)


def requeue(run: Run) -> bool:
    """Puts a parked run that nobody drives back into the queue; False where it is not parked, or paused. The run's row must be
    locked."""
    if run.status not in PARKED_STATES or run.owner is not None or run.paused:
        return False
    run.status, run.reason, run.wake_at = "queued", "", None
    Run.objects.filter(id=run.id).update(status=run.status, reason=run.reason, wake_at=None)
    return True


def announce(run: Run) -> None:
    """Once this transaction has committed: wakes the engine and the pages that show the run. Both are hints."""
    run_id, seq = run.id, run.seq

    def announce_now() -> None:
        ring(run_id)
        doorbell(run_id, seq)

    transaction.on_commit(announce_now)
