"""The journal's one statement: everything that a batch of runs has to say, written and judged at once.

A `Record` is what one run wants to write next: calls that came home, results of steps, calls that are about to begin, and what
becomes of the run (it goes on, parks, ends). The statement below takes the records of many runs and

1. locks the runs in the order of their ids, and keeps those whose epoch is still the sender's (the others are *fenced*);
2. settles the calls that came home, and takes back what was reserved for them;
3. judges every call that wants to begin against the cancel flag, what others have changed that its sender has not read yet, the
   deadline, the kill switch and the caps, with the record's running sum, so that several calls of it cannot overspend together;
4. inserts events, attempts and calls; the events of what it accepted are numbered without gaps, under the run's lock: the sender has
   counted them, so a number is the run's newest, and that count, less what was refused in front of it;
5. updates each run once, and returns only what was *not* accepted.

What came home is accepted even where what wants to begin is not, so no result is lost. A statement in PostgreSQL is atomic: a
record is there as a whole or not at all. (Protocol and figures: docs/architecture.md, "The journal".)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from flows.execution.killswitch import IS_ON

WRITE: Final = """
WITH
h AS MATERIALIZED (
    SELECT * FROM json_to_recordset($1::json) AS h(
        r int, run uuid, epoch int, record int, signals int, steps int, events int, progress boolean,
        begins int, reserve numeric, reserve_tokens bigint,
        fate int, k int, next text, reason text, wake float8, output text, error text
    )
),
m AS MATERIALIZED (
    SELECT h.*, r.* FROM h CROSS JOIN LATERAL (
        SELECT r.id, r.pass, r.seq, r.signals AS now_signals, r.cancel_requested, r.paused, r.deadline, r.open_calls, r.cap_cost,
               r.cap_tokens, r.reserved, r.reserved_tokens, r.spent, r.spent_tokens
        FROM flows_run r WHERE r.id = h.run AND r.epoch = h.epoch AND r.status = 'running' OFFSET 0 FOR NO KEY UPDATE
    ) r
),
settled AS (
    UPDATE flows_call c SET status = s.status, response = s.response, settled = s.cost, usage_source = coalesce(s.usage_source, ''),
        input_tokens = s.input_tokens, cached_input_tokens = s.cached_input_tokens, output_tokens = s.output_tokens,
        reasoning_tokens = s.reasoning_tokens, cache_write_tokens = s.cache_write_tokens, reported = s.reported,
        first_text = s.first_text,
        price_id = coalesce(s.price, c.price_id), error_class = coalesce(s.error_class, ''),
        error_message = coalesce(s.error_message, ''), provider_id = coalesce(s.provider_id, ''), ended_at = clock_timestamp()
    -- The status is judged outside, so that the call is found by its key: a plan made while the table was small would else walk
    -- through the partial index of all calls in flight, once a line.
    FROM json_to_recordset($2::json) AS s(
        r int, call uuid, status text, response text, cost numeric, paid boolean, tokens bigint, usage_source text,
        input_tokens int, cached_input_tokens int, output_tokens int, reasoning_tokens int, cache_write_tokens int,
        reported numeric, first_text float8, price uuid, error_class text, error_message text, provider_id text
    ) JOIN m ON m.r = s.r CROSS JOIN LATERAL (
        SELECT f.ctid, f.status FROM flows_call f WHERE f.id = s.call AND f.epoch = m.epoch OFFSET 0
    ) f WHERE f.status = 'started' AND c.ctid = f.ctid
    RETURNING s.r, c.reserved, c.reserved_tokens, s.cost, s.paid, s.tokens
),
rel AS MATERIALIZED (
    SELECT r, sum(reserved) AS reserved, sum(reserved_tokens) AS reserved_tokens, sum(coalesce(cost, 0)) AS cost,
           sum(coalesce(tokens, 0)) AS tokens, count(*) AS n, count(*) FILTER (WHERE paid AND cost IS NULL) AS unpriced
    FROM settled GROUP BY r
),
b AS MATERIALIZED (
    SELECT b.*, m.run, m.pass, m.epoch, m.seq, CASE
        WHEN m.cancel_requested THEN 'cancelled'
        WHEN m.paused THEN 'paused'
        WHEN m.now_signals <> m.signals THEN 'signalled'
        WHEN m.deadline <= now() THEN 'deadline'
        WHEN {switch} THEN 'kill_switch'
        WHEN m.cap_cost < m.spent + coalesce(rel.cost, 0) + m.reserved - coalesce(rel.reserved, 0) + b.upto THEN 'cost'
        WHEN m.cap_tokens < m.spent_tokens + coalesce(rel.tokens, 0) + m.reserved_tokens - coalesce(rel.reserved_tokens, 0)
            + b.tokens_upto THEN 'tokens'
    END AS verdict
    FROM json_to_recordset($3::json) AS b(
        r int, i int, k int, path text, attempt int, n int, call uuid, kind text, target text, reason text, route text,
        route_version int, repeat text, key uuid, hash text, request text, reserve numeric, reserve_tokens int, upto numeric,
        tokens_upto bigint, price uuid, simulated boolean, priced boolean, cached boolean
    ) JOIN m ON m.r = b.r LEFT JOIN rel ON rel.r = b.r
),
refused AS MATERIALIZED (
    SELECT r, run, i, k, verdict, 1 AS begins, reserve, reserve_tokens FROM b WHERE verdict IS NOT NULL
    UNION ALL
    SELECT r, run, fate, k, verdict, 0, 0, 0 FROM (
        SELECT m.r, m.run, m.fate, m.k, CASE
            WHEN m.next = 'queued' THEN NULL
            WHEN m.next IN ('succeeded', 'failed', 'budget_stopped', 'cancelled') THEN CASE
                WHEN m.cancel_requested AND m.next <> 'cancelled' THEN 'cancelled'
                WHEN m.open_calls > coalesce(rel.n, 0) THEN 'open'
            END
            WHEN m.now_signals <> m.signals OR m.cancel_requested THEN 'signalled'
        END AS verdict
        FROM m LEFT JOIN rel ON rel.r = m.r WHERE m.next IS NOT NULL
    ) f WHERE verdict IS NOT NULL
),
event AS (
    INSERT INTO flows_event (run_id, seq, pass, type, path, at, data)
    SELECT m.run, m.seq + {number}, m.pass, e.event, coalesce(e.path, ''), clock_timestamp(), e.data
    FROM json_to_recordset($4::json) AS e(r int, i int, k int, event text, path text, data text) JOIN m ON m.r = e.r
    WHERE NOT EXISTS (SELECT FROM refused x WHERE x.r = e.r AND x.i = e.i)
),
result AS (
    INSERT INTO flows_attempt (run_id, pass, path, n, kind, status, seq, port, output, state, error, checkpoint, next_at, started_at,
        ended_at)
    SELECT m.run, m.pass, e.path, e.attempt, e.kind, e.status, m.seq + {number}, coalesce(e.port, ''), e.output, e.state, e.error,
        e.checkpoint, coalesce(e.until, clock_timestamp() + e.delay * interval '1 second'), clock_timestamp(),
        CASE WHEN e.status NOT IN ('open', 'waiting') THEN clock_timestamp() END
    FROM json_to_recordset($5::json) AS e(
        r int, k int, path text, attempt int, kind text, status text, port text, output text, state text, error text,
        checkpoint text, delay float8, until timestamptz
    ) JOIN m ON m.r = e.r
    ON CONFLICT (run_id, pass, path, n) DO UPDATE SET status = excluded.status, seq = excluded.seq, port = excluded.port,
        output = excluded.output, state = excluded.state, error = excluded.error, next_at = excluded.next_at,
        ended_at = excluded.ended_at, checkpoint = coalesce(excluded.checkpoint, flows_attempt.checkpoint)
    WHERE flows_attempt.status IN ('open', 'waiting') OR flows_attempt.next_at IS NOT NULL AND excluded.status = 'skipped'
),
begun AS (
    INSERT INTO flows_call (id, run_id, pass, path, attempt, n, epoch, seq, status, kind, target, reason, route, route_version, repeat,
        idempotency_key, request_hash, request, reserved, reserved_tokens, price_id, simulated, priced, cached, usage_source,
        error_class, error_message, provider_id, started_at)
    SELECT call, run, pass, path, attempt, n, epoch, seq + {number}, 'started', kind, target, coalesce(reason, ''),
        coalesce(route, ''), route_version, repeat, key, coalesce(hash, ''), request, reserve, reserve_tokens, price, simulated, priced,
        coalesce(cached, false), '', '', '', '', clock_timestamp()
    FROM b e WHERE verdict IS NULL
),
lost AS MATERIALIZED (
    SELECT r, count(k) AS events, sum(begins) AS begins, sum(reserve) AS reserve, sum(reserve_tokens) AS reserve_tokens,
        bool_or(begins = 0) AS fate FROM refused GROUP BY r
),
u AS MATERIALIZED (
    SELECT m.id, m.record, m.steps, m.progress, m.reason, m.wake, m.output, m.error,
        CASE WHEN lost.fate IS NOT TRUE THEN m.next END AS next,
        m.seq + m.events - coalesce(lost.events, 0) AS seq,
        m.reserve - coalesce(lost.reserve, 0) - coalesce(rel.reserved, 0) AS reserve,
        m.reserve_tokens - coalesce(lost.reserve_tokens, 0) - coalesce(rel.reserved_tokens, 0) AS reserve_tokens,
        m.begins - coalesce(lost.begins, 0) - coalesce(rel.n, 0) AS calls,
        coalesce(rel.cost, 0) AS cost, coalesce(rel.tokens, 0) AS tokens, coalesce(rel.unpriced, 0) AS unpriced
    FROM m LEFT JOIN rel ON rel.r = m.r LEFT JOIN lost ON lost.r = m.r
),
run AS (
    UPDATE flows_run r SET
        seq = u.seq, record = u.record, steps = u.steps,
        claims = CASE WHEN u.progress OR u.next IS NOT NULL THEN 0 ELSE r.claims END,
        reserved = r.reserved + u.reserve, reserved_tokens = r.reserved_tokens + u.reserve_tokens,
        spent = r.spent + u.cost, spent_tokens = r.spent_tokens + u.tokens, unpriced = r.unpriced + u.unpriced,
        open_calls = r.open_calls + u.calls,
        status = coalesce(u.next, r.status),
        owner = CASE WHEN u.next IS NULL THEN r.owner END,
        reason = CASE WHEN u.next IS NULL THEN r.reason ELSE coalesce(u.reason, '') END,
        wake_at = CASE WHEN u.next IN ('waiting_approval', 'waiting', 'retrying')
            THEN clock_timestamp() + u.wake * interval '1 second' END,
        ended_at = CASE WHEN u.next IN ('succeeded', 'failed', 'budget_stopped', 'cancelled') THEN clock_timestamp() END,
        output = CASE WHEN u.next = 'succeeded' THEN u.output ELSE r.output END,
        error = CASE WHEN u.next IN ('failed', 'budget_stopped') THEN u.error ELSE r.error END
    FROM u
    -- The last line is always true. It tells PostgreSQL's planner to expect few rows, so that it looks each run up by its key
    -- instead of reading the whole table beside them; a plan made while the table was small stays for good.
    WHERE r.id = u.id AND u.record >= 0 AND u.steps >= 0 AND u.tokens >= 0 AND u.cost >= 0 AND u.unpriced >= 0
)
SELECT h.run, -1 AS i, 'fenced' AS verdict, 0 AS signals FROM h LEFT JOIN m ON m.r = h.r WHERE m.r IS NULL
UNION ALL SELECT run, i, verdict, 0 FROM refused
UNION ALL SELECT id, -2, 'signalled', now_signals FROM m WHERE now_signals <> signals
""".replace("{number}", "e.k - (SELECT count(*) FROM refused x WHERE x.r = e.r AND x.k <= e.k)").replace("{switch}", IS_ON)

ASK: Final = """
INSERT INTO flows_request (id, run_id, pass, path, kind, round, state, revision, title, terms, show, payload, payload_hash, due,
    outcome, comment, created_at)
