"""Calls a tool of the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Annotated, Any

from pydantic import Field

from flows.engine.canonical import sha256_of
from flows.engine.failures import SealBroken
from flows.engine.graph import Graph, Node
from flows.engine.kinds import Done, Fault, Role, Settings, Surroundings
from flows.engine.markers import ArgumentsOf, Refers, TemplateValue
from flows.engine.problems import did_you_mean
from flows.execution.context import Enter, StepContext, WorkKind
from flows.steps.calling import call_tool
from flows.steps.services import StepServices


class ToolSettings(Settings):
    """`arguments` are checked against the tool's own schema before each call."""

    tool: Annotated[str, Refers("tool")] = Field(min_length=1, max_length=100)
    arguments: Annotated[dict[str, TemplateValue], ArgumentsOf("tool")] = Field(default_factory=dict)


class ToolKind(WorkKind):
    slug = "tool"
    label = "Call a tool"
    group = "Tools"
    icon = "tools"
    begins_with = {"tool": "", "arguments": {}}
    role = Role.EFFECT
    Settings = ToolSettings

    def faults(self, settings: ToolSettings, around: Surroundings) -> Iterable[Fault]:
        tools = around.catalogue.tools if around.catalogue else {}
        if settings.tool not in tools:
            yield around.not_in_catalogue(("tool",), f"the tool `{settings.tool}`", did_you_mean(settings.tool, tools))
        else:
            yield from _argument_faults(settings, tools[settings.tool] or {})

    async def perform(self, context: StepContext) -> Done | Enter:
        """Makes the call, with the arguments that were approved where an approval seals them."""
        settings: ToolSettings = context.settings
        services: StepServices = context.services
        services.tools.spec(settings.tool)
        arguments = context.rendered["arguments"]
        if not services.tools.is_dry(settings.tool):
            arguments = _sealed(context, arguments)
        return await call_tool(context, settings.tool, arguments)


@lru_cache(maxsize=4096)
def _sealing(graph: Graph) -> Mapping[str, tuple[tuple[str, Node], ...]]:
    """By the key of a sealed step, the approvals that seal it."""
    found: dict[str, tuple[tuple[str, Node], ...]] = {}
    for name, node in graph.nodes.items():
        key = getattr(node.settings, "seals", None)
        if key is not None:
            found[key] = (*found.get(key, ()), (name, node))
    return found


def _sealed(context: StepContext, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments to send. Where an approval of this graph seals the step, they are the approved ones, and everything but the
    fields that could be edited must still be what the step itself would send. Raises `SealBroken` otherwise."""
    for name, node in _sealing(context.graph).get(context.node.key, ()):
        decision = context.names["steps"][name]["output"]
        if not isinstance(decision, dict) or node.settings.outcomes.get(decision.get("outcome")) != "approve":  # type: ignore[attr-defined]
            continue
        approved = decision["payload"]
        if decision.get("unasked") and context.decided_hash(name) is None:
            if sha256_of(arguments) != sha256_of(approved):
                raise SealBroken(
                    f"What {context.path} would send is not what the policy {decision['unasked']} let pass at {name}."
                )
            continue
        editable = {field: approved[field] for field in node.settings.editable if field in approved}  # type: ignore[attr-defined]
        if context.decided_hash(name) != sha256_of(approved) or sha256_of({**arguments, **editable}) != sha256_of(approved):
            raise SealBroken(f"What {context.path} would send is not what was approved at {name}.")
        arguments = approved
    return arguments


def _argument_faults(settings: ToolSettings, schema: Mapping[str, Any]) -> Iterable[Fault]:
    known = schema.get("properties") or {}
    for name in schema.get("required") or ():
        if name not in settings.arguments:
            yield Fault(("arguments",), f"the tool `{settings.tool}` needs the argument `{name}`", "Add it.")
    if known and schema.get("additionalProperties", False) is False and "patternProperties" not in schema:
        for name in settings.arguments:
            if name not in known:
                yield Fault(
                    ("arguments", name), f"the tool `{settings.tool}` has no argument `{name}`", did_you_mean(name, known)
                )
