"""Who drives a run: claiming, reclaiming from the dead, and loading the journal from which a run goes on.

A claim raises the run's epoch; whoever wrote with an older one is fenced. Runs without open calls are claimed in one statement.
A run whose owner died with calls open takes a transaction of three: what comes after the lock sees a fresh snapshot, so it finds who
was quicker, and the calls that were committed last, which it turns into `unknown`. Their reservation is charged: what became of them
is not known.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row

from flows.execution.carried import Carried, load_carried
from flows.execution.queue import BY_AGE, BY_PRIORITY

_CLAIMED: Final = """
SELECT c.*, f.slug AS flow, v.number AS version, p.username AS by
FROM claimed c JOIN flows_flow f ON f.id = c.flow_id JOIN flows_flowversion v ON v.id = c.version_id
LEFT JOIN flows_person p ON p.id = c.started_by_id
"""

_RETURNING: Final = """
RETURNING r.id, r.number, r.flow_id, r.version_id, r.epoch, r.pass, r.seq, r.signals, r.steps, r.cancel_requested, r.paused,
    r.cap_cost, r.cap_tokens, r.cap_steps, r.at_limit, r.saving, r.input, r.handling, r.key, r.tags, r.started_by_id, r.created_at,
    r.started_at, r.claims,
    extract(epoch FROM r.deadline - clock_timestamp())::float8 AS seconds_left
"""

_CLAIM: Final = """
{line}, claimed AS (
    UPDATE flows_run r SET status = 'running', owner = %(me)s, epoch = r.epoch + 1, claims = r.claims + 1, seq = r.seq + 1,
        started_at = coalesce(r.started_at, clock_timestamp()), reason = '', wake_at = NULL, record = 0
    FROM found WHERE r.id = found.id {returning}
), event AS (
    INSERT INTO flows_event (run_id, seq, pass, type, path, at, data)
    SELECT id, seq, pass, CASE WHEN epoch = 1 THEN 'run.started' ELSE 'run.continued' END, '', clock_timestamp(), NULL FROM claimed
) {claimed}
""".replace("{returning}", _RETURNING).replace("{claimed}", _CLAIMED)
CLAIM_QUEUED: Final = _CLAIM.replace("{line}", BY_PRIORITY)
CLAIM_OLDEST: Final = _CLAIM.replace("{line}", BY_AGE)

_ABANDONED: Final = """
FROM flows_run r LEFT JOIN flows_worker w ON w.id = r.owner
WHERE ((r.status = 'running' AND r.owner IS NOT NULL AND r.owner <> %(me)s
        AND (w.id IS NULL OR greatest(w.beat, pg_postmaster_start_time()) < clock_timestamp() - %(lease)s * interval '1 second'))
    OR (r.owner = %(me)s AND r.status = 'running' AND r.id <> ALL(%(driven)s::uuid[])))