SELECT x.id, x.run, r.pass, x.path, x.kind, 1 + coalesce((SELECT max(q.round) FROM flows_request q
        WHERE q.run_id = x.run AND q.pass = r.pass AND q.path = x.path), 0), 'pending', 1, x.title, x.terms, x.show, x.payload, x.hash,
    clock_timestamp() + x.due * interval '1 second', '', '', clock_timestamp()
FROM json_to_recordset(%s::json) AS x(id uuid, run uuid, path text, kind text, title text, terms jsonb, show text, payload text,
    hash text, due float8) JOIN flows_run r ON r.id = x.run
"""

WITHDRAW: Final = """
UPDATE flows_request q SET state = 'withdrawn', revision = revision + 1, decided_at = clock_timestamp()
FROM json_to_recordset(%s::json) AS x(run uuid, path text)
WHERE q.run_id = x.run AND (x.path IS NULL OR q.path = x.path) AND q.state IN ('pending', 'info_requested')
"""

TAKE: Final = """
UPDATE flows_delivery d SET taken_by = x.path FROM json_to_recordset(%s::json) AS x(id uuid, path text)
WHERE d.id = x.id AND d.taken_by = ''
"""

SAVE: Final = """
UPDATE flows_run r SET saving = true FROM json_to_recordset(%s::json) AS x(run uuid) WHERE r.id = x.run
"""

COMMITTED: Final = """
SELECT r.id, r.epoch, r.record, array(SELECT c.id FROM flows_call c WHERE c.id = ANY(%s::uuid[]) AND c.run_id = r.id)
FROM flows_run r WHERE r.id = ANY(%s::uuid[])
"""

Op = dict[str, Any]
"""One line of a record: what it does (`op`: begin, settle, result, note, fate), the event that tells of it, and the columns above that it
fills. Money is text, identifiers are `UUID`, values are JSON text."""


@dataclass(slots=True)
class Record:
    """What one run writes next. All of it is written, or, where its epoch is over, nothing."""

    run: UUID
    epoch: int
    number: int  # counts the owner's records: after a lost connection it tells whether this one was committed
    signals: int  # the run's signals that the sender knows of
    steps: int
    ops: list[Op] = field(default_factory=list)
    asks: list[Op] = field(default_factory=list)
    withdraws: list[Op] = field(default_factory=list)
    takes: list[Op] = field(default_factory=list)
    saves: list[Op] = field(default_factory=list)
    keeps: list[Op] = field(default_factory=list)

    @property
    def rare(self) -> bool:
        """Whether it touches tables beside the hot ones, and so needs a transaction of several statements."""
        return bool(self.asks or self.withdraws or self.takes or self.saves or self.keeps)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a record. `refused` has the reason for each call that may not begin, by its position among the ops."""

    fenced: bool = False
    fate: str | None = None  # why the run may not park or end: cancelled | open | signalled
    refused: dict[int, str] = field(default_factory=dict)
    signals: int | None = None  # the run's signals, where they are not those that the sender knew


ACCEPTED: Final = Verdict()
