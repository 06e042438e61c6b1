"""Who is asked."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from flows.engine.markers import Refers


class Approvers(BaseModel):
    """Who may decide: people by name, teams by slug."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    people: list[Annotated[str, Refers("person")]] = Field(default_factory=list)
    teams: list[Annotated[str, Refers("team")]] = Field(default_factory=list)
