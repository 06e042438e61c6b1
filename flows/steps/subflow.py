"""Runs another flow inside this run: its steps, its spend and its deadline are the run's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field

from flows.engine.kinds import Catalogue, Fault, KnownFlow, Role, Settings, Surroundings
from flows.engine.markers import ArgumentsOf, Refers, TemplateValue
from flows.engine.problems import did_you_mean, listed
from flows.execution.context import Enter, StepContext, WorkKind
from flows.steps.calling import enter_flow


class SubflowSettings(Settings):
    """`flow` is the other flow's name, `version` a number (without it, what is published when the step begins), `input` an object."""

    flow: Annotated[str, Refers("flow")] = Field(min_length=1, max_length=80)
    version: int | None = Field(default=None, ge=1, strict=True)
    input: Annotated[dict[str, TemplateValue], ArgumentsOf("flow")] = Field(
        default_factory=dict, title="Input", description="What the other flow is given, by the names that it asks for."
    )


class SubflowKind(WorkKind):
    slug = "subflow"
    label = "Run a flow"
    group = "Sub-flows"
    icon = "flows"
    begins_with = {"flow": ""}
    form = ("flow", "input")
    role = Role.STRUCTURE
    Settings = SubflowSettings

    def known_output(self, settings: SubflowSettings, catalogue: Catalogue | None) -> Mapping[str, Any] | None:
        known = (catalogue.flows or {}).get(settings.flow) if catalogue is not None else None
        if known is None or known.output is None or settings.version is not None:
            return None
        return {"properties": {key: {} for key in known.output}}

    def faults(self, settings: SubflowSettings, around: Surroundings) -> Iterable[Fault]:
        flows = around.catalogue.flows if around.catalogue is not None else None
        if flows is None:
            yield Fault(("flow",), f"the flow `{settings.flow}` cannot be checked without a server", "", warning=True)
        elif settings.flow not in flows:
            yield Fault(
                ("flow",), f"there is no flow `{settings.flow}` that this one may use", did_you_mean(settings.flow, flows)
            )
        else:
            yield from _faults_of(settings, flows[settings.flow])

    async def perform(self, context: StepContext) -> Enter:
        """Finds the flow and checks the input. Raises `BadRequest` where there is no such flow or version, `InvalidInput`."""
        settings: SubflowSettings = context.settings
        return await enter_flow(context, settings.flow, settings.version, context.rendered["input"])


def _faults_of(settings: SubflowSettings, known: KnownFlow) -> Iterable[Fault]:
    if settings.version is not None:
        if settings.version > known.newest:
            newest = f"Its newest is {known.newest}." if known.newest else "None is published."
            yield Fault(("version",), f"`{settings.flow}` has no version {settings.version}", newest)
        return
    if not known.published:
        yield Fault(("flow",), f"the flow `{settings.flow}` is not published", "Publish it first.")
    schema = known.input or {}
    properties = schema.get("properties") or {}
    for name in schema.get("required") or ():
        if name not in settings.input:
            yield Fault(("input",), f"the flow `{settings.flow}` needs the input `{name}`", "Add it.")
    if schema.get("additionalProperties", True) is False and "patternProperties" not in schema:
        for name in settings.input:
            if name not in properties:
                mend = did_you_mean(name, properties) or f"It has {listed(sorted(properties))}."
                yield Fault(("input", name), f"the flow `{settings.flow}` has no input `{name}`", mend)
