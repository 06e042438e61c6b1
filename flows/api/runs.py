"""Runs over HTTP: start, look, cancel, deliver."""

from __future__ import annotations

from typing import Any, Literal

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Query, Router, Status

from flows.access.masking import mask_of, masks_of
from flows.access.rights import Right, require_scope
from flows.api.auth import actor_of
from flows.api.paging import MOST, newest_first, oldest_first
from flows.api.problems import ProblemDocument
from flows.api.shapes import Moment
from flows.api.shapes.runs import (
    DeliveryIn,
    DeliveryShape,
    HiddenFields,
    RunDetail,
    RunPage,
    RunStart,
    RunStarted,
    RunStateShape,
    RunSummary,
    intervention_shape,
    pass_shape,
    run_summary,
)
from flows.api.shapes.steps import CallPage, EventPage, call_detail, event_shape, step_shape
from flows.models import Run
from flows.runs.actions.cancel_run import cancel_run
from flows.runs.actions.deliver_event import deliver_event
from flows.runs.actions.reveal_fields import reveal_fields
from flows.runs.actions.start_run import start_run
from flows.runs.documents import documents_of
from flows.runs.listing import Wanted, matching
from flows.runs.queueing import standing_of
from flows.runs.reads import calls_of, events_after, interventions_of, passes_of, run_named, steps_of, value_of
from flows.runs.statehistory import state_of_run

router = Router(tags=["runs"], by_alias=True)

REFUSALS = {403: ProblemDocument, 404: ProblemDocument, 409: ProblemDocument, 422: ProblemDocument}


@router.post("/flows/{slug}/runs", response={202: RunStarted} | REFUSALS)
def post_run(request: HttpRequest, response: HttpResponse, slug: str, body: RunStart | None = None) -> Any:
    """Starts a run and answers at once; the same `key` gives the same run."""
    wanted = body or RunStart.model_validate({})
    run = start_run(
        actor_of(request),
        slug,
        wanted.input,
        key=wanted.key,
        limits=wanted.limits,
        tags=wanted.tags,
        version=wanted.version,
        priority=wanted.priority,
        simulate=wanted.simulate,
        source="api",
    )
    url = f"{runs_root(request)}/{run.public_id}"
    response["Location"] = url
    return Status(202, {"id": run.public_id, "url": url, "state": run.status})


@router.get("/runs", response={200: RunPage, 422: ProblemDocument})
def list_runs(
    request: HttpRequest,
    state: str = "",
    flow: str = "",
    tag: list[str] = Query([]),
    started: str = Query(
        "", max_length=40, description="within so long: 1h, 24h, 7d, 30d; or a range of days, as in the address of the page"
    ),
    since: Moment | None = None,
    until: Moment | None = None,
    key: str | None = None,
    source: str = "",
    by: Literal["", "me"] = "",
    q: str = Query("", max_length=200, description="a number, or a part of the flow's name, or a tag"),
    error: str = Query("", max_length=200, description="a part of what a failed run says"),
    fingerprint: str = Query("", max_length=500, description="class@step of the error"),
    after: str | None = None,
    limit: int = Query(50, ge=1, le=MOST),
) -> Any:
    """The runs that you may see and that match, newest first, narrowed as on the page of runs. `state` and `flow` take names with commas;
    a leading ! excludes."""
    actor = actor_of(request)
    require_scope(actor, Right.SEE_RUNS)
    wanted = Wanted(
        states=state,
        flows=flow,
        period=started,
        source=source,
        mine=by == "me",
        tags=tuple(tag),
        since=since,
        until=until,
        key=key,
        text=q.strip(),
        error=error.strip(),
        fingerprint=fingerprint.strip(),
    )
    found, following = newest_first(matching(actor, wanted), after, limit)
    root = runs_root(request)
    masks_of([run for run in found if run.error])
    return {"items": [run_summary(run, root, _sees_costs(request, run)) for run in found], "next": following}


@router.get("/runs/{run_id}", response={200: RunDetail, 404: ProblemDocument})
def get_run(request: HttpRequest, run_id: str, pass_number: int | None = Query(None, alias="pass", ge=1, le=30000)) -> Any:
    """A run with its steps, their attempts and calls; `pass` asks for an earlier pass."""
    run = _visible(request, run_id)
    steps = steps_of(run, pass_number)
    standing = standing_of(run)
    costs, mask = _sees_costs(request, run), mask_of(run)
    return head_of(request, run) | {
        "input": mask.read(run.input),
        "output": mask.read(run.output),
        "passes": [pass_shape(each) for each in passes_of(run)],
        "interventions": [intervention_shape(each, mask) for each in interventions_of(run, pass_number)],
        "steps": [step_shape(step, costs, mask) for step in steps.steps],
        "steps_complete": steps.complete,
        "waits_for": standing.waits_for,
        "ahead": standing.ahead,
    }


