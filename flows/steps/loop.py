"""Runs its body again and again, one round after the other, until a condition holds or the rounds are used up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field

from flows.engine.document import Body
from flows.engine.kinds import Fault, Kind, Role, Settings, Surroundings
from flows.engine.markers import ExpressionText


class LoopSettings(Settings):
    """After each round `until` is evaluated with the names of the round, `loop.previous` being its output. At most `max` rounds
    run; without `until`, exactly so many."""

    until: ExpressionText | None = None
    max: int = Field(ge=1, le=10_000, strict=True)
    body: Body


class LoopKind(Kind):
    slug = "loop"
    label = "Repeat"
    icon = "kind-loop"
    begins_with = {"max": 3, "body": {"steps": {}, "edges": [], "output": {}}}
    ports_from = ("done", "limit")
    role = Role.STRUCTURE
    Settings = LoopSettings
    closing = frozenset({"until"})

    def ports(self, settings: LoopSettings) -> frozenset[str]:
        return frozenset({"done", "limit"})

    def output_schema(self, settings: LoopSettings) -> Mapping[str, Any]:
        output = settings.body.output
        return {"properties": {key: {} for key in output}} if isinstance(output, dict) else {}

    def body_names(self, settings: LoopSettings) -> Mapping[str, Mapping[str, Any] | None]:
        previous = self.output_schema(settings)
        return {"loop": {"type": "object", "properties": {"round": {"type": "integer"}, "previous": previous}}}

    def faults(self, settings: LoopSettings, around: Surroundings) -> Iterable[Fault]:
        if settings.body.output is None:
            yield Fault(
                ("body",), "the body has no `output`, so `loop.previous` is always null", "Say what a round gives.", warning=True
            )
