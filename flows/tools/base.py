"""What every tool kind has in common: what is asked of it, with what, and its one verb."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable
from uuid import UUID

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel, ConfigDict

from flows.access.egress import Egress

Effect = Literal["read", "write"]
Repeat = Literal["freely", "keyed", "lookup", "never"]


class ToolSettings(BaseModel):
    """What a kind needs of its tools' catalogue entries. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """One tool of the catalogue. `arguments` is a JSON Schema, `settings` its kind's settings, validated."""

    slug: str
    kind: str
    effect: Effect
    repeat: Repeat
    arguments: Mapping[str, Any] = field(default_factory=dict)
    settings: Any = None
    timeout: float | None = None  # seconds that one call may take
    reversible: bool = False
    known_for: float | None = None  # seconds for which the service knows a key; None: for ever
    result: Mapping[str, Any] = field(default_factory=dict)  # JSON Schema of what a call gives, where it is known
    description: str = ""  # what it is for, in words that a model reads, too
    trusted: bool = False  # whether what it answers is none of anybody's words but our own
    policy: str = ""  # the rule of who decides on an agent's calls of it; empty: what its patterns or the agent say


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of one tool. `timeout` is in seconds; `call_id` is the row of the ledger, `idempotency_key` the same in every
    repetition.
    """

    spec: ToolSpec
    arguments: Mapping[str, Any]
    idempotency_key: str
    timeout: float
    call_id: UUID


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool may use: the checked way out, the sessions with MCP servers, the database, the ring of the tools worker."""

    egress: Egress
    connections: AsyncConnectionPool[AsyncConnection[Any]] | None = None
    ring: Callable[[UUID], None] | None = None  # tells the tools worker of a job; may fail, must not block
    sessions: Any = None  # `flows.tools.mcp_sessions.Sessions`


class ToolKind(Protocol):
    """A kind of tool. `call` gives a JSON value, or raises a `Failure` whose `sent` says if the other side may have acted.

    A kind whose tools may have `repeat: lookup` has `find` as well (`Finding`).
    """

    slug: ClassVar[str]
    label: ClassVar[str]
    Settings: ClassVar[type[ToolSettings]]
    trusted: ClassVar[bool]  # of its tools, where their entries do not say
    arguments: ClassVar[Mapping[str, Any]]  # JSON Schema of what its tools take, where their entries do not say

    async def call(self, call: ToolCall, context: ToolContext) -> Any: ...


@runtime_checkable
class Entering(Protocol):
    """A kind whose tools are flows: a step that calls one goes on as that flow, inside its own run."""

    def flow_of(self, spec: ToolSpec) -> tuple[str, int | None]:
        """The flow's name, and the number of its version (None: the published one)."""
        ...


@runtime_checkable
class Finding(Protocol):
    """A kind that can ask what became of an earlier call with the same key."""

    async def find(self, call: ToolCall, context: ToolContext) -> tuple[bool, Any]:
        """(True, its result), or (False, None) where nothing happened. Raises a `Failure` where that cannot be told."""
        ...
