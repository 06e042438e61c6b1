"""A tool that is a flow: whoever calls it goes on as that flow, inside the same run, which pays for it and bounds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from flows.engine.failures import BadRequest
from flows.tools.base import ToolCall, ToolContext, ToolSettings, ToolSpec


class FlowSettings(ToolSettings):
    """Which flow: its name, and the number of a version, where it is not always to be the published one."""

    flow: str = Field(min_length=1, max_length=80, json_schema_extra={"of": "flow"})
    version: int | None = Field(default=None, ge=1, strict=True, description="its number; without it always the published one")


class FlowTool:
    """A published flow. What it takes is the flow's input; whether it reads or writes, an owner says."""

    slug: ClassVar[str] = "flow"
    label: ClassVar[str] = "Published flow"
    trusted: ClassVar[bool] = True  # what its own steps have read taints the run, which is the same
    arguments: ClassVar[Mapping[str, Any]] = {}
    Settings: ClassVar[type[ToolSettings]] = FlowSettings

    def flow_of(self, spec: ToolSpec) -> tuple[str, int | None]:
        """The flow's name and version."""
        settings: FlowSettings = spec.settings
        return settings.flow, settings.version

    async def call(self, call: ToolCall, context: ToolContext) -> Any:
        """Only a step of a run can go on as a flow. Raises `BadRequest`."""
        raise BadRequest(f"{call.spec.slug} is a flow: only a step of a run can call it.")
