"""What steps use: models and how they stand, tools, the way out. What the catalogue says is one snapshot, renewed while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from django.db import close_old_connections, connection
from psycopg import AsyncConnection
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from flows.access.egress import Egress
from flows.access.installation import INSTALLATION, heed
from flows.engine.calllimits import CallLimits
from flows.engine.memories import Memory, Scope
from flows.execution.handling import Handling
from flows.memory.recalling import Recalled, memory_of, recall, require_room
from flows.retrieval.embedding import embed
from flows.retrieval.searching import Hit, Search, hits_of, statement
from flows.retrieval.vectors import Base, base_of, store_vectors, unembedded
from flows.routing.definitions import ModelInfo
from flows.routing.drilling import AlwaysWell, drilled
from flows.routing.health import Health
from flows.routing.keys import key_of
from flows.routing.table import RoutingTable, load_table
from flows.tools.base import ToolContext, ToolKind
from flows.tools.dry import DryToolBox
from flows.tools.mcp_sessions import Sessions
from flows.tools.registry import ToolBox, load_tools

ANSWER: Final = """
SELECT response FROM flows_call
WHERE kind = 'model' AND request_hash = %s AND request_hash <> '' AND status = 'succeeded' AND NOT cached
    AND started_at > statement_timestamp() - interval '7 days'
