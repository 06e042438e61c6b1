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

# The state of each path inside a map or loop; then how many items are in which state (the first of ROLL_UP that occurs among the steps
# of each), the same of the steps of bodies, and the page of items that is looked at. The rows of a long run are read once for all three.
INSIDES = """
WITH newest AS (
    SELECT DISTINCT ON (path) path, status, next_at, started_at, ended_at FROM flows_attempt
    WHERE run_id = %(run)s AND pass = %(pass)s AND path LIKE '%%[%%' ORDER BY path, n DESC
), calls AS (
    SELECT path, bool_or(status = 'started') AS flying, min(started_at) AS first, max(ended_at) AS last,
        coalesce(sum(settled), 0) AS cost, count(*) AS n, count(*) FILTER (WHERE simulated) AS simulated,
        count(*) FILTER (WHERE settled IS NULL AND kind = 'model'
            AND (status IN ('succeeded', 'unknown') OR usage_source IN ('provider', 'estimated'))) AS unpriced
    FROM flows_call WHERE run_id = %(run)s AND pass = %(pass)s AND path LIKE '%%[%%' GROUP BY path
), asked AS (
    SELECT DISTINCT path FROM flows_request
    WHERE run_id = %(run)s AND pass = %(pass)s AND path LIKE '%%[%%' AND state IN ('pending', 'info_requested')
), steps AS (
    SELECT path, array_position(%(order)s::text[], CASE
        WHEN a.status IN ('succeeded', 'skipped') THEN a.status
        WHEN a.status = 'failed' AND (a.next_at IS NULL OR %(ended)s) THEN
            CASE WHEN c.flying AND NOT %(ended)s THEN 'running' ELSE 'failed' END
        WHEN %(ended)s THEN 'cancelled'
        WHEN q.path IS NOT NULL THEN 'waiting_approval'
        WHEN c.flying THEN 'running'
        WHEN a.status = 'failed' THEN 'retrying'
        WHEN a.status = 'waiting' THEN 'waiting'
        ELSE 'running' END) AS rank,
        least(a.started_at, c.first) AS first, coalesce(a.ended_at, c.last) AS last, coalesce(c.cost, 0) AS cost,
        coalesce(c.n, 0) AS calls, coalesce(c.unpriced, 0) AS unpriced, coalesce(c.simulated, 0) AS simulated
    FROM newest a FULL JOIN calls c USING (path) LEFT JOIN asked q USING (path)
), items AS (
    SELECT split_part(path, ']', 1) AS item, min(rank) AS rank FROM steps GROUP BY 1
), bodies AS (
    SELECT path, rank, first, CASE WHEN path LIKE '%%[%%[%%' THEN regexp_replace(path, '\\[\\d+\\]', '', 'g')
        ELSE split_part(path, '[', 1) || split_part(path, ']', 2) END AS step
    FROM steps WHERE path NOT LIKE '%%/%%'
), page AS (
    SELECT split_part(substr(path, %(skip)s), ']', 1)::int AS item, min(rank) AS rank, min(first) AS first,
        CASE WHEN bool_and(last IS NOT NULL) THEN max(last) END AS last,
        sum(cost) AS cost, sum(calls) AS calls, sum(unpriced) AS unpriced, sum(simulated) AS simulated
    FROM steps WHERE path LIKE %(below)s GROUP BY 1
)
SELECT 'item' AS what, split_part(item, '[', 1) AS step, rank, count(*), NULL::int AS item,
    NULL::timestamptz AS first, NULL::timestamptz AS last, NULL::numeric AS cost, 0::numeric, 0::numeric, 0::numeric
FROM items GROUP BY 2, 3
UNION ALL
SELECT 'body', step || ' ' || (array_agg(path ORDER BY first, path))[1], rank, count(*), NULL, NULL, NULL, NULL, 0, 0, 0
FROM bodies GROUP BY step, rank
UNION ALL
(SELECT 'page', '', rank, 1, item, first, last, cost, calls, unpriced, simulated FROM page
    WHERE item > %(after)s AND (%(rank)s::int IS NULL OR rank = %(rank)s) ORDER BY item LIMIT %(most)s)
ORDER BY 1, 5, 3, 2
"""


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


@dataclass(frozen=True, slots=True)
class Looked:
    """Which items are looked at: those of the map, or the rounds of the loop, at `path`, behind item `after` (-1: from the first), in one
    state where one is named, at most so many."""

    path: str
    after: int
    most: int
    state: str = ""
    rounds: bool = False


@dataclass(slots=True)
class Insides:
    """By the path of each map, loop or agent of the flow, how many of its items are in which state; by the path in the document
    (`rate.assess`), how the steps of bodies are. States stand in the order of `ROLL_UP`. `page` are the items that are looked at."""

    items: dict[str, dict[str, int]] = field(default_factory=dict)
    steps: dict[str, Body] = field(default_factory=dict)
    page: list[StepLine] = field(default_factory=list)


def insides_of(run: Run, pass_number: int, looked: Looked | None = None) -> Insides:
    """What is inside the maps and loops of a run, and the items that are looked at: one query."""
    found = Insides()
    with connection.cursor() as cursor:
        cursor.execute(INSIDES, _values(run, pass_number, looked))
        for what, step, rank, count, item, first, last, cost, calls, unpriced, simulated in cursor.fetchall():
            state = ROLL_UP[rank - 1]
            if what == "item":
                found.items.setdefault(step, {})[state] = count
            elif what == "body":
                key, _, path = step.partition(" ")
                body = found.steps.setdefault(key, Body())
                body.counts[state], body.first[state] = count, path
            elif looked is not None:
                line = StepLine(f"{looked.path}[{item}]", f"Round {item + 1}" if looked.rounds else f"Item {item}", "item", state)
                line.started_at, line.ended_at, line.cost = first, last, cost
                line.calls, line.unpriced, line.simulated = int(calls), int(unpriced), bool(simulated)
                found.page.append(line)
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


def _values(run: Run, pass_number: int, looked: Looked | None) -> dict[str, Any]:
    path, state = (looked.path, looked.state) if looked is not None else ("", "")
    escaped = path.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return {
        "run": run.id,
        "pass": pass_number,
        "ended": run.status in TERMINAL_STATES or pass_number < run.pass_number,
        "order": list(ROLL_UP),
        "below": f"{escaped}[%" if looked is not None else "",
        "skip": len(path) + 2,
        "after": looked.after if looked is not None else -1,
        "most": looked.most if looked is not None else 0,
        "rank": ROLL_UP.index(state) + 1 if state in ROLL_UP else None,
    }
