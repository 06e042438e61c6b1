"""The types of the API: money is text in plain decimal notation, times are RFC 3339, identifiers carry their prefix."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import Field, PlainSerializer

from flows.access.masking import mask_of
from flows.costs.reports import Spend
from flows.engine.masking import NO_MASK, Mask
from flows.engine.states import TERMINAL_STATES
from flows.models import Call, Event, Flow, FlowVersion, Intervention, Request, Run, RunPass
from flows.models.identifiers import shown
from flows.runs.reads import Step, StepAttempt, is_unpriced


def money_text(amount: Decimal) -> str:
    """An amount in plain decimal notation, without zeros that say nothing: ``0.0421``, never ``4.21E-2``."""
    text = format(amount, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def time_text(moment: datetime) -> str:
    """A time by RFC 3339 in UTC: ``2025-07-15T07:14:00.123456Z``."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


Money = Annotated[Decimal, PlainSerializer(money_text, return_type=str)]
Time = Annotated[datetime, PlainSerializer(time_text, return_type=str)]
RunState = Literal[
    "queued", "running", "waiting_approval", "waiting", "retrying", "succeeded", "failed", "cancelled", "budget_stopped"
]
StepState = RunState | Literal["skipped"]


class FlowSummary(Schema):
    slug: str
    name: str
    description: str
    team: str | None = Field(description="slug of the team that it belongs to; null: everybody's")
    revision: int = Field(description="of the draft; rises with every change")
    version: int | None = Field(description="number of the published version")
    changed_at: Time


class FlowDetail(FlowSummary):
    document: str = Field(description="the draft, or the version that was asked for, in canonical YAML")
    hash: str | None = Field(description="of the version that was asked for")


class FlowPage(Schema):
    items: list[FlowSummary]
    next: str | None


class SettingsIn(Schema, extra="forbid"):
    """What is left out stays as it is."""

    owner: str | None = None
    team: str | None = None
    tags: list[str] = []
    ceiling: dict[str, Any] = {}
    needs_second: bool = False
    max_running: int | None = None
    keeps_slot: bool = False
    priority: int = 0


class FlowSettings(Schema):
    owner: str | None = Field(description="username")
    team: str | None = Field(description="slug; null: everybody's")
    tags: list[str]
    ceiling: dict[str, Any] = Field(description="cost, tokens, steps, duration that no run may pass")
    needs_second: bool
    max_running: int | None = Field(description="runs of it that may be running at once; null: any number")
    keeps_slot: bool = Field(description="whether a run that waits counts among them")
    priority: int = Field(description="of its runs, -10 to 10, where their start does not say")


class PublicationIn(Schema, extra="forbid"):
    revision: int | None = Field(None, description="of the draft that was looked at; another one is not published")
    note: str = Field("", max_length=2000)


class Publication(Schema):
    flow: str
    version: int
    hash: str
    created_at: Time


class PublicationAsked(Schema):
    flow: str
    request: str = Field(description="the request that somebody else must approve")


class StandingIn(Schema, extra="forbid"):
    on: bool = True


class FlowStanding(Schema):
    flow: str
    paused_at: Time | None
    archived_at: Time | None


class RunStart(Schema, extra="forbid"):
    input: Any = Field(default_factory=dict, description="a JSON value that matches the flow's input schema")
    key: str | None = Field(None, description="the same key gives the same run")
    limits: dict[str, Any] | None = Field(None, description="cost, tokens, steps, duration, at_limit; the document's hold, too")
    tags: list[str] = []
    version: int | None = Field(None, description="number of a published version; the newest by default")
    priority: int | None = Field(None, description="-10 to 10, higher goes first; the flow's by default")
    simulate: bool = Field(False, description="every model call goes to a simulated model")


class RunStarted(Schema):
    id: str = Field(examples=["run_0198c1f27b0a7cc3b5d2f7a1c0e4d9aa"])
    url: str
    state: RunState


class RunLimits(Schema):
    cost: Money | None
    tokens: int | None
    steps: int | None
    at_limit: str
    deadline: Time | None


class Origin(Schema):
    run: str
    from_step: str | None


