"""Permits: calls of all workers together keep within what a model or a tool takes.

Who wants to call something with limits (`CallLimits`) first takes a permit; the intent is committed, and money reserved, only
afterwards. Redis counts, by one script and by its own clock: calls in flight as leases that expire, so that those of a killed worker
come back by themselves, and requests and tokens of the last minute in windows of a second.

Redis may forget: then its counters are rebuilt from the ledger. Redis may be gone: then each worker keeps to its share, the limit
divided by the number of live workers, so that together they pass no limit.

Within a process the runs that wait for the same target take turns, one permit each: a map of 10,000 items does not stand before a
single run.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import psycopg
import redis.asyncio
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from flows.engine.calllimits import CallLimits
from flows.engine.failures import BadRequest

log = logging.getLogger(__name__)

LEASE = 15.0
"""Seconds that a call in flight counts without a word of its worker."""

WINDOW = 60
"""Seconds of what "a minute" means."""

ASKS_AGAIN = 0.1
"""Seconds after which a refused permit is asked for again: another worker's call may have ended."""

REDIS_PATIENCE = 0.5
REDIS_RESTS = 1.0
"""Seconds after a failure in which Redis is not asked."""

FORGOTTEN, TAKEN = -2, -1

# KEYS: leases, windows · ARGV: call, lease in ms, in_flight, requests, tokens (each -1: any number), tokens of this call.
# Gives FORGOTTEN, TAKEN, or the milliseconds after which it may be worth asking again.
TAKE: Final = """
local now = redis.call('TIME')
local ms, second = now[1] * 1000 + math.floor(now[2] / 1000), tonumber(now[1])
if redis.call('HEXISTS', KEYS[2], 'born') == 0 then return -2 end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ms)
local flight, requests, tokens = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
if flight >= 0 and redis.call('ZCARD', KEYS[1]) >= flight then return 1000 end
if requests >= 0 or tokens >= 0 then
    local n, sum, oldest, all = 0, 0, second, redis.call('HGETALL', KEYS[2])
    for i = 1, #all, 2 do
        local kind, at = string.match(all[i], '^(%a)(%d+)$')
        if at then
            at = tonumber(at)
            if at <= second - 61 then redis.call('HDEL', KEYS[2], all[i])
            else
                if kind == 'r' then n = n + tonumber(all[i + 1]) else sum = sum + tonumber(all[i + 1]) end
                if at < oldest then oldest = at end
            end
        end
    end
    if (requests >= 0 and n + 1 > requests) or (tokens >= 0 and sum + tonumber(ARGV[6]) > tokens) then
        return (oldest + 61) * 1000 - ms
    end
    redis.call('HINCRBY', KEYS[2], 'r' .. second, 1)
    redis.call('HINCRBY', KEYS[2], 't' .. second, ARGV[6])
end
redis.call('ZADD', KEYS[1], ms + ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], 86400000)
redis.call('PEXPIRE', KEYS[2], 86400000)
return -1
"""

# ARGV: lease in ms, call, … : renews the leases of these calls; one that Redis has lost is there again.
RENEW: Final = """
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], ms + ARGV[1], ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], 86400000)
return 0
"""

# ARGV: lease in ms, number of calls in flight, the calls, then (seconds ago, requests, tokens) …: what the ledger knows.
RESTORE: Final = """
if redis.call('HSETNX', KEYS[2], 'born', 1) == 0 then return 0 end
local now = redis.call('TIME')
local ms, second, n = now[1] * 1000 + math.floor(now[2] / 1000), tonumber(now[1]), tonumber(ARGV[2])
for i = 3, 2 + n do redis.call('ZADD', KEYS[1], ms + ARGV[1], ARGV[i]) end
for i = 3 + n, #ARGV, 3 do
    redis.call('HINCRBY', KEYS[2], 'r' .. (second - ARGV[i]), ARGV[i + 1])
    redis.call('HINCRBY', KEYS[2], 't' .. (second - ARGV[i]), ARGV[i + 2])
end
return 1
"""

IN_FLIGHT: Final = """
SELECT id FROM flows_call WHERE status = 'started' AND kind = %s AND target = %s
"""
LAST_MINUTE: Final = """
SELECT floor(extract(epoch FROM clock_timestamp() - started_at))::int, count(*), sum(reserved_tokens) FROM flows_call
WHERE kind = %s AND target = %s AND started_at > clock_timestamp() - interval '61 seconds' GROUP BY 1
"""
LIVE: Final = "SELECT id FROM flows_worker WHERE beat > clock_timestamp() - %s * interval '1 second' ORDER BY id"


@dataclass(slots=True)
class _Waiter:
    run: UUID
    call: UUID
    tokens: int
    granted: asyncio.Future[None]


