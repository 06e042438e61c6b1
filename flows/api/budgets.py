"""Budgets over HTTP."""

from __future__ import annotations

from typing import Any, Literal

from django.http import HttpRequest
from ninja import Query, Router, Schema, Status
from pydantic import Field

from flows.access.refusals import NotFound
from flows.access.rights import Right, require, require_somewhere
from flows.api.auth import actor_of
from flows.api.problems import ProblemDocument
from flows.api.shapes import Money, Time
from flows.costs.actions.put_budget import Wanted, preview_budget
from flows.costs.budgets import Gauge, budget_named, gauges, history_of
from flows.models import BudgetPeriod
from flows.models.budgets import MEASURES
from flows.models.identifiers import shown
from flows.runs.actions.change_budget import change_budget, drop_budget
from flows.runs.actions.release_hold import release_hold
from flows.runs.limits import FlowLimits, limits_of_flows

router = Router(tags=["budgets"])


class BudgetIn(Schema, extra="forbid"):
    scope: str = Field(description="all, flow, team, person, key, tag, model, run or step")
    subject: str = Field("", description="which of them; empty for all, or for any run or step; a step is `flow/step`")
    period: str = Field(description="hour, day, week, month, or run: each single run")
    cost: Money | None = None
    tokens: int | None = None
    calls: int | None = None
    steps: int | None = Field(None, description="that a run may take; with the period run only")
    duration: int | None = Field(None, description="seconds that a run may take; with the period run only")
    at_limit: str = Field("stop", description="stop, pause, cheaper, finish or notify")
    warn: list[int] = Field([50, 80], description="percents of the limit that are noted once each")
    zone: str = Field("", description="whose days count; the installation's where it is left out")
    reason: str = Field("", description="needed to raise a limit")


class ReleaseIn(Schema, extra="forbid"):
    reason: str = Field(min_length=1, max_length=300, description="why the hold is stuck")


class BudgetShape(Schema):
    id: str
    scope: str
    subject: str
    period: str
    cost: Money | None
    tokens: int | None
    calls: int | None
    steps: int | None
    duration: int | None = Field(description="in seconds")
    at_limit: str
    warn: list[int]
    zone: str
    spent: Money
    reserved: Money = Field(description="held for calls that have not been settled")
    spent_tokens: int
    spent_calls: int
    unpriced: int
    over: Money | None = Field(description="spent beyond the limit: what providers billed beyond what was reserved")
    noted: int = Field(description="the highest share of the limit, in percent, that was passed and noted")
    projected: Money | None = Field(description="spent at the end of the period, if the rest is like what has passed")
    ends: Time | None = Field(description="null before the first call of the period, and where the period is a run")


class PeriodShape(Schema):
    begins: Time
    ends: Time | None = Field(description="null where the period is a run")
    run: str | None
    step: str = Field(description="its path, where the budget is of steps")
    spent: Money
    reserved: Money
    tokens: int
    calls: int
    unpriced: int = Field(description="calls whose cost is not known")
    noted: int = Field(description="the highest share of the limit that was noted, in percent")


class PeriodList(Schema):
    items: list[PeriodShape]


class BudgetPreview(Schema):
    runs: int | None = Field(description="of the last 30 days that it would have stopped; null without a limit of money")


class LimitsShape(Schema):
    cost: Money | None = None
    tokens: int | None = None
    steps: int | None = None
    duration: float | None = Field(None, description="in seconds")


class FlowLimitsShape(Schema):
    flow: str
    limits: LimitsShape = Field(description="of its published document")
    ceiling: LimitsShape = Field(description="that was set on it; no document, start or raise passes it without the right to")
    at_limit: str
    steps: dict[str, LimitsShape] = Field(description="limits of single steps, by their keys")


class BudgetsShape(Schema):
    items: list[BudgetShape]
    flows: list[FlowLimitsShape] = Field(description="what flows allow each run beside the budgets; of all the lowest holds")


@router.get("/budgets", response={200: BudgetsShape, 403: ProblemDocument})
def get_budgets(request: HttpRequest, status: Literal["", "at-risk"] = Query("")) -> Any:
    """All budgets as they stand in their present period, or only those at risk."""
    actor = actor_of(request)
    require_somewhere(actor, Right.SEE_COSTS)
    found = [gauge for gauge in gauges() if gauge.at_risk or not status]
    return {
        "items": [budget_shape(gauge) for gauge in found],
        "flows": [] if status else [limits_shape(each) for each in limits_of_flows(actor)],
    }


