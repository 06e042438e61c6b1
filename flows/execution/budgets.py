"""Budgets: what a real model call may cost at most is held in every budget that applies, before its intent is written.

A hold is one transaction of its own: it locks the periods by rising id, so nobody deadlocks, adds what the call may use to `reserved`
where `spent + reserved` keeps within the limit in *all* of them, and writes one row a period. Only then does the journal judge the
call by the run's own purse. After the call's settlement has been committed, another transaction takes the row away and moves what the
call has cost from `reserved` to `spent`; the row's removal is what counts, so it happens once, whoever comes first.

So at no instant is spent + reserved more than a limit, and a call is counted from before it begins until its bill is in. A call whose
hold finds room only once others are settled waits for them. Where a worker dies, the reconciler goes on: a hold whose call has been
settled is counted; one whose call was never written is given back once the run's epoch has risen, or nobody drives it, since then
that call can no longer begin.

The journal's statement knows nothing of this: a run to which no budget applies pays one look into memory.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from flows.access.installation import money
from flows.engine.paths import enclosing
from flows.execution.context import Intent
from flows.execution.faultpoints import faultpoint
from flows.execution.saying import said
from flows.models.budgets import name_of

log = logging.getLogger(__name__)

LOOKS = 0.1
"""Seconds between two looks at what has been settled."""

RENEWS = 1.0
"""Seconds after which the engine asks again whether there are budgets."""

ANY: Final = "SELECT EXISTS (SELECT 1 FROM flows_budget)"

# The periods of all budgets that apply to a call of this run's step to this model, as they are now; those that are missing are made.
# A period that is a run, or a step of one, begins with the run and does not end.
_APPLY: Final = """
SELECT b.*, x.begins, CASE b.period WHEN 'run' THEN x.begins + interval '1000 years'
        ELSE (x.begins AT TIME ZONE b.zone + ('1 ' || b.period)::interval) AT TIME ZONE b.zone END AS ends,
    CASE b.period WHEN 'run' THEN r.id END AS of_run, CASE b.scope WHEN 'step' THEN %(step)s ELSE '' END AS of_step
FROM flows_budget b CROSS JOIN flows_run r JOIN flows_flow f ON f.id = r.flow_id
LEFT JOIN flows_team t ON t.id = f.team_id LEFT JOIN flows_person p ON p.id = r.started_by_id
CROSS JOIN LATERAL (SELECT CASE b.period WHEN 'run' THEN r.created_at
    ELSE date_trunc(b.period, now() AT TIME ZONE b.zone) AT TIME ZONE b.zone END AS begins) x
WHERE r.id = %(run)s AND (b.cost IS NOT NULL OR b.tokens IS NOT NULL OR b.calls IS NOT NULL)
    AND (b.scope = 'all' OR b.scope = 'flow' AND b.subject = f.slug OR b.scope = 'team' AND b.subject = t.slug
    OR b.scope = 'person' AND b.subject = p.username OR b.scope = 'key' AND b.subject = r.started_key_id::text
    OR b.scope = 'tag' AND r.tags ? b.subject OR b.scope = 'model' AND b.subject = %(model)s
    OR b.scope = 'run' AND b.subject IN ('', f.slug) OR b.scope = 'step' AND b.subject IN ('', f.slug, f.slug || '/' || %(step)s))
"""
OPEN: Final = """
INSERT INTO flows_budgetperiod (id, budget_id, begins, ends, run_id, path)
SELECT gen_random_uuid(), b.id, b.begins, b.ends, b.of_run, b.of_step
FROM ({applying}) b ON CONFLICT (budget_id, begins, run_id, path) DO NOTHING
""".replace("{applying}", _APPLY)
LOCK: Final = """
SELECT s.id, b.id AS budget, s.ends, b.scope, b.subject, b.period, b.at_limit, b.cost AS cost_limit, b.tokens AS tokens_limit,
    b.calls AS calls_limit, s.spent, s.reserved, s.spent_tokens, s.reserved_tokens, s.spent_calls, s.reserved_calls
FROM ({applying}) b JOIN flows_budgetperiod s ON s.budget_id = b.id AND s.begins = b.begins
    AND s.run_id IS NOT DISTINCT FROM b.of_run AND s.path = b.of_step
