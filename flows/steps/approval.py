"""Asks people to decide, and binds their decision to what they were shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from flows.engine.durations import Duration
from flows.engine.kinds import Done, Fault, Role, Settings, Surroundings
from flows.engine.markers import Refers, TemplateText, TemplateValue
from flows.engine.masking import Mask, has_marks, hidden_in
from flows.engine.problems import did_you_mean, listed
from flows.execution.context import Answer, Ask, StepContext, Waiting, WorkKind
from flows.steps.people import Approvers
from flows.steps.services import Occasion, StepServices

ESCALATE = "escalate"


def _two_outcomes() -> dict[str, Literal["approve", "reject", "changes"]]:
    return {"approve": "approve", "reject": "reject"}


class ApprovalSettings(Settings):
    """`seals` names the tool step whose rendered arguments are decided on; `payload` is decided on instead where there is none.

    `outcomes` say what each outcome means; their names are the ports. `at_deadline` is one that means reject, or `escalate`.
    `policy` names the rule of the installation that says who decides, and how; it stands above `approvers`, `quorum`, `due` and
    `at_deadline`, and can lock fields of `editable`.
    """

    title: TemplateText = Field(
        min_length=1, max_length=500, title="What is asked", description="The line that approvers see in their inbox."
    )
    show: TemplateValue = None
    seals: Annotated[str, Refers("tool step")] | None = None
    payload: TemplateValue = None
    editable: list[str] = Field(default_factory=list)
    outcomes: dict[str, Literal["approve", "reject", "changes"]] = Field(
        default_factory=_two_outcomes, min_length=1, max_length=20
    )
    approvers: Approvers = Field(default_factory=Approvers)
    quorum: int = Field(default=1, ge=1, le=100, strict=True)
    policy: Annotated[str, Refers("policy")] | None = None
    due: Duration | None = None
    at_deadline: str | None = None


class ApprovalKind(WorkKind):
    slug = "approval"
    label = "Ask for approval"
    group = "Human"
    icon = "approvals"
    begins_with = {"title": "", "outcomes": {"approve": "approve", "reject": "reject"}, "approvers": {}}
    ports_from = {"keys": "with.outcomes", "or": ["approve", "reject"]}
    form = ("title", "seals", "show", "approvers", "outcomes")
    role = Role.WAIT
    Settings = ApprovalSettings

    def ports(self, settings: ApprovalSettings) -> frozenset[str]:
        return frozenset(settings.outcomes)

    def output_schema(self, settings: ApprovalSettings) -> Mapping[str, Any]:
        return {
            "type": "object",
            "properties": {"outcome": {"type": "string"}, "payload": {}, "comment": {}, "by": {}},
        }

    def faults(self, settings: ApprovalSettings, around: Surroundings) -> Iterable[Fault]:
        if "approve" not in settings.outcomes.values():
            yield Fault(("outcomes",), "no outcome means approve", "Add one, for example `approve: approve`.")
        yield from _deadline_faults(settings)
        people = settings.approvers.people
        if not people and not settings.approvers.teams and settings.policy is None:
            yield Fault(("approvers",), "nobody is named who may decide", "Name people or teams, or a policy.", warning=True)
        elif people and not settings.approvers.teams and settings.quorum > len(set(people)):
            yield Fault(
                ("quorum",), f"{settings.quorum} votes are asked of {len(set(people))} people", "Lower it or name more people."
            )
        yield from _policy_faults(settings, around)
        yield from _seal_faults(settings, around)

    async def perform(self, context: StepContext) -> Waiting | Done:
        """Asks: the approvers, or in a test who tests; a test may also decide by itself.

        What is decided on is the payload, or what the sealed step would send as things stand now."""
        settings: ApprovalSettings = context.settings
        services: StepServices = context.services
        terms: dict[str, Any] = {
            "outcomes": dict(settings.outcomes),
            "order": list(settings.outcomes),
            "approvers": settings.approvers.model_dump(),
            "quorum": settings.quorum,
            "editable": list(settings.editable),
            "at_deadline": settings.at_deadline,
            "policy": settings.policy,
        }
        payload = context.rendered.get("payload")
        if settings.seals is not None:
            sealed = context.graph.nodes[settings.seals]
            payload = sealed.render(context.names)["arguments"]
            spec = services.tools.spec(sealed.settings.tool)  # type: ignore[attr-defined]
            terms |= {"seals": settings.seals, "tool": spec.slug, "arguments_schema": dict(spec.arguments)}
        decide = context.handling.decide
        if decide in {"approve", "reject"}:
            return self.on_answer(settings, _decided(settings, decide, payload))
        due = context.handling.due(settings.due.seconds if settings.due is not None else None)
        flow = str(context.names["run"]["flow"])
        occasion = Occasion(settings.policy, terms.get("tool"), flow, payload, settings.outcomes, settings.editable)
        ruling = await services.ruling_on(occasion)
        if ruling is not None and not ruling.asks:
            return _unasked(settings, payload, ruling.policy)
        if ruling is not None:
            terms |= ruling.terms
            due = context.handling.due(ruling.due) if ruling.due is not None else due
        kind = "test" if decide == "tester" else "approval"
        return Waiting(Ask(kind, _title(context), payload, terms, context.rendered.get("show"), due))

    def on_answer(self, settings: ApprovalSettings, answer: Answer) -> Done:
        output = {"outcome": answer.outcome, "payload": answer.payload, "comment": answer.comment, "by": answer.by}
        return Done(output, answer.outcome)


def _title(context: StepContext) -> str:
    """The title without what the schemas of the steps before mark as secret or personal: titles go into notices."""
    before = context.names.get("steps") or {}
    schemas = {key: getattr(node.settings, "output", None) for key, node in context.graph.nodes.items() if key in before}
    marked = {key: schema for key, schema in schemas.items() if has_marks(schema)}
    hidden = (each for key, schema in marked.items() for each in hidden_in(before[key].get("output"), schema))
    return Mask(hidden).text(str(context.rendered["title"]))


def _unasked(settings: ApprovalSettings, payload: Any, policy: str) -> Done:
    """Goes on where the policy says that nobody needs to be asked about this payload."""
    outcome = next(name for name, meaning in settings.outcomes.items() if meaning == "approve")
    return Done({"outcome": outcome, "payload": payload, "comment": "", "by": None, "unasked": policy}, outcome)


def _decided(settings: ApprovalSettings, meaning: str, payload: Any) -> Answer:
    """What a test decides by itself: the first outcome of this meaning, or, where there is none, the first of another."""
    names = [name for name, each in settings.outcomes.items() if each == meaning] or list(settings.outcomes)
    return Answer("approved" if meaning == "approve" else "rejected", names[0], payload, "Decided by the test.", None)


def _policy_faults(settings: ApprovalSettings, around: Surroundings) -> Iterable[Fault]:
    if settings.policy is None:
        return
    named, policies = settings.policy, around.catalogue.policies if around.catalogue else None
    if policies is None:
        yield Fault(("policy",), f"whether there is a policy `{named[:64]}` cannot be checked here", "", warning=True)
    elif named not in policies:
        mend = did_you_mean(named, policies) or "Choose another, or make it under Approvals, Policies."
        yield Fault(("policy",), f"there is no policy `{named[:64]}` in force", mend, warning=around.lenient)
    elif policies[named].problem:
        yield Fault(
            ("policy",),
            f"nobody could decide by the policy `{named}`: {policies[named].problem}",
            "Have an owner change the policy, or grant somebody the right to decide.",
            warning=around.lenient,
        )


def _deadline_faults(settings: ApprovalSettings) -> Iterable[Fault]:
    chosen = settings.at_deadline
    if chosen is None:
        return
    if settings.due is None:
        yield Fault(("at_deadline",), "there is no deadline", "Add `due`, for example `due: 4h`.")
    if chosen != ESCALATE and settings.outcomes.get(chosen) != "reject":
        rejecting = [name for name, meaning in settings.outcomes.items() if meaning == "reject"]
        yield Fault(
            ("at_deadline",),
            f"`{chosen[:60]}` is no outcome that means reject; a deadline never approves",
            f"Choose one of {listed([*rejecting, ESCALATE])}.",
        )


def _seal_faults(settings: ApprovalSettings, around: Surroundings) -> Iterable[Fault]:
    sealed = settings.seals
    if sealed is None:
        if settings.editable and not isinstance(settings.payload, dict):
            yield Fault(("editable",), "there is nothing to edit", "Name the step with `seals`, or give a `payload` with fields.")
        elif settings.editable:
            yield from _editable_faults(settings, list(settings.payload), "the payload")
        return
    if settings.payload is not None:
        yield Fault(("payload",), "an approval has `seals` or `payload`, not both", "Remove one.")
    tools = [key for key, slug in around.slugs.items() if slug == "tool"]
    if around.slugs.get(sealed) != "tool":
        yield Fault(("seals",), f"`{sealed[:60]}` is no tool step beside this one", did_you_mean(sealed, tools))
        return
    approving = [name for name, meaning in settings.outcomes.items() if meaning == "approve"]
    if not any(sealed in around.downstream(port) for port in approving):
        yield Fault(
            ("seals",),
            f"the step `{sealed}` does not follow from an approval here",
            f"Connect `{around.key}.{approving[0]} -> {sealed}`." if approving else "",
        )
    arguments = getattr(around.settings[sealed], "arguments", {})
    yield from _editable_faults(settings, list(arguments), f"the step `{sealed}`")


def _editable_faults(settings: ApprovalSettings, known: list[str], where: str) -> Iterable[Fault]:
    for index, name in enumerate(settings.editable):
        if name not in known:
            yield Fault(("editable", index), f"`{name[:60]}` is no field of {where}", did_you_mean(name, known))
