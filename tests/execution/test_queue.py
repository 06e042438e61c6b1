"""Who goes first: limits of a flow, priorities, turns between flows, and that nobody waits for ever."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from typing import Any
from uuid import UUID

import pytest
from django.db import connection as django_connection
from psycopg import AsyncConnection

from flows.engine.planner import DECISIONS_AT_ONCE
from flows.execution.claims import ClaimedRun, claim_queued
from flows.models import Flow, Run
from flows.models.identifiers import new_id
from flows.runs.actions.cancel_run import cancel_run
from orchestrator.engine import dsn
from tests.execution.conftest import AddTool, Drive
from tests.execution.runs import approval, decided, finish, output_of, reach, request_of, start, tool, until
from tests.makers import make_actor, make_flow, make_run

pytestmark = pytest.mark.django_db(transaction=True)


def claimed(most: int = 10, *, oldest: bool = False) -> list[ClaimedRun]:
    """What an engine takes that comes by now."""

    async def claim() -> list[ClaimedRun]:
        async with await AsyncConnection.connect(dsn(), autocommit=True) as connection:
            return await claim_queued(connection, new_id(), most, oldest=oldest)

    return asyncio.run(claim())


def ids(runs: list[ClaimedRun]) -> set[UUID]:
    return {run.id for run in runs}


def limited(limit: int, **fields: Any) -> Flow:
    flow = make_flow()
    Flow.objects.filter(id=flow.id).update(max_running=limit, **fields)
    return flow


def park(run: ClaimedRun, status: str = "waiting") -> None:
    Run.objects.filter(id=run.id).update(status=status, owner=None)


def wake(run: ClaimedRun) -> None:
    Run.objects.filter(id=run.id).update(status="queued")


def test_no_more_runs_of_a_flow_begin_than_may_be_running() -> None:
    flow = limited(2)
    runs = [make_run(flow) for _ in range(5)]

    first = claimed()
    assert ids(first) == {runs[0].id, runs[1].id}
    assert claimed() == []

    Run.objects.filter(id=runs[0].id).update(status="succeeded", owner=None, ended_at="2025-01-01T00:00Z")
    assert ids(claimed()) == {runs[2].id}


def test_two_engines_at_once_never_pass_the_limit() -> None:
    flow = limited(3)
    for _ in range(60):
        make_run(flow)
    most = Counter[str]()

    def engine(me: UUID) -> None:
        async def work() -> None:
            async with await AsyncConnection.connect(dsn(), autocommit=True) as connection:
                for _ in range(40):
                    mine = [run.id for run in await claim_queued(connection, me, 5)]
                    cursor = await connection.execute("SELECT count(*) FROM flows_run WHERE status = 'running'")
                    row = await cursor.fetchone()
                    assert row is not None
                    most["running"] = max(most["running"], row[0])
                    if mine:
                        await connection.execute(
                            "UPDATE flows_run SET status = 'succeeded', owner = NULL, ended_at = now() WHERE id = ANY(%s)",
                            (mine,),
                        )

        asyncio.run(work())

    engines = [threading.Thread(target=engine, args=(new_id(),)) for _ in range(4)]
    for thread in engines:
        thread.start()
    for thread in engines:
        thread.join()

    assert most["running"] == 3
    assert not Run.objects.filter(status="queued").exists()


def test_a_run_that_waits_frees_its_slot_or_keeps_it_as_the_flow_says() -> None:
    free, kept = limited(1), limited(1, keeps_slot=True)
    for flow in (free, kept):
        make_run(flow)
        make_run(flow)
    first = {run.flow_id: run for run in claimed()}
    for run in first.values():
        park(run, "waiting_approval")

    second = claimed()
    assert [run.flow_id for run in second] == [free.id]

    for run in first.values():
        wake(run)
    assert ids(claimed()) == {first[kept.id].id}  # it goes on in its own slot; that of the other flow is taken


def test_an_engine_that_was_overtaken_takes_nothing() -> None:
    """The count of one claim is worth nothing once another claim has written the flow's row."""
    flow = limited(1)
    make_run(flow)
    make_run(flow)

    async def race() -> tuple[list[ClaimedRun], list[ClaimedRun]]:
        async with (
            await AsyncConnection.connect(dsn(), autocommit=False) as one,
            await AsyncConnection.connect(dsn(), autocommit=True) as two,
        ):
            first = await claim_queued(one, new_id(), 5)  # not committed yet
            second = await claim_queued(two, new_id(), 5)
            await one.commit()
            return first, second

    first, second = asyncio.run(race())
    assert (len(first), second) == (1, [])