ORDER BY s.id FOR NO KEY UPDATE OF s
""".replace("{applying}", _APPLY)
HELD: Final = "SELECT 1 FROM flows_budgethold WHERE call_id = %s LIMIT 1"
HOLD: Final = """
WITH held AS (
    INSERT INTO flows_budgethold (call_id, run_id, epoch, period_id, reserved, tokens)
    SELECT %(call)s, %(run)s, %(epoch)s, period, %(cost)s, %(tokens)s FROM unnest(%(periods)s::uuid[]) period
)
UPDATE flows_budgetperiod SET reserved = reserved + %(cost)s, reserved_tokens = reserved_tokens + %(tokens)s,
    reserved_calls = reserved_calls + 1 WHERE id = ANY(%(periods)s)
"""

_LOCK_OF: Final = """
SELECT id FROM flows_budgetperiod WHERE id IN (SELECT period_id FROM flows_budgethold h WHERE {which}) ORDER BY id FOR NO KEY UPDATE
"""
_SETTLE: Final = """
WITH gone AS (
    DELETE FROM flows_budgethold h USING flows_call c WHERE c.id = h.call_id AND c.status <> 'started' AND {which}
    RETURNING h.call_id, h.period_id, h.reserved, h.tokens, c.settled,
        CASE WHEN c.input_tokens IS NULL AND c.usage_source = 'estimated' THEN c.reserved_tokens
            ELSE coalesce(c.input_tokens, 0) + coalesce(c.output_tokens, 0) END AS used,
        c.settled IS NULL AND (c.status IN ('succeeded', 'unknown') OR c.usage_source IN ('provider', 'estimated')) AS unpriced
), sums AS (
    SELECT period_id, sum(reserved) AS reserved, sum(tokens) AS tokens, count(*) AS n, coalesce(sum(settled), 0) AS settled,
        sum(used) AS used, count(*) FILTER (WHERE unpriced) AS unpriced FROM gone GROUP BY period_id
), counted AS (
    UPDATE flows_budgetperiod s SET reserved = s.reserved - sums.reserved, spent = s.spent + sums.settled,
        reserved_tokens = s.reserved_tokens - sums.tokens, spent_tokens = s.spent_tokens + sums.used,
        reserved_calls = s.reserved_calls - sums.n, spent_calls = s.spent_calls + sums.n, unpriced = s.unpriced + sums.unpriced
    FROM sums WHERE s.id = sums.period_id
)
SELECT DISTINCT call_id FROM gone
"""
_RELEASE: Final = """
WITH gone AS (
    DELETE FROM flows_budgethold h WHERE NOT EXISTS (SELECT 1 FROM flows_call c WHERE c.id = h.call_id) AND {which}
    RETURNING h.period_id, h.reserved, h.tokens
), sums AS (
    SELECT period_id, sum(reserved) AS reserved, sum(tokens) AS tokens, count(*) AS n FROM gone GROUP BY period_id
)
UPDATE flows_budgetperiod s SET reserved = s.reserved - sums.reserved, reserved_tokens = s.reserved_tokens - sums.tokens,
    reserved_calls = s.reserved_calls - sums.n FROM sums WHERE s.id = sums.period_id
"""
_OURS: Final = "h.call_id = ANY(%s)"
END_HOLDS: Final = tuple(each.format(which=_OURS) for each in (_LOCK_OF, _SETTLE, _RELEASE))
"""End the holds of some calls for good, in this order, in one transaction: counted where the call was settled, given back where it was
never written. The run is locked before, and fenced where it could still write one."""

# Run rows first, as everywhere: with the run locked nobody writes a call of it meanwhile, and none with the hold's epoch later.
LEFT_BEHIND: Final = """
SELECT r.id FROM flows_run r WHERE r.id IN (SELECT run_id FROM flows_budgethold) AND (r.status <> 'running'
    OR EXISTS (SELECT 1 FROM flows_budgethold h WHERE h.run_id = r.id AND h.epoch < r.epoch))
