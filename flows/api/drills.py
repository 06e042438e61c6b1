"""Fire drills over HTTP: start one, read what handled each fault."""

from __future__ import annotations

from typing import Any, Literal

from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema, Status
from pydantic import Field

from flows.access.rights import Right, require, require_scope
from flows.api.auth import actor_of
from flows.api.runs import REFUSALS
from flows.api.shapes import Money, Time
from flows.runs.actions.pin_output import flow_to_test
from flows.runs.actions.start_drill import start_drill
from flows.runs.drills.reading import DrillReport, drill_report
from flows.runs.drills.reads import drill_named

router = Router(tags=["drills"])


class DrillStart(Schema, extra="forbid"):
    input: Any = Field(
        None, description="a JSON value that matches the flow's input schema; that of the newest run where left out"
    )
    draft: bool = Field(False, description="the draft instead of the published version")


class HandledBy(Schema):
    path: str = Field(description="of the step; empty: the run")
    how: str = Field(
        description="retry, fallback, repair, recovery, question, error path, error handler, deadline, escalation, parked or nothing"
    )
    text: str


class FaultShape(Schema):
    fault: Literal["outage", "rate_limit", "bad_json", "dead_worker", "slow_person"]
    verdict: Literal["going", "handled", "unhandled", "untouched"]
    run: str
    lines: list[HandledBy]
    untouched: str = Field(description="why the fault met no step; empty where it met one")


class DrillShape(Schema):
    id: str
    flow: str
    version: int | None = Field(description="null: the draft")
    going: bool
    summary: str
    cost: Money = Field(description="real money")
    created_at: Time
    faults: list[FaultShape]


@router.post("/flows/{slug}/drills", response={202: DrillShape} | REFUSALS)
def post_drill(request: HttpRequest, response: HttpResponse, slug: str, body: DrillStart | None = None) -> Any:
    """Rehearses an outage, a rate limit, bad output, a dead worker and a slow person, at no cost; answers at once."""
    wanted = body or DrillStart.model_validate({})
    drill = start_drill(actor_of(request), slug, wanted.input, draft=wanted.draft, source="api")
    response["Location"] = f"{request.path.rstrip('/')}/{drill.public_id}"
    return Status(202, _shape(drill_report(drill)))


@router.get("/flows/{slug}/drills/{drill_id}", response={200: DrillShape, 403: REFUSALS[403], 404: REFUSALS[404]})
def get_drill(request: HttpRequest, slug: str, drill_id: str) -> Any:
    """What handled each fault, as far as the drill has come."""
    actor = actor_of(request)
    require_scope(actor, Right.SEE_FLOWS)
    flow = flow_to_test(actor, slug)
    require(actor, Right.SEE_RUNS, flow)
    return _shape(drill_report(drill_named(flow, drill_id)))


def _shape(report: DrillReport) -> dict[str, Any]:
    drill = report.drill
    return {
        "id": drill.public_id,
        "flow": drill.flow.slug,
        "version": drill.version.number,
        "going": report.going,
        "summary": report.in_words,
        "cost": report.real,
        "created_at": drill.created_at,
        "faults": [
            {
                "fault": each.fault,
                "verdict": each.verdict,
                "run": each.run.public_id,
                "lines": [{"path": line.path, "how": line.how, "text": line.text} for line in each.lines],
                "untouched": each.untouched if each.verdict == "untouched" else "",
            }
            for each in report.chapters
        ],
    }
