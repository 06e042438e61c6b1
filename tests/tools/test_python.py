"""Plain functions in the tools worker: claimed once in PostgreSQL, whatever the rings do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from django.db import connection, connections
from psycopg_pool import AsyncConnectionPool

from flows.access.egress import Egress
from flows.engine.failures import Failure, RateLimited, TimedOut
from flows.models import ToolJob
from flows.tools.base import ToolCall, ToolContext, ToolSpec
from flows.tools.functions import FUNCTIONS, tool_function
from flows.tools.jobs import run_job
from flows.tools.python import PythonSettings, PythonTool

pytestmark = pytest.mark.django_db(transaction=True)
ran: list[tuple[str, int]] = []


@pytest.fixture(autouse=True)
def functions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FUNCTIONS, "_by_slug", dict(FUNCTIONS._by_slug))
    ran.clear()

    @tool_function("test.double")
    def double(value: int) -> int:
        ran.append(("double", threading.get_ident()))
        return value * 2

    @tool_function("test.slow_down")
    def slow_down() -> None:
        raise RateLimited("wait")

    @tool_function("test.broken")
    def broken() -> None:
        raise KeyError("missing")


@pytest_asyncio.fixture
async def pool() -> AsyncIterator[AsyncConnectionPool[Any]]:
    given = connection.get_connection_params()
    arguments = {name: given[name] for name in ("dbname", "user", "password", "host", "port") if given.get(name)}
    async with AsyncConnectionPool(kwargs={**arguments, "autocommit": True}, min_size=1, max_size=4, open=False) as opened:
        yield opened


def make_call(slug: str, timeout: float = 10.0, **arguments: Any) -> ToolCall:
    return ToolCall(ToolSpec(slug, "python", "read", "freely", {}, PythonSettings()), arguments, "key", timeout, uuid4())


def in_a_worker(times: int = 1) -> Any:
    """A ring that is answered by a thread standing for the tools worker, `times` times at once."""

    def work(call_id: UUID) -> None:
        try:
            run_job(call_id)
        finally:
            connections.close_all()

    def ring(call_id: UUID) -> None:
        for _ in range(times):
            threading.Thread(target=work, args=(call_id,)).start()

    return ring


async def perform(pool: AsyncConnectionPool[Any], ring: Any, call: ToolCall) -> Any:
    return await PythonTool().call(call, ToolContext(Egress(frozenset), pool, ring))


async def test_a_plain_function_runs_elsewhere(pool: AsyncConnectionPool[Any]) -> None:
    assert await perform(pool, in_a_worker(), make_call("test.double", value=21)) == 42
    assert ran[0][1] != threading.get_ident()


async def test_rung_twenty_times_it_runs_once(pool: AsyncConnectionPool[Any]) -> None:
    assert await perform(pool, in_a_worker(20), make_call("test.double", value=2)) == 4
    assert len(ran) == 1


async def test_a_lost_ring_is_rung_again(pool: AsyncConnectionPool[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.tools.python.RING_AGAIN", 0.05)
    rings: list[UUID] = []

    def ring(call_id: UUID) -> None:
        rings.append(call_id)
        if len(rings) == 1:
            raise ConnectionError("Redis is down")
        if len(rings) == 3:
            in_a_worker()(call_id)

    assert await perform(pool, ring, make_call("test.double", value=3)) == 6
    assert len(rings) >= 3


async def test_its_failures_keep_their_class(pool: AsyncConnectionPool[Any]) -> None:
    with pytest.raises(RateLimited, match="wait"):
        await perform(pool, in_a_worker(), make_call("test.slow_down"))
    with pytest.raises(Failure, match="KeyError") as failure:
        await perform(pool, in_a_worker(), make_call("test.broken"))
    assert failure.value.slug == "internal"


async def test_a_job_that_nobody_took_in_time_never_runs(pool: AsyncConnectionPool[Any]) -> None:
    call = make_call("test.double", timeout=0.2, value=1)

    with pytest.raises(TimedOut) as failure:
        await perform(pool, lambda _: None, call)

    assert not failure.value.sent
    assert not await asyncio.to_thread(_run_and_close, call.call_id)
    assert ran == []


async def test_a_job_that_was_taken_may_have_acted(pool: AsyncConnectionPool[Any]) -> None:
    def take(call_id: UUID) -> None:
        ToolJob.objects.filter(call_id=call_id).update(state="taken")
        connections.close_all()

    with pytest.raises(TimedOut) as failure:
        await perform(pool, take, make_call("test.double", timeout=0.3, value=1))
    assert failure.value.sent


async def test_cancelling_withdraws_the_job(pool: AsyncConnectionPool[Any]) -> None:
    rung = asyncio.Event()
    loop = asyncio.get_running_loop()
    call = make_call("test.double", value=1)
    task = asyncio.create_task(perform(pool, lambda _: loop.call_soon_threadsafe(rung.set), call))
    await rung.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not await asyncio.to_thread(_run_and_close, call.call_id)


def _run_and_close(call_id: UUID) -> bool:
    try:
        return run_job(call_id)
    finally:
        connections.close_all()
