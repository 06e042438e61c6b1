"""What steps of a flow will probably cost when they are tested: the median of the times before."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from statistics import median

from django.db.models import Count, Q, Sum

from flows.access.actor import Actor
from flows.access.querysets import runs_for
from flows.access.rights import Right
from flows.models import Call, Flow

LOOKED_AT = 20  # runs
MOST_STEPS = 500


@dataclass(frozen=True, slots=True)
class Estimate:
    """`cost` is the median in dollars of the last `runs`; `unpriced`: some of them cost more than is known."""

    cost: Decimal
    runs: int
    unpriced: bool
    simulated: bool


def estimate_of_steps(actor: Actor, flow: Flow, keys: Iterable[str], *, simulated: bool) -> Estimate | None:
    """What the model calls of these steps of the flow itself, with all that is inside them, cost in a run or test: the median of the
    last ones that made some, with simulated models or with real ones. None where none did, or where costs may not be seen."""
    names = "|".join(re.escape(key) for key in list(keys)[:MOST_STEPS])
    if not names or not actor.may(Right.SEE_COSTS, flow.team_id):
        return None
    runs = list(
        runs_for(actor).filter(flow=flow, ended_at__isnull=False).order_by("-id").values_list("id", flat=True)[:LOOKED_AT]
    )
    calls = Call.objects.filter(run_id__in=runs, kind="model", simulated=simulated, path__regex=rf"^({names})(\[|[./]|$)")
    sums = list(
        calls.order_by().values("run_id").annotate(cost=Sum("settled"), unpriced=Count("id", filter=Q(settled__isnull=True)))
    )
    if not sums:
        return None
    cost = Decimal(median(row["cost"] or Decimal(0) for row in sums))
    return Estimate(cost, len(sums), any(row["unpriced"] for row in sums), simulated)
