"""Rings: published to the engines that listen, carried by Celery to one worker, and heard once."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest
import redis
from django.conf import settings

from flows.execution.rings import CHANNEL, hear_rings, ring
from flows.execution.worker import Engine
from flows.steps.services import StepServices
from orchestrator.engine import compile_document, dsn

pytestmark = pytest.mark.usefixtures("embedded_servers")


async def _listening(bell: redis.Redis) -> None:
    while not bell.pubsub_numsub(CHANNEL)[0][1]:
        await asyncio.sleep(0.01)


def test_an_engine_that_listens_hears_a_ring_at_once() -> None:
    heard: list[tuple[list[UUID], str]] = []
    run = uuid4()

    async def main() -> None:
        ears = asyncio.create_task(hear_rings(settings.REDIS_ADDRESS, lambda runs, number: heard.append((runs, number))))
        with redis.from_url(settings.REDIS_ADDRESS) as bell:
            async with asyncio.timeout(10):
                await _listening(bell)
                ring(run)
                while not heard:
                    await asyncio.sleep(0.01)
        ears.cancel()
        await asyncio.gather(ears, return_exceptions=True)

    asyncio.run(main())

    ((runs, number),) = heard
    assert runs == [run]
    assert number


def test_nonsense_on_the_channel_does_not_make_an_engine_deaf() -> None:
    heard: list[UUID] = []
    run = uuid4()

    async def main() -> None:
        ears = asyncio.create_task(hear_rings(settings.REDIS_ADDRESS, lambda runs, _: heard.extend(runs)))
        with redis.from_url(settings.REDIS_ADDRESS) as bell:
            async with asyncio.timeout(10):
                await _listening(bell)
                bell.publish(CHANNEL, b"{")
                while run not in heard:
                    ring(run)
                    await asyncio.sleep(0.1)
        ears.cancel()
        await asyncio.gather(ears, return_exceptions=True)

    asyncio.run(main())


def test_the_second_copy_of_a_ring_is_passed_over() -> None:
    engine = Engine(
        dsn=dsn(),
        redis_address=settings.REDIS_ADDRESS,
        compile_document=compile_document,
        services=StepServices([], settings.REDIS_ADDRESS),
        lease=6.0,
        scan_period=1.0,
        capacity=1,
    )
    engine._rung = asyncio.Event()

    looks = []
    for number in ("1", "1", "2", "", ""):
        engine._rung.clear()
        engine._on_ring([uuid4()], number)
        looks.append(engine._rung.is_set())

    assert looks == [True, False, True, True, True]
