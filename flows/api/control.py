"""The verbs on a run over HTTP: pause, resume, retry, raise limits, skip, edit an input, and one verb for many runs."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any, Literal

from django.http import HttpRequest
from ninja import Query, Router, Schema, Status
from pydantic import Field

from flows.access.masking import mask_of
from flows.access.refusals import Fault, Invalid
from flows.access.rights import Right, require, require_scope
from flows.api.auth import actor_of
from flows.api.runs import REFUSALS, head_of
from flows.api.shapes import Moment, Money
from flows.api.shapes.runs import InterventionShape, RunSummary, intervention_shape
from flows.models import Run
from flows.runs.actions.control_many import MOST, Line, control_many, preview_many
from flows.runs.actions.edit_input import edit_input
from flows.runs.actions.pause_run import pause_run, resume_run
from flows.runs.actions.raise_limits import raise_limits
from flows.runs.actions.repeat_run import SAME, is_other_version, repeat_run
from flows.runs.actions.retry_run import retry_run
from flows.runs.actions.skip_step import skip_step
from flows.runs.previews import RetryPreview, preview_retry
from flows.runs.reads import run_named, runs_listed, runs_named

router = Router(tags=["runs"], by_alias=True)


class RetryIn(Schema, extra="forbid"):
    """Without anything changed the run gets another pass; with an input, version or route it is a new run, linked to this one."""

    from_step: str | None = Field(None, description="path of a step that has run; without it from where the run failed")
    input: Any = None
    version: int | Literal["live"] | None = None
    route: str | None = Field(None, description="a route or model for `from_step`")
    pass_number: int | None = Field(
        None, alias="pass", description="the pass that you looked at; 409 where there is another by now"
    )


class StepAgainShape(Schema):
    path: str
    calls: int
    cost: Money | None
    unpriced: int
    wrote: list[str] = Field(description="writing tools that it has used: what they did happens again, with another key")


class RetryPreviewShape(Schema):
    makes: str = Field(description="pass or run")
    version: int | None
    live: bool = Field(description="whether it is the version that is published now")
    from_step: str | None
    reused: list[str]
    reused_count: int
    again: list[StepAgainShape]
    again_count: int
    wrote: list[str] = Field(description="steps that have changed the world and will do so again")
    cost: Money | None = Field(description="what the steps that run again cost before")
    unpriced: int


class SkipIn(Schema, extra="forbid"):
    output: Any = None
    port: str = "done"
    comment: str = ""


class StepInputIn(Schema, extra="forbid"):
    input: dict[str, Any] = Field(description="fields of the step's `with`, each as a whole, as the step is to see it")


class LimitsIn(Schema, extra="forbid"):
    cost: str | float | int | None = Field(None, description="dollars, as text or a number")
    tokens: int | None = None
    steps: int | None = None
    duration: str | None = Field(None, description="since the pass began, such as `2d`")
    reason: str = Field("", description="kept in the audit log")


class RunFilter(Schema, extra="forbid"):
    state: str | None = None
    flow: str | None = None
    tag: list[str] = []
    since: Moment | None = None
    until: Moment | None = None
    source: str | None = None


class BulkIn(Schema, extra="forbid"):
    verb: str = Field(description="retry, cancel, pause, resume or repeat")
    runs: list[str] | None = Field(None, description="identifiers; either these or `filter`")
    filter: RunFilter | None = None
    preview: bool = Field(False, description="say what would happen, and change nothing")


class BulkLine(Schema):
    run: str
    state: str
    eligible: bool
    problem: str | None = Field(description="name of the refusal")
    detail: str | None


class BulkShape(Schema):
    items: list[BulkLine]
    eligible: int
    preview: bool


@router.post("/runs/{run_id}/pause", response={202: RunSummary} | REFUSALS)
def post_pause(request: HttpRequest, run_id: str) -> Any:
    """Lets nothing new of the run begin. What is in flight finishes and is recorded; then the run rests."""
    actor = actor_of(request)
    run = run_named(actor, run_id)
    return Status(202, head_of(request, pause_run(actor, run)))


@router.post("/runs/{run_id}/resumption", response={202: RunSummary} | REFUSALS)
def post_resumption(request: HttpRequest, run_id: str) -> Any:
    """Lets a paused run go on. A run that has ended is retried instead."""
    actor = actor_of(request)
    run = run_named(actor, run_id)
    return Status(202, head_of(request, resume_run(actor, run)))


@router.post("/runs/{run_id}/limits", response={202: RunSummary} | REFUSALS)
def post_limits(request: HttpRequest, run_id: str, body: LimitsIn) -> Any:
    """Raises limits. A run that asks at its limit goes on; one that a limit has stopped goes on in a new pass."""
    actor = actor_of(request)
    run = run_named(actor, run_id)
    raised = raise_limits(actor, run, body.model_dump(exclude={"reason"}), reason=body.reason)
    return Status(202, head_of(request, raised))


@router.get("/runs/{run_id}/retry", response={200: RetryPreviewShape} | REFUSALS)
def get_retry(
    request: HttpRequest,
    run_id: str,
    from_step: str | None = None,
    version: int | Literal["live"] | None = None,
    changed: bool = Query(False, description="as if the input or a route were another"),
) -> Any:
    """What a retry would reuse and do again, what of it has changed the world, and about what it will cost."""
    actor = actor_of(request)
    return preview_shape(preview_retry(actor, run_named(actor, run_id), from_step, version=version, changed=changed))


@router.post("/runs/{run_id}/retry", response={202: RunSummary} | REFUSALS)
def post_retry(request: HttpRequest, run_id: str, body: RetryIn | None = None) -> Any:
    """Gives the run another pass, or, with something changed, starts a new run that is linked to it. Answers with the run that goes
    on: look at its `id`, `pass` and `origin`."""
    actor = actor_of(request)
    run = run_named(actor, run_id)
    wanted = body or RetryIn.model_validate({})
    if "input" in wanted.model_fields_set or wanted.route is not None or is_other_version(run, wanted.version):
        given = wanted.input if "input" in wanted.model_fields_set else SAME
        found = repeat_run(actor, run, input=given, version=wanted.version, from_step=wanted.from_step, route=wanted.route)
    else:
        found = retry_run(actor, run, wanted.from_step, seen_pass=wanted.pass_number)
    return Status(202, head_of(request, found))


@router.post("/runs/{run_id}/steps/{path:path}/skip", response={202: RunSummary} | REFUSALS)
def post_skip(request: HttpRequest, run_id: str, path: str, body: SkipIn | None = None) -> Any:
    """Goes past a step, as if it had given this output and left by this port. An approval is decided instead."""
    actor = actor_of(request)
    wanted = body or SkipIn.model_validate({})
    run = run_named(actor, run_id)
    skipped = skip_step(actor, run, path, output=wanted.output, port=wanted.port, comment=wanted.comment)
    return Status(202, head_of(request, skipped))


@router.post("/runs/{run_id}/steps/{path:path}/input", response={202: InterventionShape} | REFUSALS)
def post_step_input(request: HttpRequest, run_id: str, path: str, body: StepInputIn) -> Any:
    """Sets fields of a step's input before it begins or is tried again."""
    actor = actor_of(request)
    run = run_named(actor, run_id)
    return Status(202, intervention_shape(edit_input(actor, run, path, body.input), mask_of(run)))