ORDER BY id DESC LIMIT 1
"""


# The run and those whose results it took over: what they have read, it has.
READ: Final = """
WITH RECURSIVE line AS (
    SELECT id, origin_id, source FROM flows_run WHERE id = %s
    UNION ALL SELECT r.id, r.origin_id, r.source FROM flows_run r JOIN line ON r.id = line.origin_id
)
SELECT 'webhook', '' FROM line WHERE source = 'webhook'
UNION SELECT c.kind, CASE WHEN c.kind = 'recall' THEN coalesce(c.response::json ->> 'untrusted', '') ELSE c.target END
FROM flows_call c JOIN line ON line.id = c.run_id
WHERE c.kind IN ('tool', 'retrieve', 'recall') AND c.status = 'succeeded' AND NOT c.simulated
"""


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a step is about to ask people. `policy` is the one that it names, `tool` the one whose call is sealed."""

    policy: str | None
    tool: str | None
    flow: str  # its name in addresses
    payload: Any
    outcomes: Mapping[str, str]
    editable: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a policy rules: whether people are asked at all, under which terms, and how many seconds they have."""

    asks: bool
    policy: str  # its name and version
    terms: Mapping[str, Any] = field(default_factory=dict)
    due: float | None = None


Rule = Callable[[Occasion], Ruling | None]
"""Finds the policy of an occasion and rules by it. May block."""


def _with_own_connection(rule: Rule, occasion: Occasion) -> Ruling | None:
    """Django keeps a connection a thread; that of a borrowed thread is given back."""
    close_old_connections()
    try:
        return rule(occasion)
    finally:
        close_old_connections()
        connection.close()


class StepServices:
    """One an engine process. `table` and `tools` are replaced whole, so a step that has begun keeps what it was given."""

    def __init__(self, tool_kinds: Sequence[ToolKind], redis_address: str, rule: Rule | None = None) -> None:
        self.table = RoutingTable()
        self.tools = ToolBox()
        self.egress = Egress(lambda: self.table.allowed_hosts)
        self._sessions = Sessions()
        self.tool_context = ToolContext(self.egress, sessions=self._sessions)
        self._tool_kinds = tool_kinds
        self._redis_address = redis_address
        self._rule = rule
        self._connections: AsyncConnectionPool[AsyncConnection[Any]] | None = None
        self.health: Health | AlwaysWell

    async def start(self, connections: AsyncConnectionPool[AsyncConnection[Any]]) -> None:
        """Reads the catalogue for the first time."""
        self._connections = connections
        self.health = Health(self._redis_address, lambda: self._connections)
        self.tool_context = ToolContext(self.egress, connections, sessions=self._sessions)
        await self.renew()

    async def renew(self) -> None:
        """Takes up what an owner changed."""
        if self._connections is None:
            return
        async with self._connections.connection() as connection:
            self.table = await load_table(connection)
            self.tools = await load_tools(connection, self._tool_kinds)
            async with connection.cursor(row_factory=tuple_row) as cursor:
                heed(await (await cursor.execute(INSTALLATION)).fetchone())

    def under(self, handling: Handling) -> StepServices:
        """What the steps of a run use that is handled so: itself, where the run does what its document says."""
        if not (handling.simulate or handling.dry):
            return self
        under = copy(self)
        if handling.drill:
            under.table, under.health = drilled(self.table, handling.drill), AlwaysWell()
        elif handling.simulate:
            under.table = self.table.simulated()
        if handling.dry:
            under.tools = DryToolBox.of(self.tools, handling.real_tools)
        return under

    def limits_of(self, kind: str, target: str) -> CallLimits | None:
        """What the catalogue says a model or tool takes; None where it says nothing of it."""
        return self.table.limits.get(target) if kind == "model" else self.tools.limits.get(target)

    async def ruling_on(self, occasion: Occasion) -> Ruling | None:
        """What the policy in force rules; None where none applies. Raises `BadRequest` where the one that is named cannot."""
        return await asyncio.to_thread(_with_own_connection, self._rule, occasion) if self._rule is not None else None

    async def key_of(self, model: ModelInfo) -> str:
        """The key that a call of this model sends; empty where it has none. Raises `BadKey`."""
        return await key_of(model, self._connections)

    async def answer_to(self, request_hash: str) -> str | None:
        """What an equal call was answered within a week, as the ledger has it (JSON text); None where there was none."""
        if self._connections is None:
            return None
        async with self._connections.connection() as connection:
            row = await (await connection.execute(ANSWER, (request_hash,))).fetchone()
        return row[0] if row is not None else None

    async def untrusted_of(self, run: UUID) -> str | None:
        """By what the run has read what somebody else may have written, as far as it is recorded: a webhook's call, a document, a
        tool's answer, or what an earlier run that had read such kept in a memory; None where by nothing."""
        if self._connections is None:
            return None
        async with self._connections.connection() as connection:
            rows = await (await connection.execute(READ, (run,))).fetchall()
        return next((said for kind, target in sorted(rows) if (said := self._untrusted(kind, target))), None)

    def _untrusted(self, kind: str, target: str) -> str:
        if kind == "webhook":
            return "the webhook that started it"
        if kind == "retrieve":
            return f"documents of {target}"
        return target if kind == "recall" or self.tools.taints(target) else ""

    async def base(self, base: str, run: UUID) -> Base:
        """The knowledge base of this name. Raises `BadRequest` where the run's flow may search none."""
        async with self._pool.connection() as connection:
            return await base_of(connection, base, run)

    async def unembedded(self, base: Base, most: int) -> list[tuple[UUID, str]]:
        """Passages without a vector of the base's model, with their texts."""
        async with self._pool.connection() as connection:
            return await unembedded(connection, base, most)

    async def store_vectors(self, base: Base, ids: Sequence[UUID], vectors: Sequence[list[float]]) -> None:
        async with self._pool.connection() as connection:
            await store_vectors(connection, base, ids, vectors)

    async def search(self, base: Base, search: Search, vector: list[float] | None = None) -> list[Hit]:
        """The passages that it finds in the base. `vector` is the question's, where a model makes the base's vectors."""
        if not base.embedding:
            vector = (await asyncio.to_thread(embed, [search.query]))[0] if base.has_vectors else None
        sql, parameters = statement(search, base.id, base.language, vector if base.has_vectors else None, by=base.embedding)
        async with self._pool.connection() as connection:
            return hits_of(await (await connection.execute(sql, parameters)).fetchall())

    async def memory_of(self, run: UUID, scope: Scope, key: str) -> Memory:
        """The memory of this scope that steps of the run use. Raises `BadRequest` where it has none."""
        async with self._pool.connection() as connection:
            return await memory_of(connection, run, scope, key)

    async def recall(self, memory: Memory, names: Sequence[str]) -> Recalled:
        """What the memory holds under these names; without names, all of it."""
        async with self._pool.connection() as connection:
            return await recall(connection, memory, names)

    async def require_room(self, memory: Memory, values: Mapping[str, Any]) -> None:
        """Raises `BadRequest` where the memory has no room for these values."""
        async with self._pool.connection() as connection:
            await require_room(connection, memory, values)

    @property
    def _pool(self) -> AsyncConnectionPool[AsyncConnection[Any]]:
        if self._connections is None:
            raise RuntimeError("The services have not been started.")
        return self._connections

    async def stop(self) -> None:
        """Closes the connections to the world and to Redis."""
        await self._sessions.aclose()
        await self.health.aclose()
        await self.egress.aclose()
