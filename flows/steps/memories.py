"""What the steps that use a memory are set up with: whose it is."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from flows.engine.kinds import Settings
from flows.engine.markers import TemplateText
from flows.engine.memories import NAME, Scope

Name = Annotated[str, StringConstraints(pattern=NAME)]
"""A name in a memory: a-z, 0-9 and _, a letter first."""


class MemorySettings(Settings):
    """`scope` says whose memory: the flow's, that of the person who started the run, or one under `key`. Those of persons and keys are
    shared by the flows of a team."""

    scope: Scope = "flow"
    key: TemplateText | None = Field(default=None, max_length=2_000)

    @model_validator(mode="after")
    def _key_where_it_belongs(self) -> Any:
        if (self.scope == "key") != (self.key is not None):
            raise PydanticCustomError("memory", "give `key` with the scope `key`, and only there")
        return self
