"""Rings: hints to the engine workers that a run is waiting. They carry no truth: one that is lost costs a scan period.

Each goes two ways. Redis' own publish tells the engines that listen, within a millisecond, and is heard by those alone; Celery
carries it to one worker, and keeps it for a while where none listens. An engine that has heard a ring passes over its second copy,
which follows a moment later with those of its neighbours: taking a task costs a worker milliseconds, which would fall upon the very
run that has just been rung for. Where nobody listens, the first is sent at once; what is rung for closely behind it goes together, so
that engines that come back do not find a task for every run that was started without them.

Sending costs milliseconds and may hang with Redis, so a thread of its own does it, and what gathers while it is busy becomes one ring.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import redis
import redis.asyncio
from celery import current_app
from django.conf import settings
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

log = logging.getLogger(__name__)

CHANNEL = "rings"
EXPIRES = 30.0
"""Seconds after which a ring says nothing any more."""

PAUSE = 0.01
"""Seconds between two rings of a process: the first is sent at once, what follows it closely goes together."""

MOST_RUNS = 500
"""Runs that one ring is for."""

FOLLOWS = 0.1
"""Seconds by which Celery's copy follows where somebody has heard the ring."""

APART = 0.1
"""Seconds from one task to the next where nobody has heard the rings."""

HEALTH = 10.0
"""Seconds of silence after which an engine asks Redis whether it is still there."""

_pending: queue.SimpleQueue[uuid.UUID] = queue.SimpleQueue()
_lock = threading.Lock()
_sender: threading.Thread | None = None
_sender_process = 0


def ring(run_id: uuid.UUID) -> None:
    """Tell the workers that this run can go on. Returns at once and never raises."""
    global _sender, _sender_process
    with _lock:
        if _sender is None or _sender_process != os.getpid():
            _sender_process = os.getpid()
            _sender = threading.Thread(target=_send_for_ever, name="rings", daemon=True)
            _sender.start()
    _pending.put(run_id)


def _send_for_ever() -> None:
    client = redis.from_url(settings.REDIS_ADDRESS, socket_timeout=2.0, socket_connect_timeout=1.0, retry=Retry(NoBackoff(), 0))
    copies = _Copies()
    while True:
        try:
            runs = {str(_pending.get(timeout=copies.due_in))}
        except queue.Empty:
            copies.send()
            continue
        while len(runs) < MOST_RUNS:
            try:
                runs.add(str(_pending.get_nowait()))
            except queue.Empty:
                break
        number = uuid.uuid4().hex
        listening = 0
        try:
            listening = client.publish(CHANNEL, orjson.dumps([number, list(runs)]))
        except redis.RedisError as error:
            log.info("rings for %d run(s) not published: %s", len(runs), error)
        copies.add(runs, number, heard=listening > 0)
        if copies.full:
            copies.send()
        time.sleep(PAUSE)


class _Copies:
    """What Celery is to carry: the rings of the last moment, as one task."""

    def __init__(self) -> None:
        self._runs: set[str] = set()
        self._numbers: list[str] = []
        self._due = 0.0
        self._sent = float("-inf")

    @property
    def due_in(self) -> float | None:
        """Seconds until they should be sent; None where there are none."""
        return max(self._due - time.monotonic(), 0.0) if self._numbers else None

    @property
    def full(self) -> bool:
        return len(self._runs) >= MOST_RUNS or self.due_in == 0.0

    def add(self, runs: set[str], number: str, *, heard: bool) -> None:
        due = time.monotonic() + FOLLOWS if heard else self._sent + APART
        self._due = min(self._due, due) if self._numbers else due
        self._runs |= runs
        self._numbers.append(number)

    def send(self) -> None:
        given = (list(self._runs), self._numbers)
        self._runs, self._numbers = set(), []
        self._sent = time.monotonic()
        try:
            current_app.send_task("flows.wake", given, queue="engine", expires=EXPIRES, retry=False, ignore_result=True)
        except Exception as error:  # noqa: BLE001 - whatever Redis does, a ring is a hint: the workers' scan finds the run
            log.info("rings for %d run(s) not sent: %s", len(given[0]), error)


async def hear_rings(redis_address: str, on_ring: Callable[[list[uuid.UUID], Sequence[str]], None]) -> None:
    """Calls `on_ring` with the runs and the numbers of each ring that is published, for ever."""
    own = asyncio.current_task()
    once = AsyncRetry(NoBackoff(), 0)
    client = redis.asyncio.from_url(
        redis_address, socket_timeout=2.0, socket_connect_timeout=1.0, health_check_interval=HEALTH, retry=once
    )
    try:
        while own is None or not own.cancelling():  # a client may swallow the cancellation; the engine ends all the same
            try:
                async with client.pubsub(ignore_subscribe_messages=True) as ears:
                    await ears.subscribe(CHANNEL)
                    while own is None or not own.cancelling():
                        message: dict[str, Any] | None = await ears.get_message(timeout=HEALTH)
                        if message is not None:
                            number, runs = orjson.loads(message["data"])
                            on_ring([uuid.UUID(run) for run in runs], (number,))
            except (redis.RedisError, OSError, ValueError, TypeError) as error:
                log.info("rings: %s", error or type(error).__name__)
                await asyncio.sleep(1.0)
    finally:
        await client.aclose()