@router.get("/runs/{run_id}/events", response={200: EventPage, 404: ProblemDocument})
def list_events(
    request: HttpRequest, run_id: str, after: int = Query(0, ge=0, lt=2**31), limit: int = Query(200, ge=1, le=1000)
) -> Any:
    """The run's events after this number, in order and without gaps."""
    run = _visible(request, run_id)
    found, mask = events_after(run, after, limit + 1), mask_of(run)
    items = [event_shape(event, mask) for event in found[:limit]]
    return {"items": items, "next": str(items[-1]["seq"]) if len(found) > limit else None}


@router.get("/runs/{run_id}/state", response={200: RunStateShape, 404: ProblemDocument})
def get_state(request: HttpRequest, run_id: str, pass_number: int | None = Query(None, alias="pass", ge=1, le=30000)) -> Any:
    """What the steps of the run share, and who set what when; `pass` asks for an earlier pass."""
    run = _visible(request, run_id)
    found = state_of_run(run, pass_number or run.pass_number, documents_of([run.version_id]).get(run.version_id))
    history = [{"path": each.path, "at": each.at, "values": each.values, "carried": each.carried} for each in found.history]
    return {"initial": found.initial, "now": found.now, "history": history, "complete": not found.more}


@router.get("/runs/{run_id}/calls", response={200: CallPage, 404: ProblemDocument, 422: ProblemDocument})
def list_calls(request: HttpRequest, run_id: str, after: str | None = None, limit: int = Query(50, ge=1, le=MOST)) -> Any:
    """The run's calls in the order in which they began, with what was sent and what came back."""
    run = _visible(request, run_id)
    found, following = oldest_first(calls_of(run), after, limit)
    costs, mask = _sees_costs(request, run), mask_of(run)
    return {"items": [call_detail(call, costs, mask) for call in found], "next": following}


@router.post("/runs/{run_id}/cancellation", response={202: RunSummary} | REFUSALS)
def post_cancellation(request: HttpRequest, run_id: str) -> Any:
    """Cancels the run. One that is being driven stops within seconds; no new call begins meanwhile."""
    actor = actor_of(request)
    run = run_named(actor, run_id)
    return Status(202, head_of(request, cancel_run(actor, run)))


@router.post("/runs/{run_id}/reveal", response={200: HiddenFields, 403: ProblemDocument, 404: ProblemDocument})
def post_reveal(request: HttpRequest, run_id: str) -> Any:
    """The fields that are hidden everywhere else. Needs the right `payloads.reveal`; that you looked is in the audit log."""
    actor = actor_of(request)
    return {"items": [{"place": place, "value": value} for place, value in reveal_fields(actor, run_named(actor, run_id))]}


@router.post("/runs/{run_id}/deliveries", response={202: DeliveryShape} | REFUSALS)
def post_delivery(request: HttpRequest, run_id: str, body: DeliveryIn) -> Any:
    """Delivers a named event. One that comes before the run waits for it is kept."""
    actor = actor_of(request)
    delivery = deliver_event(actor, run_named(actor, run_id), body.event, body.payload, body.key)
    shape = {
        "event": delivery.event,
        "payload": value_of(delivery.payload),
        "key": delivery.key,
        "taken_by": delivery.taken_by,
        "created_at": delivery.created_at,
    }
    return Status(202, shape)


def runs_root(request: HttpRequest) -> str:
    """The address of the API's runs."""
    return request.build_absolute_uri(reverse("api:list_runs"))


def head_of(request: HttpRequest, run: Run) -> dict[str, Any]:
    """The run's head, with its money where the actor may see costs."""
    return run_summary(run, runs_root(request), _sees_costs(request, run))


def _sees_costs(request: HttpRequest, run: Run) -> bool:
    return actor_of(request).may(Right.SEE_COSTS, run.flow.team_id)


def _visible(request: HttpRequest, run_id: str) -> Run:
    actor = actor_of(request)
    require_scope(actor, Right.SEE_RUNS)
    return run_named(actor, run_id)
