"""Reads values from a memory, as earlier runs left them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from flows.engine.kinds import Done, Role
from flows.execution.context import Intent, Settlement, StepContext, WorkKind
from flows.execution.jsontext import dump
from flows.steps.memories import MemorySettings, Name
from flows.steps.services import StepServices


class RecallSettings(MemorySettings):
    """The output holds what there is under each of `names`, null where there is nothing; without names, all that the memory holds."""

    names: list[Name] = Field(default_factory=list, max_length=100)


class RecallKind(WorkKind):
    slug = "recall"
    label = "Recall"
    group = "Data"
    icon = "memory"
    begins_with = {"scope": "flow", "names": []}
    form = ("scope", "key", "names")
    role = Role.EFFECT
    Settings = RecallSettings

    def output_schema(self, settings: RecallSettings) -> Mapping[str, Any] | None:
        return {"type": "object", "properties": {name: {} for name in settings.names}} if settings.names else None

    async def perform(self, context: StepContext) -> Done:
        """What it finds is the step's result, so a replay sees the same. The call is written down first, so that what the run itself
        has remembered stands in the memory by then. Fails with `bad_request` where the run has no such memory."""
        settings: RecallSettings = context.settings
        services: StepServices = context.services
        memory = await services.memory_of(context.run, settings.scope, str(context.rendered["key"] or ""))
        request = dump({"names": settings.names})
        call = await context.begin(Intent(kind="recall", target=memory.place[:160], request=request))
        found = await services.recall(memory, settings.names)
        context.settle(call, Settlement("succeeded", response=dump({"values": found.values, "untrusted": found.untrusted})))
        return Done(found.values)