@dataclass(slots=True)
class _Target:
    """What this process knows of one model or tool."""

    limits: CallLimits
    waiting: OrderedDict[UUID, deque[_Waiter]] = field(default_factory=OrderedDict)  # by run; the first run is next
    held: dict[UUID, UUID] = field(default_factory=dict)  # calls in flight here, with their run
    begun: deque[tuple[float, int]] = field(default_factory=deque)  # (monotonic second, tokens) of the last minute, here
    freed: asyncio.Event = field(default_factory=asyncio.Event)
    pump: asyncio.Task[None] | None = None

    @property
    def keys(self) -> tuple[str, str]:
        return f"permits:{{{self.limits.target}}}:flight", f"permits:{{{self.limits.target}}}:minute"


class Permits:
    """One an engine process, on its loop."""

    def __init__(
        self, redis_address: str, worker: UUID, lease: float, pool: Callable[[], AsyncConnectionPool[AsyncConnection[Any]]]
    ) -> None:
        once = Retry(NoBackoff(), 0)
        self._redis = redis.asyncio.from_url(
            redis_address, socket_timeout=REDIS_PATIENCE, socket_connect_timeout=REDIS_PATIENCE, retry=once
        )
        self._take = self._redis.register_script(TAKE)
        self._renew = self._redis.register_script(RENEW)
        self._restore = self._redis.register_script(RESTORE)
        self._worker, self._worker_lease, self._pool = worker, lease, pool
        self._targets: dict[str, _Target] = {}
        self._of_call: dict[UUID, _Target] = {}
        self._redis_rests_until = float("-inf")
        self._place: tuple[int, int] = (0, 0)  # (this worker's place among the live ones, their number); (0, 0): not known
        self._place_read = float("-inf")
        self._errands: set[asyncio.Task[Any]] = set()

    async def take(self, limits: CallLimits, run: UUID, call: UUID, tokens: int) -> None:
        """Returns once the call may begin; it counts until `give_back`. Ends by cancellation at any time without a trace.

        Raises `BadRequest` where the call alone is more than a minute allows.
        """
        if limits.tokens is not None and tokens > limits.tokens:
            raise BadRequest(
                f"The call may use {tokens:,} tokens; {limits.name} takes {limits.tokens:,} a minute. Ask for less output, or raise "
                "the limit in the catalogue."
            )
        target = self._targets.get(limits.target)
        if target is None:
            target = self._targets[limits.target] = _Target(limits)
        target.limits = limits
        waiter = _Waiter(run, call, tokens, asyncio.get_running_loop().create_future())
        target.waiting.setdefault(run, deque()).append(waiter)
        if target.pump is None or target.pump.done():
            target.pump = asyncio.get_running_loop().create_task(self._serve(target))
        try:
            await waiter.granted
        except asyncio.CancelledError:
            self.give_back(call)
            raise

    def give_back(self, call: UUID) -> None:
        """The call has ended, or never begins. One without a permit is nothing to it."""
        target = self._of_call.pop(call, None)
        if target is not None:
            target.held.pop(call, None)
            task = asyncio.get_running_loop().create_task(self._returned(target, call))
            self._errands.add(task)
            task.add_done_callback(self._errands.discard)

    def let_go(self, run: UUID) -> None:
        """Nothing of this run is in flight here any more."""
        for call in [call for call, target in self._of_call.items() if target.held.get(call) == run]:
            self.give_back(call)

    async def run(self) -> None:
        """Renews the leases of what is in flight, for ever."""
        try:
            while True:
                await asyncio.sleep(LEASE / 3)
                for target in list(self._targets.values()):
                    if target.held:
                        await self._ask(self._renew(keys=target.keys[:1], args=[_ms(LEASE), *(call.hex for call in target.held)]))
        finally:
            for target in self._targets.values():
                if target.pump is not None:
                    target.pump.cancel()
            await self._redis.aclose()

    # ------------------------------------------------------------------ who is next

    async def _serve(self, target: _Target) -> None:
        """Hands permits to the runs that wait, in turns, as long as any waits."""
        while target.waiting:
            run, line = next(iter(target.waiting.items()))
            while line and line[0].granted.done():  # broken off meanwhile
                line.popleft()
            if not line:
                del target.waiting[run]
                continue
            target.freed.clear()
            rest = await self._granted(target, line[0])
            if rest is not None:
                try:
                    async with asyncio.timeout(min(rest, ASKS_AGAIN)):
                        await target.freed.wait()
                except TimeoutError:
                    pass
                continue
            waiter = line.popleft()
            if line:
                target.waiting.move_to_end(run)
            else:
                del target.waiting[run]
            target.held[waiter.call] = run
            self._of_call[waiter.call] = target
            if waiter.granted.done():
                self.give_back(waiter.call)
            else:
                waiter.granted.set_result(None)

    async def _granted(self, target: _Target, waiter: _Waiter) -> float | None:
        """None where the permit was given, else the seconds after which it may be worth asking again."""
        limits = target.limits
        wanted = [-1 if each is None else each for each in (limits.in_flight, limits.requests, limits.tokens)]
        arguments: list[Any] = [waiter.call.hex, _ms(LEASE), *wanted, waiter.tokens]
        answer = await self._ask(self._take(keys=target.keys, args=arguments))
        if answer == FORGOTTEN:
            await self._rebuild(target)
            answer = await self._ask(self._take(keys=target.keys, args=arguments))
        if answer == TAKEN:
            self._note(target, waiter.tokens)
            return None
        if answer is not None and answer != FORGOTTEN:
            return max(float(answer) / 1000, 0.005)
        return await self._granted_alone(target, waiter)

    # ------------------------------------------------------------------ without Redis

    async def _granted_alone(self, target: _Target, waiter: _Waiter) -> float | None:
        """The same by this worker's share of each limit."""
        place, live = await self._place_among_workers()
        if not live:
            return REDIS_RESTS  # neither Redis nor PostgreSQL: nothing begins
        limits = target.limits
        self._note(target, None)
        requests, tokens = len(target.begun), sum(each for _, each in target.begun)
        room = (
            (limits.in_flight is None or len(target.held) < _share(limits.in_flight, place, live))
            and (limits.requests is None or requests < _share(limits.requests, place, live))
            and (limits.tokens is None or tokens + waiter.tokens <= _share(limits.tokens, place, live))
        )
        if not room:
            return REDIS_RESTS
        self._note(target, waiter.tokens)
        return None

    async def _place_among_workers(self) -> tuple[int, int]:
        if time.monotonic() - self._place_read > REDIS_RESTS:
            try:
                async with self._pool().connection(timeout=1.0) as connection:
                    rows = await (await connection.execute(LIVE, (self._worker_lease,))).fetchall()
                workers = [row[0] for row in rows]
                self._place = (workers.index(self._worker), len(workers)) if self._worker in workers else (0, 0)
                self._place_read = time.monotonic()
            except (psycopg.Error, PoolTimeout, OSError) as error:
                log.warning("permits: neither Redis nor the number of workers is known: %s", type(error).__name__)
                self._place = (0, 0)
        return self._place

    @staticmethod
    def _note(target: _Target, tokens: int | None) -> None:
        """Remembers what began here, and forgets what began more than a minute ago."""
        now = time.monotonic()
        while target.begun and target.begun[0][0] < now - WINDOW - 1:
            target.begun.popleft()
        if tokens is not None:
            target.begun.append((now, tokens))

    # ------------------------------------------------------------------ Redis

    async def _rebuild(self, target: _Target) -> None:
        """Redis knows nothing of this target: it is told what the ledger knows."""
        kind, _, slug = target.limits.target.partition(":")
        try:
            async with self._pool().connection(timeout=2.0) as connection:
                flying = [row[0].hex for row in await (await connection.execute(IN_FLIGHT, (kind, slug))).fetchall()]
                minute = await (await connection.execute(LAST_MINUTE, (kind, slug))).fetchall()
        except (psycopg.Error, PoolTimeout, OSError) as error:
            log.warning("permits: the counters of %s could not be rebuilt: %s", slug, type(error).__name__)
            return
        figures: list[Any] = [figure for row in minute for figure in (max(row[0], 0), row[1], row[2] or 0)]
        await self._ask(self._restore(keys=target.keys, args=[_ms(LEASE), len(flying), *flying, *figures]))

    async def _ask(self, question: Awaitable[Any]) -> Any:
        """Redis' answer; None where it gives none."""
        if time.monotonic() < self._redis_rests_until:
            if asyncio.iscoroutine(question):
                question.close()
            return None
        try:
            async with asyncio.timeout(REDIS_PATIENCE * 2):
                return await question
        except (redis.RedisError, OSError, TimeoutError) as error:
            log.warning("permits: Redis does not answer (%s): each worker keeps to its share", type(error).__name__)
            self._redis_rests_until = time.monotonic() + REDIS_RESTS
            return None

    async def _returned(self, target: _Target, call: UUID) -> None:
        await self._ask(self._redis.zrem(target.keys[0], call.hex))
        target.freed.set()


def _share(limit: int, place: int, live: int) -> int:
    """What the worker at this place may use: the shares of all together are the limit."""
    return limit // live + (1 if place < limit % live else 0)


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
