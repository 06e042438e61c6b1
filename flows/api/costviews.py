"""Pinned views of costs, and what a run costs, over HTTP."""

from __future__ import annotations

from typing import Any, Literal

from django.http import HttpRequest, QueryDict
from ninja import Query, Router, Schema, Status
from pydantic import Field

from flows.access.actor import Actor
from flows.access.refusals import NotFound
from flows.access.rights import Right, require_scope, require_somewhere
from flows.api.auth import actor_of
from flows.api.problems import ProblemDocument
from flows.api.shapes import Moment, Money, Time
from flows.costs.perrun import per_run
from flows.costs.reports import Scope
from flows.costs.sums import standing
from flows.runs.actions.keep_view import drop_view, keep_view, views_of
from flows.runs.spending.wanted import wanted_by

router = Router(tags=["costs"])

REFUSED = {403: ProblemDocument, 422: ProblemDocument}


class CostView(Schema):
    name: str
    query: str = Field(description="the choices, as in the address of the page")
    every: str = Field(description="how often it is mailed to you: day, week, month, or empty")
    zone: str = Field(description="the time zone whose days, weeks or months those are")
    next_at: Time | None = Field(description="when it is mailed next")


class CostViewChoices(Schema):
    query: str = Field("", max_length=2000)
    every: Literal["", "day", "week", "month"] = ""


class CostViewList(Schema):
    items: list[CostView]
    next: None = None


class PerRunCosts(Schema):
    runs: int = Field(description="that made calls in this time")
    succeeded: int
    median: Money | None = Field(description="what the middle one cost; of an even number the cheaper of both")
    each: Money | None = Field(description="all that was spent, by runs")
    each_success: Money | None = Field(description="all that was spent, by the runs that succeeded")
    unpriced: int = Field(description="calls without a price, which come on top")


@router.get("/costs/per-run", response={200: PerRunCosts} | REFUSED)
def get_costs_per_run(
    request: HttpRequest,
    since: Moment | None = Query(None, alias="from"),
    until: Moment | None = Query(None, alias="to"),
    flow: str = "",
) -> Any:
    """What a run costs, of the real calls that began in [from, to)."""
    actor = _reader(request)
    return per_run(actor, Scope(since, until, "real", flows=(flow,) if flow else ()), standing())


@router.get("/costs/views", response={200: CostViewList, 403: ProblemDocument})
def list_cost_views(request: HttpRequest) -> Any:
    """One's own pinned views of costs."""
    return {"items": views_of(_reader(request), "costs")}


@router.put("/costs/views/{view}", response={200: CostView} | REFUSED)
def put_cost_view(request: HttpRequest, view: str, body: CostViewChoices) -> Any:
    """Pins a view for oneself, or replaces it. With `every` what it comes to is mailed after each such period of the installation's
    time zone."""
    actor = _reader(request)
    wanted_by(QueryDict(body.query))
    return keep_view(actor, "costs", view, body.query, body.every)


@router.delete("/costs/views/{view}", response={204: None, 403: ProblemDocument, 404: ProblemDocument})
def delete_cost_view(request: HttpRequest, view: str) -> Any:
    """Unpins it; nothing of it is mailed any more."""
    actor = actor_of(request)
    require_scope(actor, Right.SEE_COSTS)
    found = next((each for each in views_of(actor, "costs") if each.name == view), None)
    if found is None:
        raise NotFound("view")
    drop_view(actor, "costs", found.id.hex)
    return Status(204, None)


def _reader(request: HttpRequest) -> Actor:
    actor = actor_of(request)
    require_somewhere(actor, Right.SEE_COSTS)
    return actor