"""

LOCK_ABANDONED: Final = f"SELECT r.id {_ABANDONED} ORDER BY r.id LIMIT %(most)s FOR UPDATE OF r SKIP LOCKED"

# A row that another worker took between this one's snapshot and its lock is judged anew, but beside the worker of the old snapshot:
# its new owner looks as gone as the old one. So what was locked is looked at once more.
STILL_ABANDONED: Final = f"SELECT r.id {_ABANDONED} AND r.id = ANY(%(runs)s)"

RECLAIM: Final = """
WITH lost AS (
    UPDATE flows_call c SET status = 'unknown', settled = CASE WHEN c.priced THEN c.reserved END,
        usage_source = 'estimated', ended_at = clock_timestamp(),
        error_class = 'unknown_outcome', error_message = 'The worker died before the outcome was recorded.'
    WHERE c.run_id = ANY(%(runs)s) AND c.status = 'started'
    RETURNING c.run_id, c.reserved, c.reserved_tokens, c.priced
), sums AS MATERIALIZED (
    SELECT run_id, sum(reserved) AS reserved, sum(reserved_tokens) AS tokens, count(*) AS n,
        count(*) FILTER (WHERE NOT priced) AS unpriced FROM lost GROUP BY run_id
), claimed AS (
    UPDATE flows_run r SET status = 'running', owner = %(me)s, epoch = r.epoch + 1, claims = r.claims + 1, seq = r.seq + 1,
        reserved = r.reserved - coalesce(s.reserved, 0), spent = r.spent + coalesce(s.reserved, 0),
        reserved_tokens = r.reserved_tokens - coalesce(s.tokens, 0), spent_tokens = r.spent_tokens + coalesce(s.tokens, 0),
        open_calls = r.open_calls - coalesce(s.n, 0), unpriced = r.unpriced + coalesce(s.unpriced, 0),
        reason = '', wake_at = NULL, record = 0
    FROM unnest(%(runs)s::uuid[]) AS x(id) LEFT JOIN sums s ON s.run_id = x.id WHERE r.id = x.id {returning}
), event AS (
    INSERT INTO flows_event (run_id, seq, pass, type, path, at, data)
    SELECT c.id, c.seq, c.pass, 'run.reclaimed', '', clock_timestamp(), json_build_object('calls', coalesce(s.n, 0))::text
    FROM claimed c LEFT JOIN sums s ON s.run_id = c.id
) {claimed}
""".replace("{returning}", _RETURNING).replace("{claimed}", _CLAIMED)

# Of what is behind the run only the changes of the state and the failures that fail the run are of use: rows inside an outermost
# container that has finished, and of rounds that a loop has left behind, whose row was written after them. (Others that are behind
# come along; the planner passes them over.)
ATTEMPTS: Final = """
WITH behind AS MATERIALIZED (
    SELECT a.run_id, a.seq, a.id, a.path FROM flows_attempt a JOIN flows_run r ON r.id = a.run_id AND r.pass = a.pass
    WHERE a.run_id = ANY(%(runs)s) AND (a.kind = 'loop' AND a.status = 'open'
        OR a.kind IN ('map', 'loop', 'subflow', 'agent') AND a.status IN ('succeeded', 'failed') AND a.path !~ '[[/.]')
)
SELECT a.run_id, a.seq, a.path, a.n, a.kind, a.status, a.port, a.output, a.state, a.error, a.checkpoint,
    extract(epoch FROM a.next_at - clock_timestamp())::float8 AS remaining
FROM flows_attempt a JOIN flows_run r ON r.id = a.run_id AND r.pass = a.pass
WHERE a.run_id = ANY(%(runs)s) AND a.status <> 'skipped'
    AND (a.state IS NOT NULL OR strpos(a.error, '"fails_run":true') > 0 OR NOT EXISTS (
    SELECT 1 FROM behind b WHERE b.run_id = a.run_id AND (b.seq, b.id) > (a.seq, a.id)
        AND (starts_with(a.path, b.path || '[') OR starts_with(a.path, b.path || '/') OR starts_with(a.path, b.path || '.turn['))
)) ORDER BY a.run_id, a.seq, a.id
"""

CALLS: Final = """
SELECT c.run_id, min(c.seq) AS seq, c.path, max(c.attempt) AS attempt, max(c.n) AS n,
    extract(epoch FROM clock_timestamp() - min(c.started_at) - coalesce((
        SELECT sum(coalesce(q.decided_at, clock_timestamp()) - q.created_at) FROM flows_request q
        WHERE q.run_id = c.run_id AND q.pass = max(r.pass) AND q.path = c.path), interval '0'))::float8 AS elapsed,
    coalesce(sum(c.settled), 0) AS spent,
    coalesce(sum(CASE WHEN c.input_tokens IS NULL AND c.usage_source = 'estimated' THEN c.reserved_tokens
        ELSE coalesce(c.input_tokens, 0) + coalesce(c.output_tokens, 0) END), 0)::int AS tokens,
    coalesce((array_agg(c.status ORDER BY c.attempt DESC, c.n DESC))[1], '') AS last,
    (array_agg(c.repeat ORDER BY c.attempt DESC, c.n DESC))[1] AS repeat,
    (array_agg(c.request_hash ORDER BY c.attempt, c.n) FILTER (WHERE c.request_hash <> ''))[1] AS hash,
    (array_agg(json_build_object('target', c.target, 'request', c.request, 'key', c.idempotency_key, 'at', c.started_at)
        ORDER BY c.attempt DESC, c.n DESC) FILTER (WHERE c.kind = 'tool' AND c.status = 'unknown'))[1] AS unresolved