ORDER BY r.id LIMIT 100 FOR UPDATE SKIP LOCKED
"""
_OF_THEM: Final = """
EXISTS (SELECT 1 FROM flows_run r WHERE r.id = h.run_id AND r.id = ANY(%s) AND (r.status <> 'running' OR h.epoch < r.epoch))
"""
NOTE: Final = """
WITH noted AS (
UPDATE flows_budgetperiod s SET told = s.told || jsonb_build_object(reached.bounds, reached.share) FROM (
    SELECT s.id, concat_ws('/', coalesce(trim_scale(b.cost)::text, '-'), coalesce(b.tokens::text, '-'),
        coalesce(b.calls::text, '-')) AS bounds, (SELECT max(w::int) FROM jsonb_array_elements_text(b.warn || '[100]'::jsonb) w
        WHERE b.cost > 0 AND s.spent * 100 >= b.cost * w::int OR b.tokens > 0 AND s.spent_tokens * 100 >= b.tokens * w::int
            OR b.calls > 0 AND s.spent_calls * 100 >= b.calls * w::int) AS share
    FROM flows_budgetperiod s JOIN flows_budget b ON b.id = s.budget_id WHERE s.ends > now() AND s.run_id IS NULL
) reached WHERE s.id = reached.id AND reached.share > coalesce((s.told ->> reached.bounds)::int, 0)
RETURNING s.budget_id, reached.share, s.spent
)
INSERT INTO flows_auditrow (at, actor_name, door, action, subject_kind, subject, data)
SELECT now(), 'budgets', 'worker', 'budget.reached', 'budget', trim(b.scope || ' ' || b.subject) || ', ' || b.period,
    jsonb_build_object('id', b.id, 'share', n.share, 'spent', n.spent::text, 'limit', b.cost::text)
FROM noted n JOIN flows_budget b ON b.id = n.budget_id
"""


@dataclass(slots=True)
class PeriodRow:
    """One period of a budget that applies, locked."""

    id: UUID
    budget: UUID
    ends: datetime
    scope: str
    subject: str
    period: str
    at_limit: str
    cost_limit: Decimal | None
    tokens_limit: int | None
    calls_limit: int | None
    spent: Decimal
    reserved: Decimal
    spent_tokens: int
    reserved_tokens: int
    spent_calls: int
    reserved_calls: int

    @property
    def name(self) -> str:
        return name_of(self.scope, self.subject, self.period)

    def used_and_limit(self, which: str) -> tuple[Any, Any]:
        """What was spent of a measure for good, and its limit."""
        return {
            "cost": (self.spent, self.cost_limit),
            "tokens": (self.spent_tokens, self.tokens_limit),
            "calls": (self.spent_calls, self.calls_limit),
        }[which]

    def short_of(self, intent: Intent, *, settled: bool) -> str:
        """Which measure has no room for the call; empty where all have. With `settled` only what is spent for good counts."""
        held = (Decimal(0), 0, 0) if settled else (self.reserved, self.reserved_tokens, self.reserved_calls)
        if self.cost_limit is not None and self.spent + held[0] + intent.reserve > self.cost_limit:
            return "cost"
        if self.tokens_limit is not None and self.spent_tokens + held[1] + intent.reserve_tokens > self.tokens_limit:
            return "tokens"
        if self.calls_limit is not None and self.spent_calls + held[2] + 1 > self.calls_limit:
            return "calls"
        return ""


@dataclass(frozen=True, slots=True)
class Reached:
    """A budget that has no room for a call, and what it says is to be done."""

    period: PeriodRow
    which: str  # cost | tokens | calls | unpriced
    at_limit: str
    message: str
    waits: bool = False  # whether calls in flight may still make room


class Budgets:
    """One an engine process, on its loop."""

    def __init__(self, pool: Callable[[], AsyncConnectionPool[AsyncConnection[Any]]]) -> None:
        self._pool = pool
        self._held: set[UUID] = set()
        self._errands: set[asyncio.Task[None]] = set()
        self.any = False

    async def hold(self, run: UUID, epoch: int, call: UUID, intent: Intent, path: str = "") -> Reached | None:
        """Holds what the call may use in every budget that applies; gives the budget that has no room for it, and holds nothing then.
        Waits as long as calls in flight may make room."""
        self._held.add(call)  # before it is asked for: where that is broken off, it may have been granted
        while True:
            try:
                async with self._pool().connection() as connection:
                    reached = await held(connection, run, epoch, call, intent, path)
            except (psycopg.Error, PoolTimeout, OSError) as error:
                log.warning("budgets: %s; tried again", said(error))
                await asyncio.sleep(LOOKS * 5)
                continue
            if reached is None:
                return None
            if not reached.waits:
                self._held.discard(call)
                return reached
            await asyncio.sleep(LOOKS)

    def let_go(self, call: UUID) -> None:
        """The call was refused and does not begin any more: what is held for it, if anything is, is given back."""
        if call in self._held:
            self._held.discard(call)
            task = asyncio.get_running_loop().create_task(self._release(call))
            self._errands.add(task)
            task.add_done_callback(self._errands.discard)

    async def _release(self, call: UUID) -> None:
        try:
            async with self._pool().connection() as connection, connection.transaction():
                await connection.execute(_LOCK_OF.format(which=_OURS), ([call],))
                await connection.execute(_RELEASE.format(which=_OURS), ([call],))
        except (psycopg.Error, PoolTimeout, OSError) as error:
            log.warning("budgets: %s; the reconciler will give back what is held", said(error))

    async def run(self) -> None:
        """Counts what has been settled, for ever."""
        looked = float("-inf")
        loop, own = asyncio.get_running_loop(), asyncio.current_task()
        while own is None or not own.cancelling():  # a client may swallow the cancellation; the engine ends all the same
            try:
                if loop.time() - looked >= RENEWS:
                    async with self._pool().connection() as connection:
                        row = await (await connection.execute(ANY)).fetchone()
                    self.any, looked = bool(row and row[0]), loop.time()
                if self._held:
                    calls = list(self._held)
                    async with self._pool().connection() as connection:
                        self._held.difference_update(await settle(connection, calls))
            except (psycopg.Error, PoolTimeout, OSError) as error:
                log.warning("budgets: %s", said(error))
            await asyncio.sleep(LOOKS)


async def held(
    connection: AsyncConnection[Any], run: UUID, epoch: int, call: UUID, intent: Intent, path: str = ""
) -> Reached | None:
    """Holds what the call may use in every budget that applies, all or none. Doing it again holds nothing more. `path` is that of the
    step that makes the call; what is inside a step counts as the step's."""
    who = {"run": run, "model": intent.target, "step": next(enclosing(path), path)}
    async with connection.transaction():
        await connection.execute(OPEN, who)
        async with connection.cursor(row_factory=class_row(PeriodRow)) as cursor:
            await cursor.execute(LOCK, who)
            periods = await cursor.fetchall()
        if not periods or await (await connection.execute(HELD, (call,))).fetchone():
            return None
        for period in periods:
            reached = _reached(period, intent)
            if reached is not None:
                return reached
        figures = {"call": call, "run": run, "epoch": epoch, "cost": intent.reserve, "tokens": intent.reserve_tokens}
        await connection.execute(HOLD, figures | {"periods": [period.id for period in periods]})
        faultpoint("budgets.before_hold")
    faultpoint("budgets.after_hold")
    return None


