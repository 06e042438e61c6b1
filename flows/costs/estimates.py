"""What a run of a flow will probably cost: the median of those before it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from statistics import median

from flows.access.actor import Actor
from flows.access.querysets import runs_for
from flows.access.rights import Right
from flows.models import Call, Flow

LOOKED_AT = 20  # runs


@dataclass(frozen=True, slots=True)
class Estimate:
    """`cost` is the median in dollars of the last `runs` that succeeded; `unpriced`: some of them cost more than is known."""

    cost: Decimal
    runs: int
    unpriced: bool
    simulated: bool


def estimate_for(actor: Actor, flow: Flow) -> Estimate | None:
    """None where nothing has run yet, or where the actor may not see costs: two queries."""
    if not actor.may(Right.SEE_COSTS, flow.team_id):
        return None
    done = runs_for(actor).filter(flow=flow, purpose="live", status="succeeded").order_by("-id")
    runs = list(done.values_list("id", "spent", "unpriced")[:LOOKED_AT])
    if not runs:
        return None
    simulated = Call.objects.filter(run_id__in=[run[0] for run in runs], simulated=True).exists()
    return Estimate(Decimal(median(spent for _, spent, _ in runs)), len(runs), any(each for *_, each in runs), simulated)
