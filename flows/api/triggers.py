"""Triggers over HTTP: schedules and webhooks, what fired, and firing by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Query, Router, Schema, Status
from pydantic import Field

from flows.access.rights import Right, require_scope
from flows.api.auth import actor_of
from flows.api.problems import ProblemDocument
from flows.api.shapes import Time
from flows.models import Firing, Run, Trigger
from flows.triggers.actions.fire_by_hand import fire_now, replay_delivery
from flows.triggers.actions.pause_trigger import pause_trigger
from flows.triggers.actions.remove_trigger import remove_trigger
from flows.triggers.actions.rotate_secret import rotate_secret
from flows.triggers.actions.save_trigger import change_trigger, create_trigger
from flows.triggers.actions.use_as_sample import use_as_sample
from flows.triggers.clock import database_now
from flows.triggers.reads import (
    firing_named,
    firings_of,
    schedule_of,
    trigger_named,
    triggers_listed,
    why_inactive,
)

router = Router(tags=["triggers"])

REFUSALS = {403: ProblemDocument, 404: ProblemDocument, 409: ProblemDocument, 422: ProblemDocument}
SETTINGS = (
    "of a schedule cron, zone, overlap (skip, queue, allow), catch_up (none, last, all), input; of a webhook mapping (a template over "
    "body and delivery), sample, per_minute"
)


class TriggerIn(Schema, extra="forbid"):
    flow: str = Field(max_length=80)
    kind: Literal["schedule", "webhook"]
    name: str
    settings: dict[str, Any] = Field({}, description=SETTINGS)


class TriggerChange(Schema, extra="forbid"):
    name: str | None = None
    settings: dict[str, Any] = Field({}, description=SETTINGS)


class TriggerStanding(Schema, extra="forbid"):
    on: bool = Field(True, description="false: it goes on")


class TriggerShape(Schema):
    id: str
    flow: str
    kind: str
    name: str
    settings: dict[str, Any] = Field(description=SETTINGS)
    owner: str = Field(description="in whose name it starts runs")
    inactive: str = Field(description="why it starts nothing now; empty where it does")
    next: list[Time] = Field(description="of an active schedule the next five fire times")
    url: str | None = Field(description="where to deliver to a webhook")
    secret: str | None = Field(None, description="of a webhook, in the answer that made it")


class TriggerList(Schema):
    items: list[TriggerShape]


class FiringShape(Schema):
    id: str
    at: Time
    due_at: Time | None
    outcome: str = Field(description="started, queued, skipped, missed or refused")
    reason: str
    run: str | None
    replay_of: str | None


class FiringList(Schema):
    items: list[FiringShape]


class FiredRun(Schema):
    id: str
    url: str
    state: str


class Secret(Schema):
    secret: str = Field(description="shown this once; the former one works for a day longer")


@router.get("/triggers", response={200: TriggerList})
def list_triggers(request: HttpRequest, flow: str = Query(""), kind: str = Query("")) -> Any:
    """The triggers of the flows that you may see, by name; at most 500."""
    actor = actor_of(request)
    require_scope(actor, Right.SEE_FLOWS)
    return {"items": [_answer(request, trigger) for trigger in triggers_listed(actor, kind, flow)]}


@router.post("/triggers", response={201: TriggerShape} | REFUSALS)
def post_trigger(request: HttpRequest, body: TriggerIn) -> Any:
    """Makes a trigger that starts runs in your name. Of a webhook the answer has its secret, this once."""
    trigger, secret = create_trigger(actor_of(request), body.flow, body.kind, body.name, body.settings)
    return Status(201, _answer(request, trigger) | {"secret": secret or None})


@router.get("/triggers/{trigger_id}", response={200: TriggerShape, 404: ProblemDocument})
def get_trigger(request: HttpRequest, trigger_id: str) -> Any:
    """One trigger."""
    return _answer(request, _seen(request, trigger_id))


@router.patch("/triggers/{trigger_id}", response={200: TriggerShape} | REFUSALS)
def patch_trigger(request: HttpRequest, trigger_id: str, body: TriggerChange) -> Any:
    """Sets what the body names; from now on it starts runs in your name."""
    trigger = change_trigger(actor_of(request), trigger_named(actor_of(request), trigger_id), body.settings, body.name)
    return _answer(request, trigger)


@router.delete("/triggers/{trigger_id}", response={204: None, 403: ProblemDocument, 404: ProblemDocument})
def delete_trigger(request: HttpRequest, trigger_id: str) -> Any:
    """Removes a trigger and the list of its firings; its runs stay."""
    remove_trigger(actor_of(request), trigger_named(actor_of(request), trigger_id))
    return Status(204, None)


@router.post("/triggers/{trigger_id}/pause", response={200: TriggerShape, 403: ProblemDocument, 404: ProblemDocument})
def post_trigger_pause(request: HttpRequest, trigger_id: str, body: TriggerStanding | None = None) -> Any:
    """A paused trigger starts nothing; with `on` false it goes on."""
    trigger = trigger_named(actor_of(request), trigger_id)
    pause_trigger(actor_of(request), trigger, paused=body is None or body.on)
    return _answer(request, trigger_named(actor_of(request), trigger_id))


@router.post(
    "/triggers/{trigger_id}/secret", response={200: Secret, 403: ProblemDocument, 404: ProblemDocument, 409: ProblemDocument}
)
def post_trigger_secret(request: HttpRequest, trigger_id: str) -> Any:
    """Gives a webhook a new secret."""
    return {"secret": rotate_secret(actor_of(request), trigger_named(actor_of(request), trigger_id))}


@router.get("/triggers/{trigger_id}/firings", response={200: FiringList, 404: ProblemDocument})
def list_firings(request: HttpRequest, trigger_id: str) -> Any:
    """What fired, the newest first; the last 50 are kept."""
    return {"items": [firing_shape(firing) for firing in firings_of(_seen(request, trigger_id))]}


@router.post("/triggers/{trigger_id}/firings", response={202: FiredRun} | REFUSALS)
def post_firing(request: HttpRequest, response: HttpResponse, trigger_id: str) -> Any:
    """Fires it now: a run with the schedule's input or the webhook's sample."""
    actor = actor_of(request)
    return _started(request, response, fire_now(actor, trigger_named(actor, trigger_id)))


@router.post("/triggers/{trigger_id}/firings/{firing_id}/replay", response={202: FiredRun} | REFUSALS)
def post_replay(request: HttpRequest, response: HttpResponse, trigger_id: str, firing_id: str) -> Any:
    """A new run with what was delivered then."""
    actor = actor_of(request)
    trigger = trigger_named(actor, trigger_id)
    return _started(request, response, replay_delivery(actor, trigger, firing_named(trigger, firing_id)))


@router.post("/triggers/{trigger_id}/firings/{firing_id}/sample", response={200: TriggerShape} | REFUSALS)
def post_sample(request: HttpRequest, trigger_id: str, firing_id: str) -> Any:
    """Makes what was delivered then the webhook's sample."""
    actor = actor_of(request)
    trigger = trigger_named(actor, trigger_id)
    return _answer(request, use_as_sample(actor, trigger, firing_named(trigger, firing_id)))