async def settle(connection: AsyncConnection[Any], calls: list[UUID]) -> list[UUID]:
    """Counts those of the calls that have been settled, once each; gives them."""
    async with connection.transaction():
        await connection.execute(_LOCK_OF.format(which=_OURS), (calls,))
        found = [row[0] for row in await (await connection.execute(_SETTLE.format(which=_OURS), (calls,))).fetchall()]
        if found:
            faultpoint("budgets.before_count")
    if found:
        faultpoint("budgets.after_count")
    return found


async def settle_left_behind(connection: AsyncConnection[Any]) -> None:
    """What a worker that died had held: counted where the call was settled, given back where it can never begin."""
    async with connection.transaction():
        runs = [row[0] for row in await (await connection.execute(LEFT_BEHIND)).fetchall()]
        if runs:
            await connection.execute(_LOCK_OF.format(which=_OF_THEM), (runs,))
            await connection.execute(_SETTLE.format(which=_OF_THEM), (runs,))
            await connection.execute(_RELEASE.format(which=_OF_THEM), (runs,))


async def note_thresholds(connection: AsyncConnection[Any]) -> None:
    """Marks the periods that have passed one of their shares, once each, with a row of the audit log. A share of a limit that was
    changed since is another one; that of a limit that comes back is not."""
    await connection.execute(NOTE)


def _reached(period: PeriodRow, intent: Intent) -> Reached | None:
    if period.at_limit == "notify":
        return None
    if period.cost_limit is not None and not intent.priced and not intent.allow_unpriced:
        message = (
            f"The price of {intent.target} is not known and the budget {period.name} is of money; add one to the price book."
        )
        return Reached(period, "unpriced", "stop", message)
    which = period.short_of(intent, settled=False)
    if not which:
        return None
    message = (
        f"The budget {period.name} has no room for another call of up to {money(f'{intent.reserve.normalize():f}')} ({which})."
    )
    return Reached(period, which, period.at_limit, message, waits=not period.short_of(intent, settled=True))