def test_the_higher_priority_goes_first() -> None:
    low, high = make_flow(), make_flow()
    runs = [make_run(low, priority=-5), make_run(low), make_run(low, priority=3), make_run(high, priority=7)]

    assert [next(iter(ids(claimed(1)))) for _ in range(4)] == [run.id for run in reversed(runs)]


def test_a_run_that_has_begun_goes_before_one_that_has_not() -> None:
    flow = make_flow()
    make_run(flow)
    begun = make_run(flow)
    Run.objects.filter(id=begun.id).update(started_at="2025-01-01T00:00Z", epoch=1)

    assert ids(claimed(1)) == {begun.id}


def test_by_age_the_oldest_goes_first_whatever_its_priority() -> None:
    flow = make_flow()
    old = make_run(flow, priority=-10)
    for _ in range(30):
        make_run(flow, priority=10)

    assert old.id not in ids(claimed(5))
    assert old.id in ids(claimed(1, oldest=True))


def test_flows_take_turns() -> None:
    crowd, single = make_flow(), make_flow()
    for _ in range(40):
        make_run(crowd)
    claimed(5)
    run = make_run(single)

    assert ids(claimed(1)) == {run.id}


def test_many_slots_are_shared_between_flows() -> None:
    crowds = [make_flow(), make_flow()]
    for flow in crowds:
        for _ in range(20):
            make_run(flow)

    assert Counter(run.flow_id for run in claimed(10)) == {flow.id: 5 for flow in crowds}


def test_a_claim_reads_no_more_rows_when_more_runs_wait_or_have_ended() -> None:
    """Figures of a large table stand in docs/architecture.md; here only that no plan walks the table."""
    flow = make_flow()
    make_run(flow)
    with django_connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO flows_run (id, number, flow_id, version_id, status, reason, epoch, claims, seq, signals, open_calls, record,
                   cancel_requested, at_limit, reserved, reserved_tokens, spent, spent_tokens, steps, unpriced, input, tags, source,
                   pass, priority, ended_at)
               SELECT gen_random_uuid(), nextval('flows_run_number'), %s, %s, CASE WHEN i % 3 = 0 THEN 'queued' ELSE 'succeeded' END, '',
                   0, 0, 0, 0, 0, 0, false, 'stop', 0, 0, 0, 0, 0, 0, '{}', '[]', 'api', 1, 0,
                   CASE WHEN i % 3 <> 0 THEN now() END
               FROM generate_series(1, 9000) i""".replace("i %", "i %%"),
            [flow.id, flow.published_id],
        )
        cursor.execute("ANALYZE flows_run")

    async def read() -> int:
        async with await AsyncConnection.connect(dsn(), autocommit=True) as connection:
            await connection.execute("SELECT pg_stat_force_next_flush()")
            seen = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'flows_run'"
            before = await (await connection.execute(seen)).fetchone()
            await claim_queued(connection, new_id(), 10)
            await connection.execute("SELECT pg_stat_force_next_flush()")
            after = await (await connection.execute(seen)).fetchone()
            assert before is not None
            assert after is not None
            return int(after[0] - before[0])

    assert asyncio.run(read()) < 500


def test_a_map_of_many_items_does_not_hold_up_a_single_run(drive: Drive, add_tool: AddTool) -> None:
    """Counted in steps, not seconds: of the map begun first no more come before the single run's than the planner hands out in a
    few turns, however many items wait."""
    order: list[str] = []

    async def note(who: str) -> str:
        order.append(who)
        await asyncio.sleep(0)
        return who

    add_tool("test.note", note)
    body = {"steps": {"one": tool("test.note", {"who": "map"})}, "edges": ["start -> one"], "output": "1"}
    drive()
    many = start(
        {"each": {"kind": "map", "with": {"over": "input.items", "concurrency": 1000, "body": body}}},
        ["start -> each"],
        {"items": list(range(10_000))},
    )
    until(lambda: len(order) > 20)
    before = len(order)
    single = finish(start({"a": tool("test.note", {"who": "single"})}, ["start -> a"], output="{{ steps.a.output }}"), within=30)

    assert output_of(single) == "single"
    assert order.index("single") - before <= 4 * DECISIONS_AT_ONCE < 10_000
    cancel_run(make_actor("operator"), many)
    finish(many, within=30)


def test_a_parked_run_of_a_limited_flow_lets_the_next_one_go(drive: Drive) -> None:
    drive()
    first = start({"ask": approval()}, ["start -> ask"])
    Flow.objects.filter(id=first.flow_id).update(max_running=1)
    request = request_of(first)
    second = make_run(first.flow)
    reach(second, "waiting_approval")

    decided(request)
    finish(first)
