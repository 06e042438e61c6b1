"""How the models stand, shared by workers through Redis: two `Health` are two workers."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

import psycopg
import pytest
import pytest_asyncio
from django.conf import settings

from flows.engine.failures import BadKey, BadRequest, RateLimited, Unavailable
from flows.routing import health as module
from flows.routing.breaker import WELL, Breaker
from flows.routing.definitions import ModelInfo
from flows.routing.health import Health, key_of

MODEL = ModelInfo("small", "sim/small", breaker=Breaker(failures=2, within=60, rest=0.15))
NOBODY = "redis://127.0.0.1:1/0"


class Ledger:
    """In place of the engine's pool: what the ledger says of a model's newest calls, the newest first."""

    def __init__(self, *rows: tuple[str, int]) -> None:
        self.rows, self.asked = list(rows), 0

    def connection(self, timeout: float) -> Ledger:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        return None

    async def execute(self, *query: object) -> Ledger:
        self.asked += 1
        return self

    async def fetchall(self) -> list[tuple[str, int]]:
        return self.rows


class Broken(Ledger):
    async def execute(self, *query: object) -> Ledger:
        raise psycopg.OperationalError("gone")


@pytest_asyncio.fixture
async def worker(embedded_servers: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Health]]:
    monkeypatch.setattr(module, "FRESH", 0.0)
    made: list[Health] = []

    def make(ledger: Ledger | None = None, address: str = "") -> Health:
        pool: Any = ledger or Ledger()
        made.append(Health(address or settings.REDIS_ADDRESS, lambda: pool))
        return made[-1]

    await make()._redis.delete(key_of(MODEL.slug))
    yield make
    for each in made:
        await each.aclose()


async def fails(worker: Health, times: int = 2) -> None:
    for _ in range(times):
        await worker.heard(MODEL, Unavailable())


async def until_half_open(worker: Health) -> None:
    while not (seen := worker._seen[MODEL.slug]).standing.half_open(worker._now(seen)):
        await module.asyncio.sleep(0.01)


async def test_what_one_worker_has_seen_all_know(worker: Callable[..., Health]) -> None:
    one, two = worker(), worker()
    await fails(one, 1)
    assert await two.refusal(MODEL) is None
    await fails(two, 1)

    refusal = await one.refusal(MODEL)

    assert isinstance(refusal, Unavailable)
    assert "rests after 2 failures in a row, the last unavailable" in refusal.message
    assert refusal.retry_after is not None
    assert 0 < refusal.retry_after <= 0.15


async def test_one_of_all_workers_probes_and_its_success_lets_all_go_on(worker: Callable[..., Health]) -> None:
    one, two = worker(), worker()
    await fails(one)
    await two.refusal(MODEL)
    await until_half_open(two)

    answers = [await one.refusal(MODEL), await two.refusal(MODEL), await one.refusal(MODEL)]

    assert [answer is None for answer in answers] == [True, False, False]
    await one.heard(MODEL, None)
    assert await two.refusal(MODEL) is None


async def test_a_probe_that_fails_lets_it_rest_longer(worker: Callable[..., Health]) -> None:
    one = worker()
    await fails(one)
    await until_half_open(one)
    assert await one.refusal(MODEL) is None
    await one.heard(MODEL, RateLimited())

    refusal = await one.refusal(MODEL)

    assert isinstance(refusal, RateLimited)
    assert refusal.retry_after is not None
    assert refusal.retry_after > 0.15


@pytest.mark.parametrize("failure", [BadRequest(), BadKey()])
async def test_what_is_ours_to_mend_says_nothing_about_health(worker: Callable[..., Health], failure: Any) -> None:
    one = worker()
    for _ in range(9):
        await one.heard(MODEL, failure)

    assert await one.refusal(MODEL) is None


async def test_a_success_ends_the_row(worker: Callable[..., Health]) -> None:
    one = worker()
    await fails(one, 1)
    await one.heard(MODEL, None)
    await fails(one, 1)

    assert await one.refusal(MODEL) is None


async def test_when_redis_forgets_the_ledger_tells(worker: Callable[..., Health]) -> None:
    now = int(time.time() * 1000) + 60_000  # so that it still rests, however slow this machine is
    ledger = Ledger(("unavailable", now), ("timeout", now - 1000))
    one = worker(ledger)

    assert isinstance(await one.refusal(MODEL), Unavailable)
    assert ledger.asked == 1
    assert isinstance(await worker().refusal(MODEL), Unavailable), "it was written back for all"


async def test_without_redis_each_goes_by_what_it_sees(worker: Callable[..., Health]) -> None:
    one, two = worker(Broken(), NOBODY), worker(Broken(), NOBODY)
    model = ModelInfo("small", "sim/small", breaker=Breaker(failures=2, rest=60))
    for _ in range(2):
        await one.heard(model, Unavailable())

    assert isinstance(await one.refusal(model), Unavailable)
    assert await two.refusal(model) is None


async def test_a_healthy_model_is_looked_at_once_a_second_and_never_written(
    worker: Callable[..., Health], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FRESH", 60.0)
    one = worker()
    assert await one.refusal(MODEL) is None
    asked: list[Any] = []
    monkeypatch.setattr(one, "_ask", asked.append)

    for _ in range(100):
        assert await one.refusal(MODEL) is None
        await one.heard(MODEL, None)

    assert asked == []
    assert one._seen[MODEL.slug].standing == WELL
