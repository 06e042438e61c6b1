"""What the pages hear from an engine: soon after a rest, and no more often than a person can tell apart."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from flows.execution import live
from flows.execution.live import Live


@pytest.fixture
def flushes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many runs each flush told of."""
    told: list[int] = []

    async def flush(self: Live) -> None:
        told.append(len(self._touched))
        self._touched.clear()

    monkeypatch.setattr(Live, "_flush", flush)
    return told


async def test_the_first_news_after_a_rest_does_not_wait_for_a_period(
    flushes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PERIOD", 3600.0)
    pages = Live("redis://127.0.0.1:1")
    task = asyncio.create_task(pages.run())
    await asyncio.sleep(0)

    pages.touch(uuid4())
    pages.touch(uuid4())
    async with asyncio.timeout(30):
        while not flushes:
            await asyncio.sleep(0.01)
    pages.touch(uuid4())
    await asyncio.sleep(live.GATHERS * 3)

    assert flushes == [2], "what comes with it goes with it; what comes after it waits for the period"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
