"""Cancelling a run."""

from __future__ import annotations

from django.db import transaction
from django.db.models.functions import Now

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Conflict
from flows.access.rights import Right, require
from flows.engine.states import TERMINAL_STATES
from flows.execution.moves import announce, append_event, lock_run, signal
from flows.execution.requests import withdraw
from flows.models import Run


class RunEnded(Conflict):
    """The run has ended."""

    slug = "run-ended"

    def __init__(self, run: Run, mend: str = "") -> None:
        self.state = run.status
        super().__init__(f"The run has ended: {run.status}. {mend}".rstrip())

    def facts(self) -> dict[str, str]:
        return {"state": self.state}


def cancel_run(actor: Actor, run: Run) -> Run:
    """Stops a run: at once where nobody drives it, else its engine stops it within seconds and no new call begins meanwhile.

    Cancelling a cancelled run, or one that is being cancelled, changes nothing. Raises `NotFound`, `Forbidden`, and `RunEnded`
    where it ended in another way. Gives the run as it is afterwards.
    """
    require(actor, Right.CONTROL_RUNS, run)
    with transaction.atomic():
        run = lock_run(run.id)
        if run.status == "cancelled" or (run.cancel_requested and run.status not in TERMINAL_STATES):
            return run
        if run.status in TERMINAL_STATES:
            raise RunEnded(run)
        if run.owner is None and not run.open_calls:
            _end_now(run, actor)
        else:
            run.cancel_requested = True
            Run.objects.filter(id=run.id).update(cancel_requested=True)
            signal(run)
            append_event(run, "run.cancel_requested", data={"by": actor.name, "door": actor.door})
        record_change(actor, "run.cancel", "run", run.public_id, {"state": run.status})
        announce(run)
    return run


def _end_now(run: Run, actor: Actor) -> None:
    withdraw(run)
    run.status, run.reason, run.wake_at, run.cancel_requested = "cancelled", "cancelled_by", None, True
    Run.objects.filter(id=run.id).update(
        status=run.status, reason=run.reason, wake_at=None, cancel_requested=True, signals=run.signals + 1, ended_at=Now()
    )
    append_event(run, "run.ended", data={"status": run.status, "reason": run.reason, "by": actor.name, "door": actor.door})
    run.refresh_from_db(fields=["signals", "ended_at"])