FROM flows_call c JOIN flows_run r ON r.id = c.run_id AND r.pass = c.pass
WHERE c.run_id = ANY(%(runs)s) AND NOT EXISTS (
    SELECT 1 FROM flows_attempt a WHERE a.run_id = c.run_id AND a.pass = c.pass AND a.path = c.path
        AND (a.status = 'succeeded' OR a.status = 'failed' AND a.next_at IS NULL))
GROUP BY c.run_id, c.path
"""

# What was decided in an earlier pass holds where the step was carried into this one.
REQUESTS: Final = """
SELECT q.run_id, q.id, q.path, q.kind, q.state, q.outcome, q.payload, q.answer, q.comment, p.username AS by, q.terms
FROM flows_request q JOIN flows_run r ON r.id = q.run_id LEFT JOIN flows_person p ON p.id = q.decided_by_id
WHERE q.run_id = ANY(%(runs)s) AND (q.pass = r.pass OR q.kind = 'approval' AND EXISTS (
    SELECT 1 FROM flows_attempt a WHERE a.run_id = q.run_id AND a.pass = r.pass AND a.path = q.path AND a.carried))
ORDER BY q.pass, q.round
"""

DELIVERIES: Final = """
SELECT run_id, id, event, payload FROM flows_delivery WHERE run_id = ANY(%(runs)s) AND taken_by = '' ORDER BY id
"""


NEWS: Final = """
SELECT signals, cancel_requested, paused, cap_cost, cap_tokens, cap_steps, at_limit, saving,
    extract(epoch FROM deadline - clock_timestamp())::float8 AS seconds_left
FROM flows_run WHERE id = %s AND owner = %s
"""


@dataclass(slots=True)
class News:
    """What verbs change of a run while it is driven."""

    signals: int
    cancel_requested: bool
    paused: bool
    cap_cost: Decimal | None
    cap_tokens: int | None
    cap_steps: int | None
    at_limit: str
    saving: bool
    seconds_left: float | None


@dataclass(slots=True)
class ClaimedRun:
    """A run as its new owner finds it."""

    id: UUID
    number: int
    flow_id: UUID
    version_id: UUID
    epoch: int
    pass_: int
    seq: int
    signals: int
    steps: int
    cancel_requested: bool
    paused: bool
    cap_cost: Decimal | None
    cap_tokens: int | None
    cap_steps: int | None
    at_limit: str
    saving: bool
    input: str
    handling: dict[str, Any] | None
    key: str | None
    tags: list[str]
    started_by_id: UUID | None
    created_at: datetime
    started_at: datetime
    claims: int
    seconds_left: float | None  # until the run's deadline
    flow: str
    version: int | None  # None: a draft that is tested
    by: str | None


@dataclass(slots=True)
class AttemptRow:
    run_id: UUID
    seq: int
    path: str
    n: int
    kind: str
    status: str
    port: str
    output: str | None
    state: str | None
    error: str | None
    checkpoint: str | None
    remaining: float | None


@dataclass(slots=True)
class OpenPath:
    """The calls of a step that has not come to its end: from which attempt and call it goes on, and what it has spent."""

    run_id: UUID
    seq: int
    path: str
    attempt: int
    n: int
    elapsed: float
    spent: Decimal
    tokens: int
    last: str
    repeat: str
    hash: str | None
    unresolved: dict[str, Any] | None


@dataclass(slots=True)
class RequestRow:
    run_id: UUID
    id: UUID
    path: str
    kind: str
    state: str
    outcome: str
    payload: str
    answer: str | None
    comment: str
    by: str | None
    terms: dict[str, Any]


@dataclass(slots=True)
class DeliveryRow:
    run_id: UUID
    id: UUID
    event: str
    payload: str


@dataclass(slots=True)
class Journal:
    """What is known of one run's earlier lives."""

    attempts: list[AttemptRow]
    open_paths: dict[str, OpenPath]
    requests: list[RequestRow]
    deliveries: list[DeliveryRow]
    carried: Carried


