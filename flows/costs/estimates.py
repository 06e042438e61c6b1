"""What steps of a flow will probably cost: the median of the times before."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from statistics import median
from typing import Any

from django.contrib.postgres.aggregates import BoolOr
from django.db.models import Count, F, Func, Q, QuerySet, Sum, TextField, Value

from flows.access.actor import Actor
from flows.access.querysets import runs_for
from flows.access.rights import Right
from flows.models import Call, Flow, Run

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
    paths = paths_of_steps(keys)
    if not paths or not actor.may(Right.SEE_COSTS, flow.team_id):
        return None
    calls = Call.objects.filter(run_id__in=list(_last_runs(actor, flow)), kind="model", simulated=simulated)
    return estimate_from(spent_at(calls, paths))


def paths_of_steps(keys: Iterable[str], before: str = "") -> str:
    """A regular expression of the paths of these steps and of all that is inside them; empty without steps. `before` is one of what
    stands before their keys."""
    names = "|".join(re.escape(key) for key in list(keys)[:MOST_STEPS])
    return rf"^{before}(?:{names})(?:\[|[./]|$)" if names else ""


def spent_before(actor: Actor, flow: Flow, paths: str, one: str = "") -> QuerySet[Call, Any]:
    """`spent_at` of the last runs of the flow that have ended and that the actor may see."""
    return spent_at(Call.objects.filter(run_id__in=_last_runs(actor, flow)), paths, one)


def spent_at(calls: QuerySet[Call], paths: str, one: str = "") -> QuerySet[Call, Any]:
    """Of those of the calls whose paths match the one expression, the sums of each run, newest first, and of each part of it (an item
    of a map, a round of a loop) whose beginning matches the other: ``cost``, ``unpriced``, ``simulated``."""
    part = Func(F("path"), Value(one), function="substring", output_field=TextField()) if one else Value("")
    found = calls.filter(path__regex=paths).annotate(part=part).order_by("-run_id", "part").values("run_id", "part")
    sums: QuerySet[Call, Any] = found.annotate(
        cost=Sum("settled"), unpriced=Count("id", filter=Q(settled__isnull=True)), simulated=BoolOr("simulated")
    )
    return sums


def estimate_from(sums: Iterable[Mapping[str, Any]]) -> Estimate | None:
    """The median of such sums, of those that were simulated or of those that were not, as the newest is; None without any."""
    rows = list(sums)
    alike = [row for row in rows if row["simulated"] == rows[0]["simulated"]]
    if not alike:
        return None
    cost = Decimal(median(Decimal(row["cost"] or 0) for row in alike))
    return Estimate(cost, len(alike), any(row["unpriced"] for row in alike), alike[0]["simulated"])


def _last_runs(actor: Actor, flow: Flow) -> QuerySet[Run, Any]:
    return runs_for(actor).filter(flow=flow, ended_at__isnull=False).order_by("-id").values_list("id", flat=True)[:LOOKED_AT]
