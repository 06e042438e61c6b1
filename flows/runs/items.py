"""What is inside the maps and loops of a run: their items or rounds, and how far the steps of their bodies have come.

Rows inside maps are counted by the database, so the number of queries does not depend on how many items there are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from flows.engine.states import ROLL_UP, TERMINAL_STATES
from flows.models import Run
from flows.runs.progress import StepLine

# The state of each path inside a map, then of each item: the first of ROLL_UP that occurs among its steps.
ITEMS = """
WITH newest AS (
    SELECT DISTINCT ON (path) path, status, next_at, started_at, ended_at FROM flows_attempt
    WHERE run_id = %(run)s AND pass = %(pass)s AND path LIKE %(below)s ORDER BY path, n DESC
), calls AS (
    SELECT path, bool_or(status = 'started') AS flying, min(started_at) AS first, max(ended_at) AS last,
        coalesce(sum(settled), 0) AS cost, count(*) AS n, count(*) FILTER (WHERE simulated) AS simulated,
        count(*) FILTER (WHERE settled IS NULL AND kind = 'model'
            AND (status IN ('succeeded', 'unknown') OR usage_source IN ('provider', 'estimated'))) AS unpriced
    FROM flows_call WHERE run_id = %(run)s AND pass = %(pass)s AND path LIKE %(below)s GROUP BY path
), asked AS (
    SELECT DISTINCT path FROM flows_request
    WHERE run_id = %(run)s AND pass = %(pass)s AND path LIKE %(below)s AND state IN ('pending', 'info_requested')
), steps AS (
    SELECT path, CASE
        WHEN a.status IN ('succeeded', 'skipped') THEN a.status
        WHEN a.status = 'failed' AND (a.next_at IS NULL OR %(ended)s) THEN
            CASE WHEN c.flying AND NOT %(ended)s THEN 'running' ELSE 'failed' END
        WHEN %(ended)s THEN 'cancelled'
        WHEN q.path IS NOT NULL THEN 'waiting_approval'
        WHEN c.flying THEN 'running'
        WHEN a.status = 'failed' THEN 'retrying'
        WHEN a.status = 'waiting' THEN 'waiting'
        ELSE 'running' END AS state,
        least(a.started_at, c.first) AS first, coalesce(a.ended_at, c.last) AS last, coalesce(c.cost, 0) AS cost,
        coalesce(c.n, 0) AS calls, coalesce(c.unpriced, 0) AS unpriced, coalesce(c.simulated, 0) AS simulated
    FROM newest a FULL JOIN calls c USING (path) LEFT JOIN asked q USING (path)
), items AS (
    SELECT split_part(path, '[', 1) AS step, split_part(split_part(substr(path, %(skip)s), '[', 2), ']', 1)::int AS item,
        %(prefix)s || split_part(split_part(substr(path, %(skip)s), '[', 2), ']', 1) AS at,
        min(array_position(%(order)s::text[], state)) AS rank, min(first) AS first,
        CASE WHEN bool_and(last IS NOT NULL) THEN max(last) END AS last,
        sum(cost) AS cost, sum(calls) AS calls, sum(unpriced) AS unpriced, sum(simulated) AS simulated
    FROM steps WHERE substr(path, %(skip)s) LIKE '%%[%%' GROUP BY 1, 2, 3
)
"""

COUNTS = f"""{ITEMS}
SELECT true, step, rank, count(*), '' FROM items GROUP BY step, rank
UNION ALL
SELECT false, regexp_replace(path, '\\[\\d+\\]', '', 'g') AS step, array_position(%(order)s::text[], state) AS rank, count(*),
    (array_agg(path ORDER BY first, path))[1]
FROM steps WHERE path LIKE '%%[%%' AND path NOT LIKE '%%/%%' GROUP BY 2, 3
ORDER BY 1, 2, 3
"""  # noqa: S608 - constants
LISTED = f"""{ITEMS}
SELECT item, rank, first, last, cost, calls, unpriced, simulated FROM items
WHERE item > %(after)s AND (%(rank)s::int IS NULL OR rank = %(rank)s) ORDER BY item LIMIT %(most)s
"""  # noqa: S608 - constants


@dataclass(slots=True)
class Body:
    """How often a step of a body has come to each state, and where it did so first."""

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """The one that says most: a failure before all others."""
        return next(iter(self.counts))

    @property
    def most(self) -> int:
        """How often it has come to that state."""
        return self.counts[self.state]

    @property
    def total(self) -> int:
        return sum(self.counts.values())


@dataclass(slots=True)
class Insides:
    """By the path of each map, loop or agent of the flow, how many of its items are in which state; by the path in the document
    (`rate.assess`), how the steps of bodies are. States stand in the order of `ROLL_UP`."""

    items: dict[str, dict[str, int]] = field(default_factory=dict)
    steps: dict[str, Body] = field(default_factory=dict)


def insides_of(run: Run, pass_number: int) -> Insides:
    """What is inside the maps and loops of a run: one query."""
    found = Insides()
    with connection.cursor() as cursor:
        cursor.execute(COUNTS, _values(run, pass_number, ""))
        for of_items, step, rank, count, first in cursor.fetchall():
            state = ROLL_UP[rank - 1]
            if of_items:
                found.items.setdefault(step, {})[state] = count
            else:
                body = found.steps.setdefault(step, Body())
                body.counts[state], body.first[state] = count, first
    return found


_INDEX = re.compile(r"\[\d+\]")


def in_document(path: str) -> str:
    """Where a path of a run stands in the document: `rate[3].assess` in `rate.assess`, what is inside a sub-flow in its step."""
    return _INDEX.sub("", path.partition("/")[0])


def beside(path: str, chosen: str) -> str:
    """The path of a step of a body (`rate.assess`) in the item or round that `chosen` is or is inside of; empty where it is in none."""
    scope, _, key = path.rpartition(".")
    within = (chosen[: match.end()] for match in _INDEX.finditer(chosen))
    return next((f"{each}.{key}" for each in within if in_document(each) == scope), "")


def items_of(
    run: Run, pass_number: int, path: str, after: int, most: int, state: str = "", *, rounds: bool = False
) -> list[StepLine]:
    """The items of the map, or the rounds of the loop, at `path`, in order, behind item `after` (-1: from the first): one query."""
    rank = ROLL_UP.index(state) + 1 if state in ROLL_UP else None
    with connection.cursor() as cursor:
        cursor.execute(LISTED, _values(run, pass_number, path) | {"after": after, "most": most, "rank": rank})
        rows = cursor.fetchall()
    return [
        StepLine(
            path=f"{path}[{item}]",
            name=f"Round {item + 1}" if rounds else f"Item {item}",
            kind="item",
            state=ROLL_UP[at - 1],
            started_at=first,
            ended_at=last,
            calls=calls,
            cost=cost,
            unpriced=unpriced,
            simulated=bool(simulated),
        )
        for item, at, first, last, cost, calls, unpriced, simulated in rows
    ]


def _values(run: Run, pass_number: int, path: str) -> dict[str, Any]:
    prefix = path
    below = prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + ("[%" if prefix else "%[%")
    ended = run.status in TERMINAL_STATES or pass_number < run.pass_number
    return {
        "run": run.id,
        "pass": pass_number,
        "below": below,
        "ended": ended,
        "order": list(ROLL_UP),
        "skip": len(prefix) + 1,
        "prefix": prefix,
    }