def _seen(request: HttpRequest, trigger_id: str) -> Trigger:
    trigger = trigger_named(actor_of(request), trigger_id)
    require_scope(actor_of(request), Right.SEE_FLOWS)
    return trigger


def _answer(request: HttpRequest, trigger: Trigger) -> dict[str, Any]:
    return trigger_shape(trigger, request.build_absolute_uri)


def trigger_shape(trigger: Trigger, address: Callable[[str], str]) -> dict[str, Any]:
    """A trigger as `TriggerShape`; `address` makes a path of this installation one that others reach."""
    inactive = why_inactive(trigger)
    waits = trigger.kind == "schedule" and not inactive
    return {
        "id": trigger.public_id,
        "flow": trigger.flow.slug,
        "kind": trigger.kind,
        "name": trigger.name,
        "settings": trigger.settings,
        "owner": trigger.owner.username,
        "inactive": inactive,
        "next": [each.at for each in schedule_of(trigger).upcoming(database_now())] if waits else [],
        "url": address(reverse("hook", args=[trigger.public_id])) if trigger.kind == "webhook" else None,
    }


def firing_shape(firing: Firing) -> dict[str, Any]:
    """A firing as `FiringShape`."""
    return {
        "id": firing.public_id,
        "at": firing.at,
        "due_at": firing.due_at,
        "outcome": firing.outcome,
        "reason": firing.reason,
        "run": firing.run.public_id if firing.run is not None else None,
        "replay_of": firing.replay_of.public_id if firing.replay_of is not None else None,
    }


def _started(request: HttpRequest, response: HttpResponse, run: Run) -> Any:
    address = request.build_absolute_uri(reverse("api:get_run", kwargs={"run_id": run.public_id}))
    response["Location"] = address
    return Status(202, {"id": run.public_id, "url": address, "state": run.status})
