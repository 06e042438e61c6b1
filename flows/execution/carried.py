"""What a run brings along beside its journal: what runs again in it on purpose, what people decided about steps that have not begun,
and calls of earlier passes of which nobody knows what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection

from flows.engine.kinds import Done
from flows.engine.paths import enclosing
from flows.execution.jsontext import load

REDONE: Final = "SELECT run_id, redone FROM flows_runpass WHERE run_id = ANY(%s)"

INTERVENTIONS: Final = """
SELECT i.run_id, i.path, i.kind, i.after FROM flows_intervention i
JOIN flows_run r ON r.id = i.run_id AND r.pass = i.pass WHERE i.run_id = ANY(%s) ORDER BY i.id
"""

# The newest call of each path before this pass. Where it may have happened and must not happen twice, the step has to know.
UNKNOWN: Final = """
SELECT run_id, path, repeat, request_hash,
    json_build_object('target', target, 'request', request, 'key', idempotency_key, 'at', started_at) AS sent FROM (
    SELECT DISTINCT ON (c.run_id, c.path) c.run_id, c.path, c.status, c.repeat, c.request_hash, c.target, c.request,
        c.idempotency_key, c.started_at
    FROM flows_call c JOIN flows_run r ON r.id = c.run_id AND c.pass < r.pass WHERE c.run_id = ANY(%s)
    ORDER BY c.run_id, c.path, c.pass DESC, c.attempt DESC, c.n DESC
) newest WHERE status = 'unknown' AND repeat IN ('never', 'lookup')
"""


@dataclass(frozen=True, slots=True)
class Lost:
    """A call of an earlier pass of which nobody knows what became of it: how its tool may be repeated, and what was sent."""

    repeat: str
    hash: str
    sent: dict[str, Any]


@dataclass(slots=True)
class Carried:
    """What one run brings along. `skips` are results of steps that are gone past, `inputs` fields that somebody has edited."""

    redone: list[frozenset[str]] = field(default_factory=list)
    skips: dict[str, Done] = field(default_factory=dict)
    inputs: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    unknown: dict[str, Lost] = field(default_factory=dict)  # by path

    def generation(self, path: str) -> int:
        """How often what had succeeded at this path was run again on purpose: part of its idempotency keys."""
        if not self.redone:
            return 0
        names = {path, *enclosing(path)}
        return sum(not names.isdisjoint(each) for each in self.redone)


async def load_carried(connection: AsyncConnection[Any], runs: list[UUID]) -> dict[UUID, Carried]:
    """What these runs bring along, read together."""
    found = {run: Carried() for run in runs}
    cursor = await connection.execute(REDONE, (runs,))
    passes = await cursor.fetchall()
    for run, redone in passes:
        found[run].redone.append(frozenset(redone))
    cursor = await connection.execute(INTERVENTIONS, (runs,))
    for run, path, kind, text in await cursor.fetchall():
        after = load(text)
        if kind == "skip":
            found[run].skips[path] = Done(after["output"], after["port"])
        else:
            found[run].inputs[path] = after
    if passes:
        cursor = await connection.execute(UNKNOWN, (list({run for run, _ in passes}),))
        for run, path, repeat, hash_, sent in await cursor.fetchall():
            found[run].unknown[path] = Lost(repeat, hash_, sent)
    return found
