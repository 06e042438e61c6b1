"""Calls a tool of the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from pydantic import Field

from flows.engine.canonical import sha256_of
from flows.engine.failures import Failure, SealBroken, UnknownOutcome
from flows.engine.graph import Graph, Node
from flows.engine.kinds import Done, Fault, Role, Settings, Surroundings
from flows.engine.markers import TemplateValue
from flows.engine.problems import did_you_mean
from flows.execution.context import Intent, Settlement, StepContext, WorkKind
from flows.execution.jsontext import dump
from flows.steps.services import StepServices
from flows.tools.base import ToolCall


class ToolSettings(Settings):
    """`arguments` are checked against the tool's own schema before each call."""

    tool: str = Field(min_length=1, max_length=100)
    arguments: dict[str, TemplateValue] = Field(default_factory=dict)


class ToolKind(WorkKind):
    slug = "tool"
    label = "Call a tool"
    role = Role.EFFECT
    Settings = ToolSettings

    def faults(self, settings: ToolSettings, around: Surroundings) -> Iterable[Fault]:
        tools = around.catalogue.tools if around.catalogue else {}
        if settings.tool not in tools:
            yield around.not_in_catalogue(("tool",), f"the tool `{settings.tool}`", did_you_mean(settings.tool, tools))
        else:
            yield from _argument_faults(settings, tools[settings.tool] or {})

    async def perform(self, context: StepContext) -> Done:
        """Makes the call, with the arguments that were approved where an approval seals them."""
        settings: ToolSettings = context.settings
        services: StepServices = context.services
        spec = services.tools.spec(settings.tool)
        arguments = _sealed(context, context.rendered["arguments"])
        services.tools.check(settings.tool, arguments)
        keyed = spec.repeat == "keyed"
        intent = Intent(
            kind="tool",
            target=spec.slug,
            request=dump(arguments),
            repeat=spec.repeat,
            request_hash=sha256_of(arguments) if keyed or spec.effect == "write" else "",
        )
        call = await context.begin(intent)
        timeout = context.time_left(services.tools.timeout_of(spec.slug))
        try:
            result = await services.tools.call(ToolCall(spec, arguments, str(call.key), timeout, call.id), services.tool_context)
        except Failure as failure:
            unknown = failure.sent and not failure.answered and spec.effect == "write"
            status = "unknown" if unknown else "failed_retryable" if failure.retryable else "failed_final"
            context.settle(call, Settlement(status, error_class=failure.slug, error_message=failure.message))
            if unknown and spec.repeat in {"never", "lookup"}:
                raise UnknownOutcome(
                    f"{failure.message} Whether {spec.slug} did it is not known, and it may not be repeated."
                ) from failure
            raise
        context.settle(call, Settlement("succeeded", response=dump(result)))
        return Done(result)


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
