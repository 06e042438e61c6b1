"""Tools that are not really called: what would be sent is written down, and the result is an example of the tool's schema."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from flows.engine.examples import example_of
from flows.tools.base import ToolCall, ToolContext
from flows.tools.registry import ToolBox


@dataclass(frozen=True, slots=True)
class DryToolBox(ToolBox):
    """The same tools; those that write are called only where they are named in `real`."""

    real: frozenset[str] = frozenset()

    @classmethod
    def of(cls, tools: ToolBox, real: frozenset[str]) -> DryToolBox:
        return cls(**{each.name: getattr(tools, each.name) for each in fields(ToolBox)}, real=real)

    def is_dry(self, slug: str) -> bool:
        spec = self.spec(slug)
        return spec.effect == "write" and slug not in self.real and self.flow_of(spec) is None  # the writes of a flow are dry

    async def call(self, call: ToolCall, context: ToolContext) -> Any:
        """As ever, or, of a tool that is dry, an example of its result."""
        if not self.is_dry(call.spec.slug):
            return await ToolBox.call(self, call, context)
        return example_of(call.spec.result)
