"""Pinned views of costs, and what a run costs, over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from django.http import HttpRequest, QueryDict
from ninja import Query, Router, Schema, Status
from pydantic import Field

from flows.access.actor import Actor
from flows.access.refusals import Fault, Invalid, NotFound
from flows.access.rights import Right, require_scope, require_somewhere
from flows.api.auth import actor_of
from flows.api.problems import ProblemDocument
from flows.api.shapes import Money, Time
from flows.costs.perrun import per_run
from flows.costs.reports import Scope
from flows.costs.sums import standing
from flows.runs.actions.keep_view import drop_view, keep_view, views_of
from flows.runs.spending.wanted import FIRST_DAY, LAST_DAY, wanted_by

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
    since: datetime | None = Query(None, alias="from"),  # noqa: B008
    until: datetime | None = Query(None, alias="to"),  # noqa: B008
    flow: str = "",
) -> Any:
    """What a run costs, of the real calls that began in [from, to)."""
    actor = _reader(request)
    scope = Scope(_moment("from", since), _moment("to", until), "real", flows=(flow,) if flow else ())
    return per_run(actor, scope, standing())


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


def _moment(name: str, given: datetime | None) -> datetime | None:
    """In UTC, since the database knows fewer offsets than people write. Raises `Invalid` for a year of no ledger."""
    if given is None:
        return None
    if not FIRST_DAY.year <= given.year < LAST_DAY.year:
        fault = Fault(name, "is no moment of a ledger", "Write one like 2030-01-31T00:00:00Z.")
        raise Invalid("These costs cannot be shown.", problems=[fault])
    return given.astimezone(UTC) if given.tzinfo is not None else given.replace(tzinfo=UTC)


def _reader(request: HttpRequest) -> Actor:
    actor = actor_of(request)
    require_somewhere(actor, Right.SEE_COSTS)
    return actor
