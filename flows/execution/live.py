"""What the pages that watch a run hear from its engine: doorbells, and the text of a model while it is being written.

Both go through Redis, both may be lost: pages read the events themselves from the database, and a call's whole text is in its row
once it has ended. Only runs that somebody watches cost anything here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

import redis.asyncio
from channels.layers import get_channel_layer
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from flows.access.redaction import redacted
from flows.execution.doorbells import INBOX, run_group
from flows.models.identifiers import shown

log = logging.getLogger(__name__)

PERIOD = 0.1
"""Seconds between two flushes: what a person can tell apart, and no more."""

GATHERS = 0.02
"""Seconds from the first thing after a rest to its flush, so that what comes with it goes with it."""

TEXT_LIVES = 600
"""Seconds that the text of a call in progress is kept for those who come late."""


def text_key(call: UUID) -> str:
    """Where the text of a call in progress is kept."""
    return f"text:{call.hex}"


class Live:
    """One an engine process, on its loop."""

    def __init__(self, redis_address: str) -> None:
        # redis-py would try ten times on its own, and hold the flush for as long as that takes.
        once = Retry(NoBackoff(), 0)
        self._redis = redis.asyncio.from_url(redis_address, socket_timeout=2.0, socket_connect_timeout=1.0, retry=once)
        self._touched: set[UUID] = set()
        self._inbox = False
        self._news = asyncio.Event()  # there is something to flush
        self._texts: dict[UUID, tuple[UUID, str, list[str]]] = {}
        self._lengths: dict[UUID, int] = {}

    def touch(self, run: UUID) -> None:
        """Something was written about this run."""
        self._touched.add(run)
        self._news.set()

    def inbox(self) -> None:
        """Something was asked or withdrawn."""
        self._inbox = True
        self._news.set()

    def text_sink(self, run: UUID, path: str, call: UUID) -> Callable[[str], None]:
        """Takes a call's text piece by piece."""

        def sink(text: str) -> None:
            entry = self._texts.get(call)
            if entry is None:
                entry = self._texts[call] = (run, path, [])
            entry[2].append(redacted(text))
            self._news.set()

        return sink

    async def run(self) -> None:
        """Flush for ever."""
        own = asyncio.current_task()
        try:
            while own is None or not own.cancelling():  # a client may swallow the cancellation; the engine ends all the same
                await self._news.wait()
                await asyncio.sleep(GATHERS)
                self._news.clear()
                try:
                    async with asyncio.timeout(5.0):
                        await self._flush()
                except Exception as error:  # noqa: BLE001 - the edge: whatever Redis does, the engine goes on
                    log.info("live: %s", error or type(error).__name__)
                await asyncio.sleep(PERIOD - GATHERS)
        finally:
            await self._redis.aclose()

    async def _flush(self) -> None:
        layer = get_channel_layer()
        if layer is None:
            return
        touched, self._touched = self._touched, set()
        texts, self._texts = self._texts, {}
        inbox, self._inbox = self._inbox, False
        if inbox:
            await layer.group_send(INBOX, {"type": "doorbell", "topic": INBOX})
        if texts:
            await self._keep(texts)
        watched = await self._watched()
        for run in touched:
            if run.hex in watched:
                await layer.group_send(run_group(run), {"type": "doorbell", "run": run.hex, "seq": 0})
        for call, (run, path, pieces) in texts.items():
            text = "".join(pieces)
            at = self._lengths.get(call, 0)
            self._lengths[call] = at + len(text)
            if run.hex in watched:
                message: dict[str, Any] = {
                    "type": "text",
                    "run": run.hex,
                    "path": path,
                    "call": shown("call", call),
                    "text": text,
                    "at": at,
                }
                await layer.group_send(run_group(run), message)
        if len(self._lengths) > 10_000:
            self._lengths = {call: self._lengths[call] for call in texts}

    async def _watched(self) -> set[str]:
        """The runs to whose group some process listens."""
        names = await self._redis.pubsub_channels("*__group__run.*")
        return {(name if isinstance(name, str) else name.decode()).rpartition("run.")[2] for name in names}

    async def _keep(self, texts: dict[UUID, tuple[UUID, str, list[str]]]) -> None:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for call, (_, _, pieces) in texts.items():
                pipeline.append(text_key(call), "".join(pieces))
                pipeline.expire(text_key(call), TEXT_LIVES)
            await pipeline.execute()