async def claim_queued(connection: AsyncConnection[Any], me: UUID, most: int, *, oldest: bool = False) -> list[ClaimedRun]:
    """Up to `most` queued runs that nobody drives, now ours, in the order of `flows/execution/queue.py`; with `oldest` the oldest
    of each flow, whatever their priority."""
    return await _claimed(connection, CLAIM_OLDEST if oldest else CLAIM_QUEUED, {"me": me, "most": most})


async def reclaim(
    connection: AsyncConnection[Any], me: UUID, most: int, lease: float, driven: Iterable[UUID]
) -> list[ClaimedRun]:
    """Up to `most` runs whose owner's lease has run out, or that are ours without being driven (`driven` are those that are)."""
    async with connection.transaction():
        arguments = {"me": me, "most": most, "lease": lease, "driven": list(driven)}
        cursor = await connection.execute(LOCK_ABANDONED, arguments)
        locked = [row[0] for row in await cursor.fetchall()]
        if not locked:
            return []
        cursor = await connection.execute(STILL_ABANDONED, {**arguments, "runs": locked})
        runs = [row[0] for row in await cursor.fetchall()]
        return await _claimed(connection, RECLAIM, {"me": me, "runs": runs})


async def news_of(connection: AsyncConnection[Any], run: UUID, me: UUID) -> News | None:
    """What others may have changed of a run that we drive; None if we do not."""
    async with connection.cursor(row_factory=class_row(News)) as cursor:
        await cursor.execute(NEWS, (run, me))
        return await cursor.fetchone()


async def load_journals(connection: AsyncConnection[Any], runs: list[UUID]) -> dict[UUID, Journal]:
    """The journals of these runs, read together."""
    carried = await load_carried(connection, runs)
    journals = {run: Journal([], {}, [], [], carried[run]) for run in runs}
    for attempt in await _rows(connection, AttemptRow, ATTEMPTS, runs):
        journals[attempt.run_id].attempts.append(attempt)
    for path in await _rows(connection, OpenPath, CALLS, runs):
        journals[path.run_id].open_paths[path.path] = path
    for request in await _rows(connection, RequestRow, REQUESTS, runs):
        journals[request.run_id].requests.append(request)
    for delivery in await _rows(connection, DeliveryRow, DELIVERIES, runs):
        journals[delivery.run_id].deliveries.append(delivery)
    return journals


async def _claimed(connection: AsyncConnection[Any], statement: str, arguments: dict[str, Any]) -> list[ClaimedRun]:
    cursor = await connection.execute(statement, arguments)
    names = [column.name if column.name != "pass" else "pass_" for column in cursor.description or ()]
    return [ClaimedRun(**dict(zip(names, row, strict=True))) for row in await cursor.fetchall()]


async def _rows(connection: AsyncConnection[Any], kind: type[Any], statement: str, runs: list[UUID]) -> list[Any]:
    async with connection.cursor(row_factory=class_row(kind)) as cursor:
        await cursor.execute(statement, {"runs": runs})
        return await cursor.fetchall()
