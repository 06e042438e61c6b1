"""Claiming: however many workers want a run at the same time, one gets it."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg import AsyncConnection

from flows.execution.claims import claim_queued, reclaim
from flows.models import Event, Run, Worker
from orchestrator.engine import dsn
from tests.makers import make_flow, make_run

pytestmark = pytest.mark.django_db(transaction=True)

RUNS, WORKERS = 1000, 6


async def race(work: Any) -> list[list[UUID]]:
    """What each of several workers got, all at the same time, in small helpings until nothing is left."""

    async def claim() -> list[UUID]:
        got: list[UUID] = []
        me = uuid4()
        async with await AsyncConnection.connect(dsn(), autocommit=True) as connection:
            while runs := await work(connection, me):
                got += [run.id for run in runs]
        return got

    return await asyncio.gather(*(claim() for _ in range(WORKERS)))


def assert_each_has_one_owner(got: list[list[UUID]], epoch: int) -> None:
    claimed = [run for mine in got for run in mine]
    assert len(claimed) == len(set(claimed)) == RUNS
    assert sum(bool(mine) for mine in got) > 1, "nobody raced"
    assert set(Run.objects.values_list("epoch", "status")) == {(epoch, "running")}
    assert Event.objects.exclude(type="run.created").count() == RUNS


def test_a_thousand_queued_runs_get_one_owner_each() -> None:
    flow = make_flow()
    for _ in range(RUNS):
        make_run(flow)

    got = asyncio.run(race(lambda connection, me: claim_queued(connection, me, 7)))

    assert_each_has_one_owner(got, epoch=1)


def test_a_thousand_abandoned_runs_get_one_new_owner_each() -> None:
    flow, dead = make_flow(), uuid4()
    for _ in range(RUNS):
        make_run(flow, status="running", owner=dead, epoch=1)

    async def work(connection: AsyncConnection[Any], me: UUID) -> Any:
        await connection.execute(
            "INSERT INTO flows_worker (id, beat, draining, host, pid, started_at) VALUES (%s, now(), false, '', 1, now()) "
            "ON CONFLICT DO NOTHING",
            (me,),
        )
        return await reclaim(connection, me, 7, 6.0, await driven(connection, me))

    async def driven(connection: AsyncConnection[Any], me: UUID) -> list[UUID]:
        rows = await (await connection.execute("SELECT id FROM flows_run WHERE owner = %s", (me,))).fetchall()
        return [row[0] for row in rows]

    assert_each_has_one_owner(asyncio.run(race(work)), epoch=2)
    assert Worker.objects.count() == WORKERS