class RunSummary(Schema):
    id: str
    url: str
    number: int
    flow: str
    version: int | None = Field(description="null: a draft that is tested")
    purpose: str = Field(description="live, test or drill")
    state: RunState
    reason: str
    pass_number: int = Field(serialization_alias="pass")
    paused: bool = Field(description="nothing new begins until it is resumed")
    origin: Origin | None = Field(description="the run that this one repeats with something changed")
    cost: Money | None = Field(
        description="dollars known to be spent, `unpriced` calls on top; null without the right to see costs"
    )
    reserved: Money | None
    unpriced: int
    tokens: int
    limits: RunLimits
    priority: int
    error: Any = None
    key: str | None
    tags: list[str]
    source: str
    started_by: str | None
    created_at: Time
    started_at: Time | None
    ended_at: Time | None


class RunPage(Schema):
    items: list[RunSummary]
    next: str | None


class HiddenField(Schema):
    place: str = Field(description="where in the run it stands", examples=["input.card"])
    value: Any


class HiddenFields(Schema):
    items: list[HiddenField]


class PassShape(Schema):
    number: int
    verb: str = Field(description="what began it: retry, skip …")
    by: str | None
    from_step: str | None
    redone: list[str] = Field(description="paths that had succeeded and run again on purpose")
    at: Time


class InterventionShape(Schema):
    path: str
    pass_number: int = Field(serialization_alias="pass")
    kind: str = Field(description="skip, or input: fields of the step's `with` that were set")
    before: Any
    after: Any
    comment: str
    by: str | None
    created_at: Time


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


class RunDetail(RunSummary):
    input: Any
    output: Any
    passes: list[PassShape] = Field(description="those after the first")
    interventions: list[InterventionShape] = Field(description="what people decided about single steps in this pass")
    steps: list[StepShape]
    steps_complete: bool = Field(description="false where the run has more steps than one answer holds")
    waits_for: str | None = Field(description="why it is queued, or which slots its calls wait for, in words")
    ahead: int | None = Field(description="runs of its flow that go before it while it is queued; 1,000 stands for more")


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


class StateChangeShape(Schema):
    path: str = Field(description="of the step; behind a / of a sub-flow, whose own state it is")
    at: Time | None
    values: dict[str, Any]
    carried: bool = Field(description="whether it was made in an earlier pass, or by the run that this one repeats")


class RunStateShape(Schema):
    initial: dict[str, Any]
    now: dict[str, Any] = Field(description="the state of the run's own flow")
    history: list[StateChangeShape] = Field(description="the newest first, at most 500")
    complete: bool = Field(description="whether all changes are among these")


class DeliveryIn(Schema, extra="forbid"):
    event: str
    payload: Any = None
    key: str | None = Field(None, description="the same key delivers once")


class DeliveryShape(Schema):
    event: str
    payload: Any
    key: str | None
    taken_by: str = Field(description="path of the step that took it; empty while it is kept")
    created_at: Time


class RequestShape(Schema):
    id: str
    url: str
    run: str | None
    flow: str | None
    path: str
    kind: str
    round: int
    state: str
    revision: int
    title: str
    outcomes: dict[str, str] = Field(description="names and what they mean: approve, reject or changes")
    result_schema: Any = Field(None, description="of the result that is entered where a call of unknown outcome happened")
    approvers: dict[str, list[str]]
    quorum: int
    editable: list[str]
    at_deadline: str | None
    seals: str | None
    tool: str | None
    show: Any
    payload: Any
    payload_hash: str
    due: Time | None
    outcome: str | None
    answer: Any
    comment: str
    decided_by: str | None
    decided_at: Time | None
    created_at: Time


class RequestPage(Schema):
    items: list[RequestShape]
    next: str | None


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


def flow_summary(flow: Flow) -> dict[str, Any]:
    return {
        "slug": flow.slug,
        "name": flow.name,
        "description": flow.description,
        "team": flow.team.slug if flow.team is not None else None,
        "revision": flow.revision,
        "version": flow.published.number if flow.published is not None else None,
        "changed_at": flow.changed_at,
    }


def flow_detail(flow: Flow, version: FlowVersion | None) -> dict[str, Any]:
    return flow_summary(flow) | {
        "document": flow.draft if version is None else version.document,
        "hash": None if version is None else version.hash,
    }


