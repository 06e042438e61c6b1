"""What the API gives of a run's steps, their attempts, their calls and the events of the log."""

from __future__ import annotations

from typing import Any, Literal

from ninja import Schema
from pydantic import Field

from flows.api.shapes import Money, Time
from flows.engine.masking import Mask
from flows.models import Call, Event
from flows.models.identifiers import shown
from flows.runs.reads import Step, StepAttempt, is_unpriced

RunState = Literal[
    "queued", "running", "waiting_approval", "waiting", "retrying", "succeeded", "failed", "cancelled", "budget_stopped"
]
StepState = RunState | Literal["skipped"]


class CallSummary(Schema):
    id: str
    path: str
    pass_number: int = Field(serialization_alias="pass")
    attempt: int
    n: int
    state: str = Field(description="started, succeeded, failed_retryable, failed_final or unknown")
    kind: str
    target: str = Field(description="the model's or tool's name in the catalogue")
    reason: str
    route: str = Field(description="the route by which the target was chosen; empty where there was none")
    route_version: int | None
    cached: bool = Field(description="answered as an equal call was: nothing was sent, and it costs 0")
    cost: Money | None = Field(description="dollars; null while it runs and where the price is not known")
    unpriced: bool
    reserved: Money | None
    usage_source: str = Field(description="provider, estimated or none")
    simulated: bool
    input_tokens: int | None
    cached_input_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    error: dict[str, str] | None
    started_at: Time
    ended_at: Time | None


class CallDetail(CallSummary):
    idempotency_key: str
    request: Any
    response: Any


class CallPage(Schema):
    items: list[CallDetail]
    next: str | None


class AttemptShape(Schema):
    n: int
    status: str
    port: str
    error: Any
    started_at: Time | None
    ended_at: Time | None
    next_at: Time | None
    calls: list[CallSummary]


class StepShape(Schema):
    path: str
    kind: str
    state: StepState
    output: Any
    cost: Money | None
    tokens: int
    unpriced: int
    attempts: list[AttemptShape]


class EventShape(Schema):
    seq: int
    type: str
    path: str
    pass_number: int = Field(serialization_alias="pass")
    at: Time
    data: Any


class EventPage(Schema):
    items: list[EventShape]
    next: str | None = Field(description="send it as `after`; null where there is no more yet")


def call_summary(call: Call, costs: bool, mask: Mask) -> dict[str, Any]:
    return {
        "id": shown("call", call.id),
        "path": call.path,
        "pass_number": call.pass_number,
        "attempt": call.attempt,
        "n": call.n,
        "state": call.status,
        "kind": call.kind,
        "target": call.target,
        "reason": call.reason,
        "route": call.route,
        "route_version": call.route_version,
        "cached": call.cached,
        "cost": call.settled if costs else None,
        "unpriced": is_unpriced(call),
        "reserved": call.reserved if costs else None,
        "usage_source": call.usage_source,
        "simulated": call.simulated,
        "input_tokens": call.input_tokens,
        "cached_input_tokens": call.cached_input_tokens,
        "output_tokens": call.output_tokens,
        "reasoning_tokens": call.reasoning_tokens,
        "error": {"class": call.error_class, "message": mask.text(call.error_message)} if call.error_class else None,
        "started_at": call.started_at,
        "ended_at": call.ended_at,
    }


def call_detail(call: Call, costs: bool, mask: Mask) -> dict[str, Any]:
    return call_summary(call, costs, mask) | {
        "idempotency_key": str(call.idempotency_key),
        "request": mask.read(call.request),
        "response": response_of(call, costs, mask),
    }


def response_of(call: Call, costs: bool, mask: Mask) -> Any:
    """What came back. The usage as a model's provider sent it, which may tell a price, is for those who may see costs."""
    response = mask.read(call.response)
    if call.kind == "model" and not costs and isinstance(response, dict):
        response.pop("usage", None)
    return response


def attempt_shape(attempt: StepAttempt, costs: bool, mask: Mask) -> dict[str, Any]:
    return {
        "n": attempt.n,
        "status": attempt.status,
        "port": attempt.port,
        "error": attempt.error,
        "started_at": attempt.started_at,
        "ended_at": attempt.ended_at,
        "next_at": attempt.next_at,
        "calls": [call_summary(call, costs, mask) for call in attempt.calls],
    }


def step_shape(step: Step, costs: bool, mask: Mask) -> dict[str, Any]:
    return {
        "path": step.path,
        "kind": step.kind,
        "state": step.state,
        "output": step.output,
        "cost": step.cost if costs else None,
        "tokens": step.tokens,
        "unpriced": step.unpriced,
        "attempts": [attempt_shape(attempt, costs, mask) for attempt in step.attempts],
    }


def event_shape(event: Event, mask: Mask) -> dict[str, Any]:
    return {
        "seq": event.seq,
        "type": event.type,
        "path": event.path,
        "pass_number": event.pass_number,
        "at": event.at,
        "data": mask.read(event.data),
    }
