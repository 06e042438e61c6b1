"""What a builder writes of an agent: what it is asked, which tools it may call, and on how short a leash."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from flows.engine.durations import Duration
from flows.engine.markers import Refers
from flows.steps.people import Approvers
from flows.steps.prompting import QuestionSettings

Leash = Literal["free", "risky", "ask", "never"]
"""Whether a call is made at once, put before people where it cannot be undone (`risky`) or always (`ask`), or not made at all. Whatever
stands here, what a tainted run would write is put before people."""


class Grant(BaseModel):
    """A tool that the agent may call; `calls` is how often at most, `leash` its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tool: Annotated[str, Refers("tool")] = Field(min_length=1, max_length=100)
    leash: Leash | None = None
    calls: int | None = Field(default=None, ge=1, le=1000, strict=True)


class ConversationMemory(BaseModel):
    """How much of its own conversation an agent is sent: `window` tokens, what it was asked included. Where it has grown beyond that,
    all but the `keep` newest turns are left out; with `summarise`, a route, they are summed up first, and the summary is sent instead.
    The record of the turns stays as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window: int = Field(ge=200, le=2_000_000, strict=True)
    summarise: Annotated[str, Refers("route")] | None = Field(default=None, min_length=1, max_length=100)
    keep: int = Field(default=2, ge=1, le=50, strict=True)


def _named(value: Any) -> Any:
    return {"tool": value} if isinstance(value, str) else value


class AgentSettings(QuestionSettings):
    """As of a model, and `tools`: names, or `{tool, leash, calls}`. It has at most `max_turns` turns, with up to `parallel` calls in one.

    The step's `limits` bound its tokens, its cost and its time (`duration`); with `at_limit: finish` it is told to conclude before a
    bound is reached, else it leaves by its port `limit` with what there is. The same call is not made a third time.
    """

    tools: list[Annotated[Grant, BeforeValidator(_named)]] = Field(default_factory=list, max_length=100)
    max_turns: int = Field(default=8, ge=1, le=200, strict=True)
    parallel: int = Field(default=4, ge=1, le=32, strict=True)
    leash: Leash = "risky"
    approvers: Approvers = Field(default_factory=Approvers)
    quorum: int = Field(default=1, ge=1, le=100, strict=True)
    due: Duration | None = None
    memory: ConversationMemory | None = None

    def grant(self, tool: str) -> Grant | None:
        """The grant of this tool, if the agent may call it."""
        found = next((grant for grant in self.tools if grant.tool == tool), None)
        return found if found is not None and self.leash_of(found) != "never" else None

    def leash_of(self, grant: Grant) -> Leash:
        return grant.leash or self.leash