@router.put("/budgets", response={200: BudgetShape, 403: ProblemDocument, 422: ProblemDocument})
def put_one(request: HttpRequest, body: BudgetIn) -> Any:
    """Makes the budget of this scope and period, or changes it. Needs the right `budgets.manage`."""
    budget, _ = change_budget(actor_of(request), _wanted(body), body.reason)
    return next(budget_shape(gauge) for gauge in gauges() if gauge.budget.id == budget.id)


@router.post("/budgets/preview", response={200: BudgetPreview, 403: ProblemDocument, 422: ProblemDocument})
def post_budget_preview(request: HttpRequest, body: BudgetIn) -> Any:
    """How many runs of the last 30 days this budget would have stopped. Changes nothing. Needs the right `budgets.manage`."""
    return {"runs": preview_budget(actor_of(request), _wanted(body))}


@router.get("/budgets/{budget_id}/periods", response={200: PeriodList, 403: ProblemDocument, 404: ProblemDocument})
def list_budget_periods(request: HttpRequest, budget_id: str) -> Any:
    """The last twelve periods, or runs, in which anything was used, the newest first. Needs the right `budgets.manage`."""
    require(actor_of(request), Right.MANAGE_BUDGETS)
    return {"items": [period_shape(each) for each in history_of(budget_named(budget_id))]}


@router.delete("/budgets/{budget_id}", response={204: None, 403: ProblemDocument, 404: ProblemDocument, 422: ProblemDocument})
def delete_budget(
    request: HttpRequest, budget_id: str, reason: str = Query("", description="needed; it stands in the audit log")
) -> Any:
    """Ends a budget; runs that ask about it go on. Needs the right `budgets.manage`."""
    require(actor_of(request), Right.MANAGE_BUDGETS)
    drop_budget(actor_of(request), budget_named(budget_id).id, reason)
    return Status(204, None)


@router.post(
    "/budgets/holds/{hold_id}/release",
    response={204: None, 403: ProblemDocument, 404: ProblemDocument, 409: ProblemDocument, 422: ProblemDocument},
)
def post_hold_release(request: HttpRequest, hold_id: int, body: ReleaseIn) -> Any:
    """Ends a hold that nothing else ends. One whose call may still come is kept (409)."""
    require(actor_of(request), Right.MANAGE_BUDGETS)
    if not 0 < hold_id < 2**63:
        raise NotFound("hold")
    release_hold(actor_of(request), hold_id, body.reason)
    return Status(204, None)


def _wanted(body: BudgetIn) -> Wanted:
    limits = {name: getattr(body, name) for name in MEASURES}
    return Wanted(body.scope, body.subject, body.period, **limits, at_limit=body.at_limit, warn=body.warn, zone=body.zone)


def budget_shape(gauge: Gauge) -> dict[str, Any]:
    """A budget as `BudgetShape`."""
    budget = gauge.budget
    names = ("scope", "subject", "period", *MEASURES, "at_limit", "warn", "zone")
    return {name: getattr(budget, name) for name in names} | {
        "id": budget.id.hex,
        "spent": gauge.spent,
        "reserved": gauge.reserved,
        "spent_tokens": gauge.spent_tokens,
        "spent_calls": gauge.spent_calls,
        "unpriced": gauge.unpriced,
        "over": gauge.over,
        "noted": gauge.noted,
        "projected": gauge.projected,
        "ends": gauge.ends,
    }


def period_shape(period: BudgetPeriod) -> dict[str, Any]:
    """A period as `PeriodShape`."""
    return {
        "begins": period.begins,
        "ends": None if period.run_id else period.ends,
        "run": shown("run", period.run_id) if period.run_id else None,
        "step": period.path,
        "spent": period.spent,
        "reserved": period.reserved,
        "tokens": period.spent_tokens,
        "calls": period.spent_calls,
        "unpriced": period.unpriced,
        "noted": period.noted_ever,
    }


def limits_shape(found: FlowLimits) -> dict[str, Any]:
    """What a flow allows each run, as `FlowLimitsShape`."""
    return {
        "flow": found.flow.slug,
        "limits": found.own,
        "ceiling": found.ceiling,
        "at_limit": found.at_limit,
        "steps": found.steps,
    }
