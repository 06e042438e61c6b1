"""The steps of an agent's tool calls: asking people for leave, and the call itself."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from flows.engine.canonical import sha256_of
from flows.engine.durations import Duration
from flows.engine.failures import SealBroken
from flows.engine.kinds import Done, Role, Settings
from flows.execution.context import Answer, Ask, Enter, StepContext, Waiting, WorkKind
from flows.steps.calling import call_tool
from flows.steps.people import Approvers
from flows.steps.services import Occasion, StepServices


class CallSettings(Settings):
    """`within` are seconds, `permission` is the step by which people, or where it is `ruled` a policy, agreed to exactly this call."""

    tool: str
    arguments: dict[str, Any]
    within: float | None = None
    permission: str = ""
    ruled: bool = False


class CallKind(WorkKind):
    slug = "call"
    label = "Tool call of an agent"
    role = Role.EFFECT
    Settings = CallSettings

    async def perform(self, context: StepContext) -> Done | Enter:
        """Makes the call. Raises `SealBroken` where it is not the one that people agreed to."""
        settings: CallSettings = context.settings
        if settings.permission and not _agreed(context, settings):
            raise SealBroken(f"What {context.path} would send is not what was approved.")
        return await call_tool(context, settings.tool, settings.arguments, settings.within)


def _agreed(context: StepContext, settings: CallSettings) -> bool:
    decided = context.decided_hash(settings.permission)
    if decided is None and settings.ruled:
        passed = context.names["steps"][settings.permission]["output"]
        return bool(passed.get("unasked")) and sha256_of(passed["payload"]) == sha256_of(settings.arguments)
    if decided is None:
        return context.handling.decide in {"approve", "tester"}  # a test decides by itself, or asks who tests
    return decided == sha256_of(settings.arguments)


class PermissionSettings(Settings):
    """The call that people are asked about, why they are, and what the model said when it asked for it. `ruled`: the tool's policy may
    let it pass without asking anybody."""

    agent: str
    tool: str
    arguments: dict[str, Any]
    why: str
    text: str
    ruled: bool = False
    approvers: Approvers = Field(default_factory=Approvers)
    quorum: int = 1
    due: Duration | None = None


AGREED = {"outcome": "approve", "comment": "", "by": None}


class PermissionKind(WorkKind):
    slug = "permission"
    label = "Leave for a tool call"
    role = Role.WAIT
    Settings = PermissionSettings

    def ports(self, settings: PermissionSettings) -> frozenset[str]:
        return frozenset({"approve", "reject"})

    async def perform(self, context: StepContext) -> Waiting | Done:
        settings: PermissionSettings = context.settings
        services: StepServices = context.services
        spec = services.tools.spec(settings.tool)
        outcomes = {"approve": "approve", "reject": "reject"}
        terms: dict[str, Any] = {
            "outcomes": outcomes,
            "order": list(outcomes),
            "approvers": settings.approvers.model_dump(),
            "quorum": settings.quorum,
            "editable": [],
            "at_deadline": "reject" if settings.due is not None else None,
            "policy": None,
            "tool": spec.slug,
            "arguments_schema": dict(spec.arguments),
        }
        decide = context.handling.decide
        if decide in {"approve", "reject"}:
            return Done({"outcome": decide, "payload": settings.arguments, "comment": "Decided by the test.", "by": None}, decide)
        flow = str(context.names["run"]["flow"])
        occasion = Occasion(spec.policy or None, spec.slug, flow, settings.arguments, outcomes)
        ruling = await services.ruling_on(occasion)
        if ruling is not None and not ruling.asks and settings.ruled:
            return Done({**AGREED, "payload": settings.arguments, "unasked": ruling.policy}, "approve")
        due = settings.due.seconds if settings.due is not None else None
        if ruling is not None and ruling.asks:
            terms |= ruling.terms
            due = ruling.due if ruling.due is not None else due
        kind = "test" if decide == "tester" else "approval"
        shown = {"why": settings.why, "said": settings.text} if settings.text else {"why": settings.why}
        title = f"{settings.agent} wants to call {settings.tool}"
        return Waiting(Ask(kind, title, settings.arguments, terms, shown, due))

    def on_answer(self, settings: PermissionSettings, answer: Answer) -> Done:
        outcome = "approve" if answer.state == "approved" else "reject"
        return Done({"outcome": answer.outcome, "payload": answer.payload, "comment": answer.comment, "by": answer.by}, outcome)