@router.post("/runs/bulk", response={200: BulkShape} | REFUSALS)
def post_bulk(request: HttpRequest, body: BulkIn) -> Any:
    """Does one verb to many runs, each by itself, or says what it would do. A filter takes the newest that match."""
    actor = actor_of(request)
    require(actor, Right.CONTROL_RUNS)
    runs = _chosen(request, body)
    lines = preview_many(actor, body.verb, runs) if body.preview else control_many(actor, body.verb, runs)
    return bulk_shape(lines, body.preview)


def _chosen(request: HttpRequest, body: BulkIn) -> list[Run]:
    actor = actor_of(request)
    require_scope(actor, Right.SEE_RUNS)
    if (body.runs is None) == (body.filter is None):
        raise Invalid("Which runs?", problems=[Fault("runs", "is missing, or given beside `filter`", "Give one of the two.")])
    if body.runs is not None:
        return runs_named(actor, body.runs[: MOST + 1])
    wanted = (body.filter or RunFilter.model_validate({})).model_dump()
    return list(runs_listed(actor, tags=wanted.pop("tag"), **wanted)[:MOST])


def preview_shape(preview: RetryPreview) -> dict[str, Any]:
    costs = preview.cost is not None
    steps = [asdict(step) | {"wrote": sorted(step.wrote), "cost": step.cost if costs else None} for step in preview.again]
    return {field.name: getattr(preview, field.name) for field in fields(preview)} | {"again": steps}


def bulk_shape(lines: list[Line], preview: bool) -> dict[str, Any]:
    items = [
        {
            "run": line.run.public_id,
            "state": line.run.status,
            "eligible": line.refusal is None,
            "problem": line.refusal.slug if line.refusal is not None else None,
            "detail": line.refusal.message if line.refusal is not None else None,
        }
        for line in lines
    ]
    return {"items": items, "eligible": sum(line.refusal is None for line in lines), "preview": preview}
