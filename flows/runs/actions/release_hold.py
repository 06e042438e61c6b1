"""Ending a hold of a budget that nothing else ends."""

from __future__ import annotations

from django.db import connection, transaction
from django.db.models import F

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Conflict, Fault, Invalid, NotFound
from flows.access.rights import Right, require
from flows.costs.budgets import stuck_holds
from flows.execution.budgets import END_HOLDS
from flows.models import BudgetHold, Run


class StillHeld(Conflict):
    """The call is in flight or may still begin. Its hold ends with it."""

    slug = "still-held"


def release_hold(actor: Actor, hold_id: int, reason: str) -> BudgetHold:
    """Ends everything that is held for the call of this hold: what was settled is counted, what was never written is given back. A
    run that could still write the call is taken up anew first, so that no limit can be passed. Gives the hold as it was. Raises
    `Forbidden`, `NotFound`, `StillHeld`, and `Invalid` without a reason."""
    require(actor, Right.MANAGE_BUDGETS)
    if not reason.strip():
        raise Invalid("Nothing was released.", problems=[Fault("reason", "is needed", "Say why the hold is stuck.")])
    with transaction.atomic(), connection.cursor() as cursor:
        hold = BudgetHold.objects.select_related("period__budget").filter(id=hold_id).first()
        if hold is None:
            raise NotFound("hold")
        run = Run.objects.select_for_update(of=("self",), no_key=True).get(id=hold.run_id)
        if hold.id not in {each.hold.id for each in stuck_holds()}:
            raise StillHeld
        if run.status == "running" and run.epoch == hold.epoch:
            Run.objects.filter(id=run.id).update(epoch=F("epoch") + 1)
        for statement in END_HOLDS:
            cursor.execute(statement, ([hold.call_id],))
        data = {"id": hold.period.budget_id.hex, "run": run.public_id, "held": f"{hold.reserved:f}", "reason": reason.strip()}
        record_change(actor, "budget.release", "budget", hold.period.budget.name, data)
    return hold
