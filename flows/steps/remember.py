"""Keeps values in a memory, for later runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from flows.engine.durations import Duration
from flows.engine.failures import BadRequest
from flows.engine.kinds import Done, Role
from flows.engine.markers import TemplateValue
from flows.engine.memories import Keep
from flows.execution.context import Intent, Settlement, StepContext, WorkKind
from flows.execution.jsontext import dump
from flows.steps.memories import MemorySettings, Name
from flows.steps.services import StepServices

REHEARSED = "a rehearsal: nothing is kept"


class RememberSettings(MemorySettings):
    """`values` by name; null forgets a name. They are kept for `expires`, or, without it, until they are changed."""

    values: dict[Name, TemplateValue] = Field(min_length=1, max_length=50)
    expires: Duration | None = None


class RememberKind(WorkKind):
    slug = "remember"
    label = "Remember"
    group = "Data"
    icon = "memory"
    begins_with = {"scope": "flow", "values": {}}
    form = ("scope", "key", "values", "expires")
    role = Role.EFFECT
    Settings = RememberSettings

    def output_schema(self, settings: RememberSettings) -> Mapping[str, Any]:
        return {"type": "object", "properties": {name: {} for name in settings.values}}

    async def perform(self, context: StepContext) -> Done:
        """What is kept is written together with the step's result, so it is kept exactly once. A rehearsal keeps nothing. Fails with
        `bad_request` where the memory has no room, or the run no such memory."""
        settings: RememberSettings = context.settings
        services: StepServices = context.services
        values: dict[str, Any] = context.rendered["values"]
        memory = await services.memory_of(context.run, settings.scope, str(context.rendered["key"] or ""))
        rehearses = context.handling.rehearses
        call = await context.begin(
            Intent(
                kind="remember",
                target=memory.place[:160],
                request=dump({"values": values, "expires": settings.expires}),
                reason=REHEARSED if rehearses else "",
                simulated=rehearses,
            )
        )
        try:
            await services.require_room(memory, values)
        except BadRequest as failure:
            context.settle(call, Settlement("failed_final", error_class=failure.slug, error_message=failure.message))
            raise
        untrusted = await services.untrusted_of(context.run) or ""
        context.settle(call, Settlement("succeeded"))
        seconds = settings.expires.seconds if settings.expires is not None else None
        keeps = [Keep(memory, name, value, seconds, untrusted[:160]) for name, value in values.items()]
        return Done(values, keeps=() if rehearses else keeps)
