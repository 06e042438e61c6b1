"""What the API gives of spend."""

from __future__ import annotations

from datetime import date
from typing import Any

from ninja import Schema
from pydantic import Field

from flows.api.shapes import Money, Time
from flows.costs.reports import Spend


class SpendRow(Schema):
    name: str | None = Field(description="what this row sums: a flow's slug, a model's name, a day …")
    cost: Money = Field(description="known dollars; simulated money and unpriced calls are not in it")
    simulated: Money
    calls: int
    unpriced: int = Field(description="calls whose cost nobody knows")
    in_flight: int
    input_tokens: int
    output_tokens: int


class CostReport(Schema):
    by: str
    since: Time | None
    until: Time | None
    total: SpendRow
    items: list[SpendRow]
    next: str | None = None


def spend_row(spend: Spend) -> dict[str, Any]:
    name = spend.name.isoformat() if isinstance(spend.name, date) else spend.name
    return {
        "name": None if name is None else str(name),
        "cost": spend.cost,
        "simulated": spend.simulated,
        "calls": spend.calls,
        "unpriced": spend.unpriced,
        "in_flight": spend.in_flight,
        "input_tokens": spend.input_tokens,
        "output_tokens": spend.output_tokens,
    }
