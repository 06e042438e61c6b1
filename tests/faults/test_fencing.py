"""A worker that lost its run changes nothing of it, whatever it still has to say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from flows.execution.journal import Record, Verdict
from flows.execution.writer import Writer
from flows.models import Attempt, Call, Event, Run
from flows.models.identifiers import new_id
from orchestrator.engine import dsn
from tests.makers import make_run
from tests.orchestrator.processes import until

pytestmark = pytest.mark.django_db(transaction=True)


def what_it_says(run: Run, epoch: int) -> Record:
    """A result, the begin of a call, and the run's end."""
    done: dict[str, Any] = {
        "op": "result",
        "event": "step.succeeded",
        "path": "greet",
        "attempt": 1,
        "kind": "model",
        "status": "succeeded",
    }
    begin: dict[str, Any] = {
        "op": "begin",
        "event": "step.started",
        "path": "then",
        "attempt": 1,
        "n": 1,
        "call": new_id(),
        "kind": "model",
        "target": "loop-1",
        "repeat": "freely",
        "key": new_id(),
        "reserve": "0.5",
        "reserve_tokens": 10,
        "simulated": False,
        "priced": True,
    }
    return Record(run.id, epoch, 1, 0, 1, [done, begin])


def verdicts_on(*records: Record) -> list[Verdict]:
    """What a writer is told of these records, handed to it at once."""

    async def write() -> list[Verdict]:
        writer = Writer(dsn())
        told: dict[int, Any] = {}
        for number, record in enumerate(records):
            writer.submit(record, lambda verdict, number=number: told.__setitem__(number, verdict))
        task = asyncio.create_task(writer.run())
        async with asyncio.timeout(30):
            while len(told) < len(records):
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return [told[number] for number in range(len(records))]

    return asyncio.run(write())


def rows_of(run: Run) -> tuple[int, int, int]:
    return tuple(kind.objects.filter(run_id=run.id).count() for kind in (Event, Attempt, Call))  # type: ignore[return-value]


def test_a_record_of_an_earlier_epoch_is_refused_alone() -> None:
    mine = make_run(status="running", owner=new_id(), epoch=3)
    lost = make_run(status="running", owner=new_id(), epoch=3)
    before = Run.objects.filter(id=lost.id).values().get()

    verdicts = verdicts_on(what_it_says(lost, epoch=2), what_it_says(mine, epoch=3))

    assert [verdict.fenced for verdict in verdicts] == [True, False]
    assert Run.objects.filter(id=lost.id).values().get() == before
    assert rows_of(lost) == (1, 0, 0)
    assert rows_of(mine) == (3, 1, 1)


def test_a_run_that_is_not_being_driven_takes_no_record() -> None:
    parked = make_run(status="waiting_approval", epoch=3)

    (verdict,) = verdicts_on(what_it_says(parked, epoch=3))

    assert verdict.fenced
    assert rows_of(parked) == (1, 0, 0)


def test_no_call_begins_once_a_cancel_has_committed() -> None:
    run = make_run(status="running", owner=new_id(), epoch=1, cancel_requested=True)

    (verdict,) = verdicts_on(what_it_says(run, epoch=1))

    assert verdict.refused == {1: "cancelled"}
    assert rows_of(run) == (2, 1, 0), "what came home is kept, what would begin is not"


def test_a_batch_with_a_lost_connection_is_written_once() -> None:
    """The connection ends while the statement waits for a lock: the writer reads what is there, and sends the rest again."""
    run = make_run(status="running", owner=new_id(), epoch=1)

    async def write() -> Verdict:
        loop, writer, told = asyncio.get_running_loop(), Writer(dsn()), asyncio.Queue[Any]()
        task = asyncio.create_task(writer.run())
        backend = (await writer._connected()).info.backend_pid

        def submit() -> None:
            loop.call_soon_threadsafe(writer.submit, what_it_says(run, epoch=1), told.put_nowait)

        await asyncio.to_thread(end_while_it_waits, run, backend, submit)
        verdict: Verdict = await asyncio.wait_for(told.get(), 10)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return verdict

    verdict = asyncio.run(write())

    assert not verdict.fenced
    assert verdict.refused == {}
    assert rows_of(run) == (3, 1, 1)


def end_while_it_waits(run: Run, backend: int, submit: Callable[[], None]) -> None:
    """Locks the run's row, lets the writer come to wait for it, and ends the writer's connection."""
    with psycopg.connect(dsn()) as holder:
        holder.execute("SELECT id FROM flows_run WHERE id = %s FOR UPDATE", (run.id,))
        submit()
        waits = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'"
        with psycopg.connect(dsn(), autocommit=True) as watch:
            until(lambda: watch.execute(waits, (backend,)).fetchone(), 5, "the writer waits for the lock")
            watch.execute("SELECT pg_terminate_backend(%s)", (backend,))
