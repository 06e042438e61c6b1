"""What the open containers of a run have used of their limits on cost and tokens, in this pass.

A container is a map, loop, sub-flow or agent. Its limits are its step's own and, of a sub-flow, those of the other flow's document.
What is spent inside is the run's; the limits bound it beside that. One engine drives the whole run, so what is in flight is counted
here; what an earlier owner spent is read from the ledger (`inside.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from flows.engine.document import Limits
from flows.engine.frames import containers_around
from flows.engine.planner import Planner
from flows.execution.context import Intent, OpenCall
from flows.execution.driving.inside import Inside


@dataclass(slots=True)
class Used:
    """Of one container: what its calls were charged, and what those in flight have reserved."""

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
    """A container's limit has no room for a call. `path` is the container's."""

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
    """The limits of the containers around each step of one run."""

    def __init__(self, planner: Planner) -> None:
        self._planner = planner
        self._used: dict[str, Used] = {}

    def remember(self, inside: Mapping[str, Inside]) -> None:
        """What containers, by path, had used when the run was taken up."""
        self._used = {path: Used(known.cost, known.tokens) for path, known in inside.items()}

    def short(self, path: str, intent: Intent, raised: Mapping[str, Mapping[str, Any]]) -> Short | None:
        """The innermost limit around the step at `path` that has no room for this call; None where all have. `raised` are limits
        that people have raised, by the container's path."""
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
        """Whether a container around the step at `path` has a limit in dollars."""
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
        task = self._planner.tasks.get(path)
        limits = next(task.limits, None) if task is not None else None
        if limits is None:
            return None, None
        caps = raised.get(path, {})
        cost_cap, tokens_cap = caps.get("cost", limits.cost), caps.get("tokens", limits.tokens)
        cost, tokens = self._used.setdefault(path, Used()).with_reserved()
        return (None if cost_cap is None else cost_cap - cost), (None if tokens_cap is None else tokens_cap - tokens)

    def _around(self, path: str) -> Sequence[tuple[str, Limits]]:
        task = self._planner.tasks.get(path)
        if task is None or task.frame.owner is None:
            return ()
        return [
            (container.path, limits)
            for container in containers_around(task)
            for limits in container.limits
            if limits.cost is not None or limits.tokens is not None
        ]
