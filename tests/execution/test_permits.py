"""Permits: what all workers together send to a model or a tool, with Redis, after it forgot, and without it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
import redis
from django.conf import settings
from psycopg_pool import AsyncConnectionPool

from flows.engine.calllimits import CallLimits
from flows.engine.failures import BadRequest
from flows.execution import permits as permits_module
from flows.execution.permits import Permits
from flows.models import Event, Run, Worker
from flows.models.identifiers import new_id
from orchestrator.engine import dsn
from tests.execution.conftest import AddTool, Drive
from tests.execution.runs import calls_of, error_of, finish, start, tool, until
from tests.makers import make_run
from tests.runs.journals import make_call

pytestmark = pytest.mark.django_db(transaction=True)

RUN = new_id()
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def forgotten() -> None:
    client = redis.Redis.from_url(settings.REDIS_ADDRESS)
    for key in client.scan_iter("permits:*"):
        client.delete(key)
    client.close()


@asynccontextmanager
async def a_worker(address: str = "", worker: UUID | None = None) -> AsyncIterator[Permits]:
    pool: Any = AsyncConnectionPool(dsn(), min_size=1, max_size=2, open=False, kwargs={"autocommit": True})
    await pool.open()
    permits = Permits(address or settings.REDIS_ADDRESS, worker or new_id(), 15.0, lambda: pool)
    work = asyncio.create_task(permits.run())
    try:
        yield permits
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await pool.close()


async def granted(permits: Permits, limits: CallLimits, *, tokens: int = 0, within: float = 0.4, run: UUID = RUN) -> UUID | None:
    """The call, if it may begin within this time."""
    call = new_id()
    try:
        async with asyncio.timeout(within):
            await permits.take(limits, run, call, tokens)
    except TimeoutError:
        return None
    return call


async def test_what_is_in_flight_is_counted_over_all_workers() -> None:
    limits = CallLimits("model:small-1", in_flight=2)
    async with a_worker() as one, a_worker() as two:
        first, second = await granted(one, limits), await granted(two, limits)
        assert first
        assert second
        assert await granted(one, limits) is None

        two.give_back(second)
        assert await granted(one, limits, within=2.0)


async def test_slots_of_a_worker_that_was_killed_come_back_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permits_module, "LEASE", 0.6)
    limits = CallLimits("model:small-1", in_flight=1)
    async with a_worker() as lives:
        async with a_worker() as dies:
            assert await granted(dies, limits)
            assert await granted(lives, limits, within=1.5) is None, "as long as it lives, it renews"
        assert await granted(lives, limits, within=3.0)


@pytest.mark.parametrize(("limits", "tokens"), [({"requests": 3}, 0), ({"tokens": 100}, 30)])
async def test_no_more_begin_within_a_minute(limits: dict[str, int], tokens: int) -> None:
    stated = CallLimits("model:small-1", **limits)
    async with a_worker() as one, a_worker() as two:
        for worker in (one, two, one):
            call = await granted(worker, stated, tokens=tokens)
            assert call
            worker.give_back(call)
        assert await granted(two, stated, tokens=tokens) is None


async def test_a_call_that_no_minute_has_room_for_is_refused_at_once() -> None:
    async with a_worker() as one:
        with pytest.raises(BadRequest, match="takes 100 a minute"):
            await one.take(CallLimits("model:small-1", tokens=100), RUN, new_id(), 101)


def a_call_just_now() -> Run:
    run = make_run()
    make_call(run, "a", target="small-1", status="started")
    return run


@pytest.mark.parametrize("limits", [{"requests": 1}, {"in_flight": 1}])
async def test_what_redis_forgot_is_rebuilt_from_the_ledger(limits: dict[str, int]) -> None:
    await asyncio.to_thread(a_call_just_now)
    async with a_worker() as one:
        assert await granted(one, CallLimits("model:small-1", **limits)) is None


async def test_without_redis_each_worker_keeps_to_its_share() -> None:
    ids = sorted(new_id() for _ in range(2))

    def live() -> None:
        for each in ids:
            Worker.objects.create(id=each, host="here", pid=1)

    await asyncio.to_thread(live)
    limits = CallLimits("model:small-1", in_flight=5)
    async with a_worker(NOWHERE, ids[0]) as one, a_worker(NOWHERE, ids[1]) as two:
        begun = [await granted(worker, limits, within=1.5) for worker in (one, one, one, two, two)]
        assert all(begun)
        assert await granted(one, limits) is None
        assert await granted(two, limits) is None


async def test_a_worker_that_is_none_of_the_live_ones_begins_nothing_without_redis() -> None:
    async with a_worker(NOWHERE) as one:
        assert await granted(one, CallLimits("model:small-1", in_flight=5)) is None


async def test_runs_take_turns_for_the_same_model() -> None:
    """Counted in permits: of the many that asked first, at most one comes before the single one."""
    limits, order = CallLimits("model:small-1", in_flight=1), []
    crowd, single = new_id(), new_id()
    async with a_worker() as one:

        async def call(run: UUID) -> None:
            mine = new_id()
            await one.take(limits, run, mine, 0)
            order.append(run)
            await asyncio.sleep(0)
            one.give_back(mine)

        first = new_id()
        await one.take(limits, crowd, first, 0)
        tasks = [asyncio.create_task(call(crowd)) for _ in range(200)]
        await asyncio.sleep(0.05)
        alone = asyncio.create_task(call(single))
        await asyncio.sleep(0.05)
        one.give_back(first)
        await alone
        assert order.index(single) <= 2
        await asyncio.gather(*tasks)
    assert len(order) == 201


async def test_one_that_gives_up_waiting_leaves_no_trace() -> None:
    limits = CallLimits("model:small-1", in_flight=1)
    async with a_worker() as one:
        first = await granted(one, limits)
        assert first
        assert await granted(one, limits, within=0.05) is None
        one.give_back(first)
        assert await granted(one, limits, within=2.0)


class Busy:
    """How many calls of a tool were in flight at once."""

    def __init__(self, seconds: float = 0.03) -> None:
        self.now = self.most = self.made = 0
        self.seconds = seconds

    def function(self) -> Callable[..., Any]:
        async def busy() -> int:
            self.now += 1
            self.made += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(self.seconds)
            self.now -= 1
            return self.made

        return busy


def test_two_engines_together_keep_within_what_a_tool_takes(drive: Drive, add_tool: AddTool) -> None:
    busy = Busy()
    add_tool("test.busy", busy.function(), max_in_flight=2)
    drive()
    drive()
    body = {"steps": {"one": tool("test.busy")}, "edges": ["start -> one"], "output": "1"}
    many = {"each": {"kind": "map", "with": {"over": "input.items", "concurrency": 6, "body": body}}}
    runs = [start(many, ["start -> each"], {"items": [1, 2, 3, 4]}) for _ in range(4)]

    for run in runs:
        finish(run, within=20)
    assert busy.made == 16
    assert busy.most == 2


def test_a_call_that_waits_has_reserved_nothing_says_so_and_its_time_goes_on(drive: Drive, add_tool: AddTool) -> None:
    busy = Busy(seconds=3.0)
    add_tool("test.busy", busy.function(), max_in_flight=1, timeout=10.0)
    drive()
    first = start({"a": tool("test.busy")}, ["start -> a"])
    until(lambda: busy.now == 1)
    began = time.monotonic()
    waits = start({"a": tool("test.busy", timeout="1s", retry={"attempts": 1})}, ["start -> a"])
    until(lambda: Event.objects.filter(run_id=waits.id, type="call.waiting").exists())
    assert calls_of(waits) == []

    waits = finish(waits)
    assert time.monotonic() - began < 2.9, "the other call was still in flight"
    assert error_of(waits)["class"] == "timeout"
    assert "a slot" in error_of(waits)["message"] or "longer than its limit" in error_of(waits)["message"]
    finish(first)
