"""Budgets over HTTP."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from flows.access.rights import Right, require_somewhere
from flows.api.auth import actor_of
from flows.api.problems import ProblemDocument
from flows.api.shapes import Money, Time
from flows.costs.actions.put_budget import Wanted
from flows.costs.budgets import Gauge, gauges
from flows.runs.actions.change_budget import change_budget

router = Router(tags=["budgets"])


class BudgetIn(Schema, extra="forbid"):
    scope: str = Field(description="all, flow, team, person, key, tag or model")
    subject: str = Field("", description="which of them; empty for all")
    period: str = Field(description="hour, day, week or month")
    cost: Money | None = None
    tokens: int | None = None
    calls: int | None = None
    at_limit: str = Field("stop", description="stop, pause, cheaper, finish or notify")
    warn: list[int] = Field([50, 80], description="percents of the limit that are noted once each")
    zone: str = Field("", description="whose days count; the installation's where it is left out")
    reason: str = Field("", description="needed to raise a limit")


class BudgetShape(Schema):
    id: str
    scope: str
    subject: str
    period: str
    cost: Money | None
    tokens: int | None
    calls: int | None
    at_limit: str
    warn: list[int]
    zone: str
    spent: Money
    reserved: Money = Field(description="held for calls that have not been settled")
    spent_tokens: int
    spent_calls: int
    unpriced: int
    ends: Time | None = Field(description="null before the first call of the period")


class BudgetsShape(Schema):
    items: list[BudgetShape]


@router.get("/budgets", response={200: BudgetsShape, 403: ProblemDocument})
def get_budgets(request: HttpRequest) -> Any:
    """All budgets as they stand in their present period."""
    actor = actor_of(request)
    require_somewhere(actor, Right.SEE_COSTS)
    return {"items": [_shape(gauge) for gauge in gauges()]}


@router.put("/budgets", response={200: BudgetShape, 403: ProblemDocument, 422: ProblemDocument})
def put_one(request: HttpRequest, body: BudgetIn) -> Any:
    """Makes the budget of this scope and period, or changes it. Needs the right `budgets.manage`."""
    limits = (body.cost, body.tokens, body.calls)
    wanted = Wanted(body.scope, body.subject, body.period, *limits, body.at_limit, body.warn, body.zone)
    budget, _ = change_budget(actor_of(request), wanted, body.reason)
    return next(_shape(gauge) for gauge in gauges() if gauge.budget.id == budget.id)


def _shape(gauge: Gauge) -> dict[str, Any]:
    budget = gauge.budget
    names = ("scope", "subject", "period", "cost", "tokens", "calls", "at_limit", "warn", "zone")
    return {name: getattr(budget, name) for name in names} | {
        "id": budget.id.hex,
        "spent": gauge.spent,
        "reserved": gauge.reserved,
        "spent_tokens": gauge.spent_tokens,
        "spent_calls": gauge.spent_calls,
        "unpriced": gauge.unpriced,
        "ends": gauge.ends,
    }
