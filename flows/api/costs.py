"""Costs over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Query, Router

from flows.access.refusals import Fault, Forbidden, Invalid
from flows.access.rights import Right, require_scope
from flows.api.auth import actor_of
from flows.api.problems import ProblemDocument
from flows.api.shapes import CostReport, spend_row
from flows.costs.reports import GROUPS, spend_by, spend_total

router = Router(tags=["costs"])


@router.get("/costs", response={200: CostReport, 403: ProblemDocument, 422: ProblemDocument})
def get_costs(
    request: HttpRequest,
    since: datetime | None = Query(None, alias="from"),  # noqa: B008
    until: datetime | None = Query(None, alias="to"),  # noqa: B008
    by: str = "flow",
) -> Any:
    """What was spent in calls that began in [from, to), grouped by flow, version, model, tool, day, month, person, key, run, step,
    source or purpose."""
    actor = actor_of(request)
    require_scope(actor, Right.SEE_COSTS)
    holdings = actor.holdings
    if Right.SEE_COSTS not in holdings.everywhere and not holdings.teams(Right.SEE_COSTS):
        raise Forbidden(Right.SEE_COSTS)
    if by not in GROUPS:
        mend = f"Choose of: {', '.join(GROUPS)}."
        raise Invalid("Costs cannot be grouped so.", problems=[Fault("by", f"{by[:40]!r} is unknown", mend)])
    total = spend_total(actor, since, until)
    rows = spend_by(actor, by, since, until)
    return {"by": by, "since": since, "until": until, "total": spend_row(total), "items": [spend_row(row) for row in rows]}
