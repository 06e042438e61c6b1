"""What the sub-flows and agents of a run have used of their own limits on cost and tokens: in this pass, and while their step is open.

Their spend is the run's. A sub-flow's document and an agent's step have limits that bound what is done inside beside that. One
engine drives the whole run, so what is in flight is counted here; what an earlier owner spent is read from the ledger.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection

from flows.engine.document import Limits
from flows.engine.plan import Child
from flows.engine.planner import Planner
from flows.execution.context import Intent, OpenCall

USED: Final = """
SELECT coalesce(sum(c.settled), 0),
    coalesce(sum(CASE WHEN c.input_tokens IS NULL AND c.usage_source = 'estimated' THEN c.reserved_tokens
        ELSE coalesce(c.input_tokens, 0) + coalesce(c.output_tokens, 0) END), 0)::bigint
FROM flows_call c JOIN flows_run r ON r.id = c.run_id AND r.pass = c.pass
WHERE c.run_id = %s AND starts_with(c.path, %s)
"""


_INSIDE = re.compile(r"/|\.turn\[")
"""Behind what the path of a sub-flow or an agent stands, in the path of a step inside it."""


@dataclass(slots=True)
class Used:
    """Of one sub-flow: what its calls were charged, and what those in flight have reserved."""

    cost: Decimal = Decimal(0)
    tokens: int = 0
    reserved: dict[UUID, tuple[Decimal, int]] = field(default_factory=dict)
    settled: asyncio.Event = field(default_factory=asyncio.Event)

    def with_reserved(self) -> tuple[Decimal, int]:
        """Cost and tokens as if every call in flight came to its upper bound."""
        bounds = self.reserved.values()
        return self.cost + sum((cost for cost, _ in bounds), Decimal(0)), self.tokens + sum(tokens for _, tokens in bounds)


@dataclass(frozen=True, slots=True)
class Short:
    """A sub-flow's limit has no room for a call. `path` is the sub-flow step's."""

    path: str
    limits: Limits
    which: str  # cost | tokens
    cap: Any
    used: Used
    needed: Any

    @property
    def spent(self) -> Any:
        return self.used.cost if self.which == "cost" else self.used.tokens


class Allowances:
    """The limits of the sub-flows around each step of one run."""

    def __init__(self, planner: Planner) -> None:
        self._planner = planner
        self._used: dict[str, Used] = {}

    def remember(self, used: Mapping[str, tuple[Decimal, int]]) -> None:
        """What sub-flows, by the paths of their steps, had used when the run was taken up."""
        self._used = {path: Used(cost, tokens) for path, (cost, tokens) in used.items()}

    def short(self, path: str, intent: Intent, raised: Mapping[str, Mapping[str, Any]]) -> Short | None:
        """The innermost limit around the step at `path` that has no room for this call; None where all have. `raised` are limits
        that people have raised, by the sub-flow's path."""
        for around, limits in self._around(path):
            used = self._used.setdefault(around, Used())
            cost, tokens = used.with_reserved()
            caps = raised.get(around, {})
            for which, cap, taken, needed in (
                ("cost", caps.get("cost", limits.cost), cost, intent.reserve),
                ("tokens", caps.get("tokens", limits.tokens), tokens, intent.reserve_tokens),
            ):
                if cap is not None and taken + needed > cap:
                    return Short(around, limits, which, cap, used, needed)
        return None

    def cap_cost(self, path: str) -> bool:
        """Whether a sub-flow around the step at `path` has a limit in dollars."""
        return any(limits.cost is not None for _, limits in self._around(path))

    def reserve(self, path: str, call: OpenCall) -> None:
        for around, _ in self._around(path):
            self._used.setdefault(around, Used()).reserved[call.id] = (call.intent.reserve, call.intent.reserve_tokens)

    def release(self, call: OpenCall, cost: Decimal = Decimal(0), tokens: int = 0) -> None:
        """The call was charged so much, or was not made at all. Whoever waits for room looks again."""
        for used in self._used.values():
            if used.reserved.pop(call.id, None) is not None:
                used.cost += cost
                used.tokens += tokens
                used.settled.set()
                used.settled = asyncio.Event()

    def left_of(self, path: str, raised: Mapping[str, Mapping[str, Any]]) -> tuple[Decimal | None, int | None]:
        """Dollars and tokens that are left of the limits at `path`; None where there is none."""
        limits = self._limits_at(path)
        if limits is None:
            return None, None
        caps = raised.get(path, {})
        cost_cap, tokens_cap = caps.get("cost", limits.cost), caps.get("tokens", limits.tokens)
        cost, tokens = self._used.setdefault(path, Used()).with_reserved()
        return (None if cost_cap is None else cost_cap - cost), (None if tokens_cap is None else tokens_cap - tokens)

    def _around(self, path: str) -> Iterator[tuple[str, Limits]]:
        """The sub-flows and agents with limits of their own that the step at `path` stands in, the innermost first."""
        for found in reversed(list(_INSIDE.finditer(path))):
            around = path[: found.start()]
            limits = self._limits_at(around)
            if limits is not None and (limits.cost is not None or limits.tokens is not None):
                yield around, limits

    def _limits_at(self, path: str) -> Limits | None:
        level = self._planner.levels.get(f"{path}/")
        if level is not None:
            return level.flow.document.limits
        task = self._planner.tasks.get(path)
        return task.node.limits if task is not None else None


async def used_inside(
    connection: AsyncConnection[Any], run: UUID, open_subflows: Mapping[str, Child], open_agents: Iterable[str]
) -> dict[str, tuple[Decimal, int]]:
    """What was charged inside those of a run's open sub-flows and agents, by path, that have limits of their own."""
    prefixes = {path: f"{path}.turn[" for path in open_agents}
    for path, child in open_subflows.items():
        limits = child.flow.document.limits
        if limits is not None and (limits.cost is not None or limits.tokens is not None):
            prefixes[path] = f"{path}/"
    used = {}
    for path, prefix in prefixes.items():
        row = await (await connection.execute(USED, (run, prefix))).fetchone()
        if row is not None:
            used[path] = (row[0], row[1])
    return used
