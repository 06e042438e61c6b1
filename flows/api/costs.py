"""Costs over HTTP."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from flows.access.actor import Actor
from flows.access.refusals import Fault, Invalid
from flows.access.rights import Right, require, require_scope, require_somewhere
from flows.api.auth import actor_of
from flows.api.problems import ProblemDocument
from flows.api.shapes import Moment, Money, Time
from flows.api.shapes.costs import CostReport, spend_row
from flows.builder.reads import flow_named, version_of
from flows.costs.reports import GROUPS, OVERLAPPING, PURPOSES, Scope, calls_within
from flows.costs.tables import table_of
from flows.costs.whatif import METHOD, would_have_cost
from flows.engine.document import parse_document
from flows.models.identifiers import UnknownIdentifier, parsed
from flows.routing.expecting import expected_cost

router = Router(tags=["costs"])


class ExpectedCost(Schema):
    p50: Money | None = Field(None, description="half of the runs cost at most this; null before any has succeeded")
    p90: Money | None = None
    runs: int = Field(0, description="on how many runs this stands")
    unpriced: bool = Field(False, description="a price is missing, so the figures are lower bounds")
    simulated: bool = False
    unseen: list[str] = Field([], description="steps that ask models and did not in any of these runs; they come on top")
    method: str = Field(description="how the figures were found, in words")


class WouldHaveRow(Schema):
    model: str
    calls: int
    left_out: int = Field(description="calls without known tokens: in neither figure")
    cost: Money
    instead: Money | None = Field(description="with the other model; null where its price lacks a figure")
    difference: Money | None


class WhatIf(Schema):
    other: str = Field(alias="as")
    since: Time | None = Field(alias="from")
    until: Time | None = Field(alias="to")
    method: str
    items: list[WouldHaveRow]


class CostFilter(Schema):
    """What of all calls is meant. Lists take several values: repeated, or with commas."""

    purpose: str = Field("all", description=f"one of {', '.join(PURPOSES)}")
    flow: list[str] = []
    version: list[str] = Field([], description="numbers of versions, of the flows that are meant")
    model: list[str] = []
    tool: list[str] = []
    provider: list[str] = []
    route: list[str] = []
    team: list[str] = []
    person: list[str] = []
    key: list[str] = Field([], description="labels of API keys")
    source: list[str] = []
    tag: list[str] = []
    step: list[str] = []
    run: str = Field("", description="identifier of a run")
    unpriced: bool = Field(False, description="only calls whose cost is not known")

    def scope(self, since: datetime | None, until: datetime | None) -> Scope:
        """Raises `Invalid` naming each filter that cannot be."""
        faults = [] if self.purpose in PURPOSES else [Fault("purpose", f"is none of {', '.join(PURPOSES)}")]
        versions = _several(self.version)
        faults += [Fault("version", f"{each[:40]!r} is no number") for each in versions if not re.fullmatch("[0-9]{1,9}", each)]
        run = None
        try:
            run = parsed("run", self.run) if self.run else None
        except UnknownIdentifier:
            faults.append(Fault("run", "is no identifier of a run"))
        if faults:
            raise Invalid("Costs cannot be narrowed down so.", problems=faults)
        return Scope(
            since,
            until,
            self.purpose,
            flows=_several(self.flow),
            versions=[int(each) for each in versions],
            models=_several(self.model),
            tools=_several(self.tool),
            providers=_several(self.provider),
            routes=_several(self.route),
            teams=_several(self.team),
            people=_several(self.person),
            keys=_several(self.key),
            sources=_several(self.source),
            tags=_several(self.tag),
            steps=_several(self.step),
            run=run,
            unpriced=self.unpriced,
        )


def _several(values: list[str]) -> list[str]:
    return [text.strip()[:200] for text in ",".join(values).split(",") if text.strip() and "\x00" not in text][:50]


@router.get("/costs", response={200: CostReport, 403: ProblemDocument, 422: ProblemDocument})
def get_costs(
    request: HttpRequest,
    since: Moment | None = Query(None, alias="from"),
    until: Moment | None = Query(None, alias="to"),
    by: str = "flow",
    wanted: CostFilter = Query(...),
) -> Any:
    """What was spent in calls that began in [from, to), grouped by flow, version, model, tool, provider, route, team, hour, day, month,
    person, key, run, step, source, purpose, or tag, where a call counts in each tag of its run."""
    return cost_report(actor_of(request), wanted, since, until, by)


def cost_report(actor: Actor, wanted: CostFilter, since: datetime | None, until: datetime | None, by: str) -> dict[str, Any]:
    """The report as `CostReport`. Raises `Forbidden`, and `Invalid` naming what cannot be."""
    require_somewhere(actor, Right.SEE_COSTS)
    if by not in GROUPS and by not in OVERLAPPING:
        mend = f"Choose of: {', '.join([*GROUPS, *OVERLAPPING])}."
        raise Invalid("Costs cannot be grouped so.", problems=[Fault("by", f"{by[:40]!r} is unknown", mend)])
    total, rows = table_of(actor, wanted.scope(since, until), by)
    return {"by": by, "since": since, "until": until, "total": spend_row(total), "items": [spend_row(row) for row in rows]}


@router.get("/flows/{slug}/expected-cost", response={200: ExpectedCost, 403: ProblemDocument, 404: ProblemDocument})
def get_expected_cost(request: HttpRequest, slug: str, version: int | None = None, simulate: bool = False) -> Any:
    """What a run of the published version, or of the one of this number, will probably cost, and how that was found."""
    actor = actor_of(request)
    require_scope(actor, Right.SEE_COSTS)
    flow = flow_named(actor, slug)
    require(actor, Right.SEE_COSTS, flow)
    chosen = version_of(flow, version) if version is not None else flow.published
    document = parse_document(chosen.document if chosen is not None else flow.draft)
    found = expected_cost(actor, flow, document, simulate=simulate)
    if found is None:
        return {"method": "No run has succeeded yet, so nothing is expected."}
    figures = {name: getattr(found, name) for name in ("runs", "unpriced", "simulated", "unseen", "method")}
    return {"p50": found.cost, "p90": found.high} | figures


@router.get("/costs/what-if", response={200: WhatIf, 403: ProblemDocument, 422: ProblemDocument})
def get_what_if(
    request: HttpRequest,
    other: str = Query("", alias="as"),  # missing is refused by name, after the right
    since: Moment | None = Query(None, alias="from"),
    until: Moment | None = Query(None, alias="to"),
    flow: str = "",
    model: str = "",
) -> Any:
    """What the real model calls that began in [from, to) would have cost with the model `as`, by the model that was called. Changes
    nothing."""
    actor = actor_of(request)
    require_somewhere(actor, Right.SEE_COSTS)
    flows, models = ((value,) if value else () for value in (flow, model))
    rows = would_have_cost(calls_within(actor, Scope(since, until, "real", flows=flows, models=models)), other)
    return {"as": other, "from": since, "to": until, "method": METHOD, "items": rows}
