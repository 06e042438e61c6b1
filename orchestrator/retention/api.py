"""Retention over HTTP."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema, Status
from pydantic import Field

from flows.access.refusals import Fault, Invalid
from flows.access.rights import Right, require
from flows.api.auth import actor_of
from flows.api.problems import ProblemDocument
from flows.api.shapes import Time
from flows.models import Flow, RetentionRule
from orchestrator.retention.change_retention import change_retention, drop_rule
from orchestrator.retention.rules import LONGEST, preview, rules

router = Router(tags=["retention"])
Days = Field(None, ge=1, le=LONGEST, description="days after a run's end; null: for ever")


class RetentionIn(Schema, extra="forbid"):
    flow: str | None = Field(None, description="slug; null: all flows without a rule of their own")
    payload_days: int | None = Days
    event_days: int | None = Days
    reason: str = Field("", max_length=300)


class RetentionShape(Schema):
    flow: str | None
    payload_days: int | None
    event_days: int | None
    changed_by: str | None
    changed_at: Time


class RetentionList(Schema):
    items: list[RetentionShape]


class PreviewShape(Schema):
    runs: int = Field(description="whose payloads would be removed now")
    calls: int = Field(description="of models and tools, whose requests and answers would be")
    events: int
    requests: int = Field(description="of those runs, with what was asked and said")
    deliveries: int = Field(description="to webhooks, whose bodies would be removed")
    notices: int = Field(description="messages that were sent")
    next_at: Time | None = Field(description="when the oldest run that would be kept follows")


@router.get("/retention", response={200: RetentionList, 403: ProblemDocument})
def list_retention(request: HttpRequest) -> Any:
    """The rules, the installation's first. Needs the right `settings.manage`."""
    require(actor_of(request), Right.MANAGE_SETTINGS)
    return {"items": [rule_shape(rule) for rule in rules()]}


@router.put("/retention", response={200: RetentionShape, 403: ProblemDocument, 422: ProblemDocument})
def put_retention(request: HttpRequest, body: RetentionIn) -> Any:
    """Sets the rule of a flow, or of the installation. What is older goes within minutes and does not come back."""
    require(actor_of(request), Right.MANAGE_SETTINGS)
    return rule_shape(change_retention(actor_of(request), flow_ruled(body.flow), body.payload_days, body.event_days, body.reason))


@router.delete("/retention/flows/{slug}", response={204: None, 403: ProblemDocument, 422: ProblemDocument})
def delete_retention(request: HttpRequest, slug: str) -> Any:
    """The flow follows the installation's rule again."""
    require(actor_of(request), Right.MANAGE_SETTINGS)
    flow = flow_ruled(slug)
    assert flow is not None, "it was named"
    drop_rule(actor_of(request), flow)
    return Status(204, None)


@router.post("/retention/preview", response={200: PreviewShape, 403: ProblemDocument, 422: ProblemDocument})
def post_retention_preview(request: HttpRequest, body: RetentionIn) -> Any:
    """What these days would remove now. Changes nothing."""
    require(actor_of(request), Right.MANAGE_SETTINGS)
    return preview(flow_ruled(body.flow), body.payload_days, body.event_days)


def flow_ruled(slug: str | None) -> Flow | None:
    """The flow that a rule is of; None: the installation's. Raises `Invalid`."""
    if slug is None:
        return None
    found = Flow.objects.filter(slug=slug[:80].replace("\x00", "")).first()
    if found is None:
        raise Invalid("Nothing was changed.", problems=[Fault("flow", "is no flow", "Name one by its slug, or leave it out.")])
    return found


def rule_shape(rule: RetentionRule) -> dict[str, Any]:
    """A rule as `RetentionShape`."""
    return {
        "flow": rule.flow.slug if rule.flow is not None else None,
        "payload_days": rule.payload_days,
        "event_days": rule.event_days,
        "changed_by": rule.changed_by.username if rule.changed_by is not None else None,
        "changed_at": rule.changed_at,
    }
