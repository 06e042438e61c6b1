"""How the models stand, as all workers know it together: one text a model in Redis, changed by compare-and-set.

What a standing means is decided in `flows/routing/breaker.py`. A worker looks again when what it knows is older than a second, and
writes only what changes something, so a healthy model costs a look a second, whatever the number of calls. Where Redis has forgotten
a model, its standing is made from the ledger; while Redis is gone, each worker goes by what it has seen itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import psycopg
import redis.asyncio
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from flows.engine.failures import Failure, RateLimited, TimedOut, Unavailable
from flows.routing.breaker import ILL, WELL, Standing, after_failure, from_history, loaded, with_probe
from flows.routing.definitions import ModelInfo

log = logging.getLogger(__name__)

FRESH = 1.0
"""Seconds for which what a worker knows of a model is believed."""

PATIENCE = 0.5
REDIS_RESTS = 1.0
"""Seconds after a failure in which Redis is not asked."""

KEPT = 24 * 3600  # seconds
TRIES = 8  # of a change that others make at the same time
HISTORY = 50  # calls that are looked at when Redis has forgotten

LOOK: Final = """
local now = redis.call('TIME')
return {redis.call('GET', KEYS[1]), now[1] * 1000 + math.floor(now[2] / 1000)}
"""
# ARGV: what was there ('' where nothing was), what shall be there, seconds. Gives 1 where it was changed.
CHANGE: Final = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""
NEWEST: Final = """
SELECT error_class, (extract(epoch FROM ended_at) * 1000)::bigint FROM flows_call
WHERE kind = 'model' AND target = %s AND ended_at IS NOT NULL AND NOT cached ORDER BY id DESC LIMIT %s
"""
AS_FAILURE: Final[Mapping[str, type[Failure]]] = {"rate_limit": RateLimited, "timeout": TimedOut}


@dataclass(slots=True)
class _Seen:
    """What this process knows of one model: its standing, the text in Redis that says so, and since when."""

    standing: Standing = WELL
    text: str = ""
    at: float = float("-inf")
    ahead: int = 0  # milliseconds by which Redis' clock is ahead of ours


def key_of(slug: str) -> str:
    return f"health:{slug}"


class Health:
    """One an engine process, on its loop."""

    def __init__(self, redis_address: str, pool: Callable[[], AsyncConnectionPool[AsyncConnection[Any]] | None]) -> None:
        once = Retry(NoBackoff(), 0)
        self._redis = redis.asyncio.from_url(
            redis_address, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE, retry=once, decode_responses=True
        )
        self._look = self._redis.register_script(LOOK)
        self._change = self._redis.register_script(CHANGE)
        self._pool = pool
        self._seen: dict[str, _Seen] = {}
        self._looking: dict[str, asyncio.Task[None]] = {}
        self._redis_rests_until = float("-inf")

    async def refusal(self, model: ModelInfo) -> Failure | None:
        """Why this model is not asked now; None where it may be. Where its rest is over, only the one who takes the probe may."""
        seen = await self._fresh(model)
        now = self._now(seen)
        if seen.standing.rests(now):
            return _resting(seen.standing, now)
        if not seen.standing.half_open(now):
            return None
        for _ in range(TRIES):
            taken = with_probe(seen.standing, model.breaker, self._now(seen))
            if taken is None:
                break
            if await self._write(model, seen, taken):
                return None
            await self._read(model, seen)
            if not seen.standing.half_open(self._now(seen)):
                return await self.refusal(model)
        return Unavailable("it was resting, and another call tries it just now", retry_after=1.0)

    async def heard(self, model: ModelInfo, failure: Failure | None) -> None:
        """What became of a call: any answer is a good sign, even one that declines."""
        if failure is not None and failure.slug == "bad_key":
            return
        seen = self._seen.setdefault(model.slug, _Seen())
        for _ in range(TRIES):
            standing = WELL
            if failure is not None and failure.slug in ILL:
                standing = after_failure(seen.standing, model.breaker, failure.slug, self._now(seen))
            if standing == seen.standing or await self._write(model, seen, standing):
                return
            await self._read(model, seen)

    async def aclose(self) -> None:
        """Closes the connection."""
        await self._redis.aclose()

    # ------------------------------------------------------------------ the standing in Redis

    async def _fresh(self, model: ModelInfo) -> _Seen:
        """What is known of this model, no older than `FRESH`; many who ask at once look once."""
        seen = self._seen.setdefault(model.slug, _Seen())
        if time.monotonic() - seen.at > FRESH:
            task = self._looking.get(model.slug)
            if task is None or task.done():
                task = self._looking[model.slug] = asyncio.get_running_loop().create_task(self._read(model, seen))
            await asyncio.shield(task)
        return seen

    async def _read(self, model: ModelInfo, seen: _Seen) -> None:
        answer = await self._ask(lambda: self._look(keys=[key_of(model.slug)]))
        seen.at = time.monotonic()
        if answer is None:
            return
        text, now = answer
        seen.ahead = int(now) - int(time.time() * 1000)
        if text is not None:
            seen.text, seen.standing = text, loaded(text)
            return
        seen.text, seen.standing = "", await self._remembered(model, seen.standing)
        await self._write(model, seen, seen.standing)

    async def _write(self, model: ModelInfo, seen: _Seen, standing: Standing) -> bool:
        """Whether the standing is now this one; without Redis it is, for this worker."""
        text = standing.dumped()
        done = await self._ask(lambda: self._change(keys=[key_of(model.slug)], args=[seen.text, text, KEPT]))
        if done == 0:
            return False
        if standing.until and standing.until != seen.standing.until:
            log.warning("%s rests after %d failures in a row (%s)", model.slug, standing.failures, standing.why)
        seen.standing, seen.text, seen.at = standing, text if done else seen.text, time.monotonic()
        return True

    async def _remembered(self, model: ModelInfo, known: Standing) -> Standing:
        """The standing by the ledger; what this worker knows where that cannot be read."""
        pool = self._pool()
        if pool is None:
            return known
        try:
            async with pool.connection(timeout=2.0) as connection:
                rows = await (await connection.execute(NEWEST, (model.slug, HISTORY))).fetchall()
        except (psycopg.Error, PoolTimeout, OSError) as error:
            log.warning("health: the standing of %s could not be made from the ledger: %s", model.slug, type(error).__name__)
            return known
        return from_history(reversed(rows), model.breaker)

    async def _ask(self, question: Callable[[], Any]) -> Any:
        """Redis' answer; None where it gives none."""
        if time.monotonic() < self._redis_rests_until:
            return None
        try:
            async with asyncio.timeout(PATIENCE * 2):
                return await question()
        except (redis.RedisError, OSError, TimeoutError) as error:
            log.warning("health: Redis does not answer (%s): each worker goes by what it sees", type(error).__name__)
            self._redis_rests_until = time.monotonic() + REDIS_RESTS
            return None

    @staticmethod
    def _now(seen: _Seen) -> int:
        return int(time.time() * 1000) + seen.ahead


def _resting(standing: Standing, now: int) -> Failure:
    left = (standing.until - now) / 1000
    kind = AS_FAILURE.get(standing.why, Unavailable)
    failures = "one failure" if standing.failures == 1 else f"{standing.failures} failures in a row"
    said = f"it rests after {failures}, the last {standing.why}; tried again in {left:.0f} s"
    return kind(said, retry_after=max(left, 0.1))
