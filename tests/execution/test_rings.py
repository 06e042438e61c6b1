"""Rings: published to the engines that listen, carried by Celery to one worker, and heard once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis
from django.conf import settings

from flows.execution import rings
from flows.execution.rings import CHANNEL, hear_rings, ring
from flows.execution.worker import Engine
from flows.steps.services import StepServices
from orchestrator.engine import compile_document, dsn
from tests.execution.runs import until

pytestmark = pytest.mark.usefixtures("embedded_servers")


async def _listening(bell: redis.Redis) -> None:
    while not bell.pubsub_numsub(CHANNEL)[0][1]:
        await asyncio.sleep(0.01)


def test_an_engine_that_listens_hears_a_ring_at_once() -> None:
    heard: list[tuple[list[UUID], Sequence[str]]] = []
    run = uuid4()

    async def main() -> None:
        ears = asyncio.create_task(hear_rings(settings.REDIS_ADDRESS, lambda runs, numbers: heard.append((runs, numbers))))
        with redis.from_url(settings.REDIS_ADDRESS) as bell:
            async with asyncio.timeout(30):
                await _listening(bell)
                ring(run)
                while not heard:
                    await asyncio.sleep(0.01)
        ears.cancel()
        await asyncio.gather(ears, return_exceptions=True)

    asyncio.run(main())

    ((runs, numbers),) = heard
    assert runs == [run]
    assert len(numbers) == 1


def test_nonsense_on_the_channel_does_not_make_an_engine_deaf() -> None:
    heard: list[UUID] = []
    run = uuid4()

    async def main() -> None:
        ears = asyncio.create_task(hear_rings(settings.REDIS_ADDRESS, lambda runs, _: heard.extend(runs)))
        with redis.from_url(settings.REDIS_ADDRESS) as bell:
            async with asyncio.timeout(30):
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
    for numbers in (["1"], ["1"], ["2"], ["1", "2"], ["2", "3"], ["3"], [], []):
        engine._rung.clear()
        engine._on_ring([uuid4()], numbers)
        looks.append(engine._rung.is_set())

    assert looks == [True, False, True, False, True, False, True, True]


class _Post:
    """Stands where Celery does, and counts what it is given."""

    def __init__(self) -> None:
        self.tasks: list[tuple[set[UUID], int]] = []

    def send_task(self, name: str, given: tuple[list[str], list[str]], **_: Any) -> None:
        assert name == "flows.wake"
        self.tasks.append(({UUID(run) for run in given[0]}, len(given[1])))


def test_celery_carries_rings_that_were_heard_together_and_later(monkeypatch: pytest.MonkeyPatch) -> None:
    post = _Post()
    monkeypatch.setattr(rings, "current_app", post)
    monkeypatch.setattr(rings, "FOLLOWS", 3.0)  # far more than three rings take, even here and now
    heard: list[UUID] = []
    runs = [uuid4() for _ in range(3)]

    async def main() -> None:
        ears = asyncio.create_task(hear_rings(settings.REDIS_ADDRESS, lambda found, _: heard.extend(found)))
        with redis.from_url(settings.REDIS_ADDRESS) as bell:
            async with asyncio.timeout(30):
                await _listening(bell)
                for number, run in enumerate(runs, start=1):
                    ring(run)
                    while len(heard) < number:
                        await asyncio.sleep(0.01)
                before = list(post.tasks)
                while not post.tasks:
                    await asyncio.sleep(0.01)
        ears.cancel()
        await asyncio.gather(ears, return_exceptions=True)
        assert before == []

    asyncio.run(main())

    ((carried, numbers),) = post.tasks
    assert carried >= set(runs)  # what rang in an earlier test may go along
    assert numbers >= len(runs)


def test_celery_carries_a_ring_at_once_where_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    post = _Post()
    monkeypatch.setattr(rings, "current_app", post)
    monkeypatch.setattr(rings, "FOLLOWS", 3600.0)
    run = uuid4()
    with redis.Redis.from_url(settings.REDIS_ADDRESS) as client:  # an engine of an earlier test may still be leaving
        until(lambda: dict(client.pubsub_numsub(CHANNEL)).get(CHANNEL.encode(), 0) == 0)

    ring(run)

    until(lambda: any(run in carried for carried, _ in post.tasks))


def test_celery_carries_what_nobody_hears_together_after_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task a tenth of a second, not one a run: an engine that starts meanwhile has to take them all."""
    post, clock = _Post(), SimpleNamespace(now=50.0)
    monkeypatch.setattr(rings, "current_app", post)
    monkeypatch.setattr(rings, "time", SimpleNamespace(monotonic=lambda: clock.now))
    copies = rings._Copies()
    runs = [uuid4() for _ in range(40)]

    for number, run in enumerate(runs):
        copies.add({str(run)}, str(number), heard=False)
        if copies.full:
            copies.send()
        clock.now += 0.01
    while copies.due_in is not None:
        clock.now += copies.due_in
        copies.send()

    assert post.tasks[0] == ({runs[0]}, 1)
    assert len(post.tasks) <= 5
    assert set.union(*(sent for sent, _ in post.tasks)) == set(runs)
