"""Tests of a draft over HTTP: start one, answer what it asks, pin results."""

from __future__ import annotations

from typing import Any, Literal

from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema, Status
from pydantic import Field

from flows.access.pins import ShownPin, pins_of, shown_pin
from flows.access.rights import Right, require, require_scope
from flows.api.auth import actor_of
from flows.api.runs import REFUSALS, runs_root
from flows.api.shapes import Time
from flows.api.shapes.runs import RunStarted
from flows.runs.actions.answer_test import answer_test
from flows.runs.actions.pin_output import flow_to_test, pin_output, unpin_output
from flows.runs.actions.start_test import start_test
from flows.runs.reads import run_named

router = Router(tags=["tests"], by_alias=True)


class TestStart(Schema, extra="forbid"):
    input: Any = Field(default_factory=dict, description="a JSON value that matches the draft's input schema")
    extent: Literal["draft", "to", "only"] = Field("draft", description="all of it, up to `step`, or only `step`")
    step: str | None = Field(
        None, description="key of a step of the flow itself; `error.` and the key for one of its error handler"
    )
    revision: int | None = Field(None, description="of the draft that you mean; 409 where it has moved on")
    simulate: bool = Field(True, description="every model call goes to a simulated model")
    real_tools: list[str] = Field([], description="tools that write and are really called; all others of these are dry")
    decide: Literal["tester", "approve", "reject"] = Field("tester", description="who decides approvals, or how")
    skip_waits: bool = True
    limits: dict[str, Any] | None = None


class AnswerIn(Schema, extra="forbid"):
    path: str = Field(description="of the approval")
    outcome: str
    payload: Any = Field(None, description="null: as it was asked")


class Answered(Schema):
    path: str
    state: str
    outcome: str


class PinIn(Schema, extra="forbid"):
    output: Any = None
    port: str = "done"
    state: dict[str, Any] = Field({}, description="keys of the run's state that the step changes")


class PinShape(Schema):
    step: str
    output: Any
    port: str
    by: str | None
    at: Time


@router.post("/flows/{slug}/tests", response={202: RunStarted} | REFUSALS)
def post_test(request: HttpRequest, response: HttpResponse, slug: str, body: TestStart | None = None) -> Any:
    """Runs the draft as a test and answers at once. It counts in no figure of the flow; what it spends counts."""
    wanted = body or TestStart.model_validate({})
    run = start_test(actor_of(request), slug, wanted.input, source="api", **wanted.model_dump(exclude={"input"}))
    url = f"{runs_root(request)}/{run.public_id}"
    response["Location"] = url
    return Status(202, {"id": run.public_id, "url": url, "state": run.status})


@router.post("/runs/{run_id}/answers", response={200: Answered} | REFUSALS)
def post_answer(request: HttpRequest, run_id: str, body: AnswerIn) -> Any:
    """Decides what a test asks. Only whoever started it may, and the decision counts for that test only."""
    actor = actor_of(request)
    asked = answer_test(actor, run_named(actor, run_id), body.path, body.outcome, body.payload)
    return {"path": asked.path, "state": asked.state, "outcome": asked.outcome}


@router.get("/flows/{slug}/pins", response={200: list[PinShape], 403: REFUSALS[403], 404: REFUSALS[404]})
def list_pins(request: HttpRequest, slug: str) -> Any:
    """The results that tests of the draft use instead of carrying steps out, without what is hidden of them."""
    actor = actor_of(request)
    require_scope(actor, Right.SEE_FLOWS)
    flow = flow_to_test(actor, slug)
    require(actor, Right.SEE_RUNS, flow)
    return [pin_shape(each) for each in pins_of(flow)]


@router.put("/flows/{slug}/pins/{step}", response={200: PinShape} | REFUSALS)
def put_pin(request: HttpRequest, slug: str, step: str, body: PinIn) -> Any:
    """Pins a result. Published runs know nothing of it."""
    return pin_shape(
        shown_pin(pin_output(actor_of(request), slug, step, body.output, port=body.port, state=body.state, edited=True))
    )


@router.delete("/flows/{slug}/pins/{step}", response={204: None} | REFUSALS)
def delete_pin(request: HttpRequest, slug: str, step: str) -> Any:
    """From now on tests carry the step out again."""
    unpin_output(actor_of(request), slug, step)
    return Status(204, None)


def pin_shape(shown: ShownPin) -> dict[str, Any]:
    pin = shown.pin
    return {
        "step": pin.path,
        "output": shown.output,
        "port": pin.port,
        "by": pin.by.username if pin.by is not None else None,
        "at": pin.at,
    }