def flow_settings(flow: Flow) -> dict[str, Any]:
    return {
        "owner": flow.owner.username if flow.owner is not None else None,
        "team": flow.team.slug if flow.team is not None else None,
        "tags": flow.tags,
        "ceiling": flow.ceiling,
        "needs_second": flow.needs_second,
        "max_running": flow.max_running,
        "keeps_slot": flow.keeps_slot,
        "priority": flow.priority,
    }


def flow_standing(flow: Flow) -> dict[str, Any]:
    return {"flow": flow.slug, "paused_at": flow.paused_at, "archived_at": flow.archived_at}


def run_summary(run: Run, root: str, costs: bool) -> dict[str, Any]:
    """`root` is the address of the API's runs; without `costs` no money is told."""
    return {
        "id": run.public_id,
        "url": f"{root}/{run.public_id}",
        "number": run.number,
        "flow": run.flow.slug,
        "version": run.version.number,
        "purpose": run.purpose,
        "state": run.status,
        "reason": run.reason,
        "pass_number": run.pass_number,
        "paused": run.paused and run.status not in TERMINAL_STATES,
        "origin": {"run": shown("run", run.origin_id), "from_step": run.origin_path or None} if run.origin_id else None,
        "cost": run.spent if costs else None,
        "reserved": run.reserved if costs else None,
        "unpriced": run.unpriced,
        "tokens": run.spent_tokens,
        "limits": {
            "cost": run.cap_cost,
            "tokens": run.cap_tokens,
            "steps": run.cap_steps,
            "at_limit": run.at_limit,
            "deadline": run.deadline,
        },
        "priority": run.priority,
        "error": mask_of(run).read(run.error) if run.error else None,
        "key": run.key,
        "tags": run.tags,
        "source": run.source,
        "started_by": run.started_by.username if run.started_by is not None else None,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
    }


def pass_shape(each: RunPass) -> dict[str, Any]:
    return {
        "number": each.number,
        "verb": each.verb,
        "by": each.by.username if each.by is not None else None,
        "from_step": each.from_path or None,
        "redone": each.redone,
        "at": each.at,
    }


def intervention_shape(each: Intervention, mask: Mask) -> dict[str, Any]:
    return {
        "path": each.path,
        "pass_number": each.pass_number,
        "kind": each.kind,
        "before": mask.read(each.before),
        "after": mask.read(each.after),
        "comment": each.comment,
        "by": each.by.username if each.by is not None else None,
        "created_at": each.created_at,
    }


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
        "response": mask.read(call.response),
    }


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


def request_shape(request: Request, root: str) -> dict[str, Any]:
    """`root` is the address of the API's approvals. The request's run and flow should be loaded."""
    terms = request.terms
    mask = mask_of(request.run) if request.run is not None else NO_MASK
    return {
        "id": request.public_id,
        "url": f"{root}/{request.public_id}",
        "run": shown("run", request.run_id) if request.run_id is not None else None,
        "flow": request.run.flow.slug if request.run is not None else None,
        "path": request.path,
        "kind": request.kind,
        "round": request.round,
        "state": request.state,
        "revision": request.revision,
        "title": request.title,
        "outcomes": request.outcomes,
        "result_schema": terms.get("result_schema"),
        "approvers": terms.get("approvers") or {},
        "quorum": terms.get("quorum") or 1,
        "editable": terms.get("editable") or [],
        "at_deadline": terms.get("at_deadline"),
        "seals": terms.get("seals"),
        "tool": terms.get("tool"),
        "show": mask.read(request.show),
        "payload": mask.read(request.payload),
        "payload_hash": request.payload_hash,
        "due": request.due,
        "outcome": request.outcome or None,
        "answer": mask.read(request.answer),
        "comment": request.comment,
        "decided_by": request.decided_by.username if request.decided_by is not None else None,
        "decided_at": request.decided_at,
        "created_at": request.created_at,
    }


def spend_row(spend: Spend, by: str = "") -> dict[str, Any]:
    name = spend.name
    if isinstance(name, datetime):
        name = name.isoformat() if by == "hour" else name.date().isoformat()
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
