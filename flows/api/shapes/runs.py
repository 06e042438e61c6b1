"""What the API takes and gives of runs."""

from __future__ import annotations

from typing import Any

from ninja import Schema
from pydantic import Field

from flows.access.masking import mask_of
from flows.api.shapes import Money, Time
from flows.api.shapes.steps import RunState, StepShape
from flows.engine.masking import Mask
from flows.engine.states import TERMINAL_STATES
from flows.models import Intervention, Run, RunPass
from flows.models.identifiers import shown


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


class RunDetail(RunSummary):
    input: Any
    output: Any
    passes: list[PassShape] = Field(description="those after the first")
    interventions: list[InterventionShape] = Field(description="what people decided about single steps in this pass")
    steps: list[StepShape]
    steps_complete: bool = Field(description="false where the run has more steps than one answer holds")
    waits_for: str | None = Field(description="why it is queued, or which slots its calls wait for, in words")
    ahead: int | None = Field(description="runs of its flow that go before it while it is queued; 1,000 stands for more")


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
