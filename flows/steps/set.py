"""Makes values out of others, and changes the run's state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from flows.engine.kinds import Done, PureKind, Settings
from flows.engine.markers import TemplateValue


class SetSettings(Settings):
    """`values` are the step's output; `state` has the keys of the run's state to change."""

    values: dict[str, TemplateValue] = Field(default_factory=dict)
    state: dict[str, TemplateValue] = Field(default_factory=dict)


class SetKind(PureKind):
    slug = "set"
    label = "Set values"
    group = "Data"
    icon = "kind-set"
    begins_with = {"values": {}}
    Settings = SetSettings

    def output_schema(self, settings: SetSettings) -> Mapping[str, Any]:
        return {"type": "object", "properties": {key: {} for key in settings.values}}

    def state_keys(self, settings: SetSettings) -> frozenset[str]:
        return frozenset(settings.state)

    def evaluate(self, settings: SetSettings, rendered: Mapping[str, Any], names: Mapping[str, Any]) -> Done:
        return Done(rendered["values"], state=rendered["state"])
