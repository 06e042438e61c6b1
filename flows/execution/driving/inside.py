"""What an earlier owner of a run did inside its open containers, and for how long its bounded steps have been going on.

Read when a run is taken up, and only for steps that have a limit or a time of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import orjson
from psycopg import AsyncConnection

from flows.engine.graph import Flow, Node
from flows.engine.paths import enclosing, place_of
from flows.engine.plan import Child
from flows.execution.claims import AttemptRow, Journal

USED: Final = """
SELECT coalesce(sum(c.settled), 0),
    coalesce(sum(CASE WHEN c.input_tokens IS NULL AND c.usage_source = 'estimated' THEN c.reserved_tokens
        ELSE coalesce(c.input_tokens, 0) + coalesce(c.output_tokens, 0) END), 0)::bigint
FROM flows_call c JOIN flows_run r ON r.id = c.run_id AND r.pass = c.pass
WHERE c.run_id = %s AND starts_with(c.path, %s)
"""

BEGUN: Final = """
SELECT a.path FROM flows_attempt a JOIN flows_run r ON r.id = a.run_id AND r.pass = a.pass
WHERE a.run_id = %(run)s AND starts_with(a.path, %(prefix)s) AND a.status <> 'skipped' AND NOT a.carried
UNION SELECT c.path FROM flows_call c JOIN flows_run r ON r.id = c.run_id AND r.pass = c.pass
WHERE c.run_id = %(run)s AND starts_with(c.path, %(prefix)s)
"""

# What was carried into this pass has all its time again.
TIMES: Final = """
SELECT extract(epoch FROM clock_timestamp() - t.began)::float8,
    array(SELECT ARRAY[extract(epoch FROM greatest(q.created_at, t.began) - t.began)::float8,
            extract(epoch FROM coalesce(q.decided_at, clock_timestamp()) - t.began)::float8]
        FROM flows_request q WHERE q.run_id = t.run_id AND q.pass = t.pass AND (q.path = '' OR starts_with(q.path, %(prefix)s))
        ORDER BY q.created_at)
FROM (SELECT a.run_id, a.pass, greatest(min(a.started_at), min(p.at)) AS began FROM flows_attempt a
    JOIN flows_run r ON r.id = a.run_id AND r.pass = a.pass
    LEFT JOIN flows_runpass p ON p.run_id = a.run_id AND p.number = a.pass
    WHERE a.run_id = %(run)s AND a.path = %(path)s GROUP BY a.run_id, a.pass) t
"""


@dataclass(frozen=True, slots=True)
class Inside:
    """Of one step: what was charged inside, how many steps began there, and for how many seconds it has been going on, with and
    without the waits for people."""

    cost: Decimal = Decimal(0)
    tokens: int = 0
    steps: int = 0
    age: float = 0.0
    working: float = 0.0


async def read_inside(
    connection: AsyncConnection[Any], run: UUID, flow: Flow, journal: Journal, subflows: Mapping[str, Child]
) -> dict[str, Inside]:
    """By path: the open containers and the waiting steps of a run that have limits or times."""
    inside = {}
    graphs = {path: child.flow.graph for path, child in subflows.items()}
    for row in journal.attempts:
        if row.status in {"open", "waiting"} and (place := place_of(flow, row.path, graphs)) is not None:
            child = subflows.get(row.path)
            if _is_bounded(place.node) or (child is not None and _bounds_itself(child, row)):
                prefix = row.path + ("/" if child is not None else ".turn[" if row.kind == "agent" else "[")
                inside[row.path] = await _read(connection, run, row.path, prefix)
    return inside


def _bounds_itself(child: Child, row: AttemptRow) -> bool:
    return child.flow.document.limits is not None or "within" in orjson.loads(row.checkpoint or "{}")


def _is_bounded(node: Node) -> bool:
    return node.limits is not None or node.timeout is not None or node.deadline is not None


async def _read(connection: AsyncConnection[Any], run: UUID, path: str, prefix: str) -> Inside:
    values = {"run": run, "path": path, "prefix": prefix}
    used = await (await connection.execute(USED, (run, prefix))).fetchone()
    begun = await (await connection.execute(BEGUN, values)).fetchall()
    times = await (await connection.execute(TIMES, values)).fetchone()
    cost, tokens = used or (Decimal(0), 0)
    age, asked = times or (0.0, [])
    return Inside(cost, tokens, count_steps(path, (row[0] for row in begun)), age, age - covered(asked or []))


def count_steps(container: str, paths: Iterable[str]) -> int:
    """How many steps have begun inside a container: each path, and each item or round on the way to it. An agent's turns are no
    items."""
    steps = {container, *paths}
    around = {each for path in steps for each in enclosing(path) if each.endswith("]")}
    items = {each for each in around - steps if each.rpartition("[")[0] in steps}
    return len(steps) - 1 + len(items)


def covered(spans: Iterable[Iterable[float]]) -> float:
    """The length of what is in at least one of these spans, which are in the order of their beginnings."""
    total, reached = 0.0, 0.0
    for begin, end in spans:
        total += max(end - max(begin, reached), 0.0)
        reached = max(reached, end)
    return total
