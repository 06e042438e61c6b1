"""Owners that died, leases that ran out, steps that kill: how a run goes on, and when it does not."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from flows.execution.live import Live
from flows.models import Attempt, Call, Event, Run, Worker
from flows.models.identifiers import new_id
from tests.engine.flows import source_of
from tests.execution.conftest import AddTool, Drive
from tests.execution.runs import calls_of, error_of, finish, make_model, model, output_of, reach, start, tool, types_of, until
from tests.makers import make_flow, make_run

CHAIN = {"a": tool("test.count"), "b": tool("test.count")}
EDGES = ["start -> a", "a -> b"]


class Counter:
    def __init__(self) -> None:
        self.calls = 0

    def tool(self) -> Any:
        async def count() -> int:
            self.calls += 1
            return self.calls

        return count


def died(steps: dict[str, Any], edges: list[str], *, claims: int = 1, known: bool = True, **more: Any) -> Run:
    """A run whose owner has not been heard of for a minute."""
    owner = uuid4()
    if known:
        Worker.objects.create(id=owner, beat=timezone.now() - timedelta(minutes=1), host="gone", pid=1)
    run = make_run(make_flow(document=source_of(steps, edges, **more)), status="running", owner=owner, epoch=1, claims=claims)
    Run.objects.filter(id=run.id).update(started_at=timezone.now())
    return run


def call_in_flight(
    run: Run, path: str, *, repeat: str = "freely", kind: str = "tool", reserved: str = "0", target: str = "test.count"
) -> Call:
    """The call that the run's owner was making when it died."""
    run.seq += 1
    Event.objects.create(run_id=run.id, seq=run.seq, pass_number=1, type="step.started", path=path)
    call = Call.objects.create(
        id=new_id(),
        run=run,
        pass_number=1,
        path=path,
        attempt=1,
        n=1,
        epoch=1,
        seq=run.seq,
        status="started",
        kind=kind,
        target="test.count",
        repeat=repeat,
        idempotency_key=uuid4(),
        request="{}",
        reserved=Decimal(reserved),
        reserved_tokens=100,
    )
    Run.objects.filter(id=run.id).update(seq=run.seq, open_calls=1, reserved=Decimal(reserved), reserved_tokens=100, steps=1)
    return call


def has_succeeded(run: Run, path: str, output: Any) -> None:
    run.seq += 1
    Event.objects.create(run_id=run.id, seq=run.seq, pass_number=1, type="step.succeeded", path=path)
    Attempt.objects.create(
        run=run,
        pass_number=1,
        path=path,
        n=1,
        kind="tool",
        status="succeeded",
        seq=run.seq,
        port="done",
        output=json.dumps(output),
    )
    Run.objects.filter(id=run.id).update(seq=run.seq)


@pytest.mark.parametrize("known", [True, False])
def test_a_run_whose_owner_is_gone_goes_on_where_its_journal_ends(drive: Drive, add_tool: AddTool, known: bool) -> None:
    counter = Counter()
    add_tool("test.count", counter.tool())
    run = died(CHAIN, EDGES, known=known, output="{{ [steps.a.output, steps.b.output] }}")
    has_succeeded(run, "a", 41)
    drive(lease=2.0)

    run = finish(run, within=15)

    assert output_of(run) == [41, 1]
    assert run.epoch == 2
    assert "run.reclaimed" in types_of(run)


def test_a_run_whose_owner_lives_is_left_alone(drive: Drive, add_tool: AddTool) -> None:
    add_tool("test.count", Counter().tool())
    run = died(CHAIN, EDGES)
    Worker.objects.filter(id=run.owner).update(beat=timezone.now() + timedelta(minutes=1))
    drive(lease=2.0)

    assert finish(start(CHAIN, EDGES)).status == "succeeded"
    run.refresh_from_db()
    assert (run.status, run.epoch) == ("running", 1)


def test_a_model_call_of_unknown_outcome_is_charged_its_reservation_and_made_again(drive: Drive) -> None:
    make_model()
    run = died({"a": model("[[sim: say=x]]")}, ["start -> a"], known=False)
    lost = call_in_flight(run, "a", kind="model", reserved="0.25")
    drive()

    run = finish(run)

    lost.refresh_from_db()
    assert (lost.status, lost.settled, lost.usage_source, lost.error_class) == (
        "unknown",
        Decimal("0.25"),
        "estimated",
        "unknown_outcome",
    )
    again = calls_of(run)[1]
    assert (again.status, again.attempt, again.n, again.epoch) == ("succeeded", 1, 2, 2)
    assert again.settled is not None
    assert run.spent == Decimal("0.25") + again.settled
    assert run.status == "succeeded"


def test_a_write_that_may_not_be_repeated_is_not_made_again(drive: Drive, add_tool: AddTool) -> None:
    counter = Counter()
    add_tool("test.count", counter.tool(), effect="write", repeat="never")
    run = died({"a": tool("test.count")}, ["start -> a"], known=False)
    call_in_flight(run, "a", repeat="never")
    drive()

    run = reach(run, "waiting_approval")

    assert run.reason == "outcome_unknown"
    assert counter.calls == 0
    assert [call.status for call in calls_of(run)] == ["unknown"]


def test_a_cancelled_run_whose_owner_is_gone_ends_as_cancelled(drive: Drive, add_tool: AddTool) -> None:
    counter = Counter()
    add_tool("test.count", counter.tool())
    run = died(CHAIN, EDGES, known=False)
    call_in_flight(run, "a")
    Run.objects.filter(id=run.id).update(cancel_requested=True, signals=1)
    drive()

    assert finish(run).status == "cancelled"
    assert counter.calls == 0


def test_a_run_that_kills_its_workers_fails_after_three(drive: Drive, add_tool: AddTool) -> None:
    counter = Counter()
    add_tool("test.count", counter.tool())
    run = died({"a": tool("test.count")}, ["start -> a"], claims=3, known=False)
    call_in_flight(run, "a")
    drive()

    run = finish(run)

    assert (run.status, run.reason) == ("failed", "worker_died")
    assert error_of(run) == {"step": "a", "class": "worker_died", "message": "The worker died 3 times in step a."}
    assert counter.calls == 0


def test_a_run_whose_workers_died_twice_is_tried_once_more(drive: Drive, add_tool: AddTool) -> None:
    add_tool("test.count", Counter().tool())
    run = died(CHAIN, EDGES, claims=2, known=False)
    call_in_flight(run, "a")
    drive()

    run = finish(run)

    assert run.status == "succeeded"
    assert run.claims == 0


def test_a_run_that_went_to_another_worker_is_dropped_by_the_first(drive: Drive, add_tool: AddTool) -> None:
    release = threading.Event()

    async def slow() -> str:
        while not release.is_set():
            await asyncio.sleep(0.01)
        return "done"

    add_tool("test.slow", slow)
    engine = drive()
    run = start({"a": tool("test.slow")}, ["start -> a"])
    until(lambda: calls_of(run))
    other = uuid4()
    Worker.objects.create(id=other, beat=timezone.now() + timedelta(minutes=1), host="other", pid=1)
    Run.objects.filter(id=run.id).update(epoch=7, owner=other)
    before = types_of(run)

    release.set()
    until(lambda: run.id not in engine.drivers)

    run = Run.objects.get(id=run.id)
    assert (run.epoch, run.owner, run.status) == (7, other, "running")
    assert types_of(run) == before
    assert not Attempt.objects.filter(run_id=run.id).exists()


def test_a_run_of_ours_that_nobody_drives_is_taken_up_again(drive: Drive, add_tool: AddTool) -> None:
    add_tool("test.count", Counter().tool())
    engine = drive()
    run = make_run(
        make_flow(document=source_of(CHAIN, EDGES)), status="running", owner=engine.id, epoch=1, started_at=timezone.now()
    )

    assert finish(run).status == "succeeded"


def test_a_blocked_heartbeat_stops_new_calls_and_they_go_on_when_it_beats_again(
    drive: Drive, add_tool: AddTool, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = Counter()
    release = threading.Event()

    async def slow() -> str:
        while not release.is_set():
            await asyncio.sleep(0.01)
        return "done"

    add_tool("test.slow", slow)
    add_tool("test.count", counter.tool())
    engine = drive()
    run = start({"a": tool("test.slow"), "b": tool("test.count")}, ["start -> a", "a -> b"])
    until(lambda: calls_of(run))
    age = type(engine.lease).age
    monkeypatch.setattr(type(engine.lease), "age", property(lambda lease: 0.7 * lease.seconds))
    assert not engine.lease.may_begin
    assert not engine.lease.lost

    release.set()
    until(lambda: Attempt.objects.filter(run_id=run.id, path="a", status="succeeded").exists() or not engine.lease.may_begin)
    waiting = start({"b": tool("test.count")}, ["start -> b"])
    until(lambda: "b" in engine.drivers[run.id].steps.tasks)
    assert [call.path for call in calls_of(run)] == ["a"]
    assert Run.objects.get(id=waiting.id).status == "queued"
    assert counter.calls == 0
    monkeypatch.setattr(type(engine.lease), "age", age)

    assert finish(run).status == "succeeded"
    assert finish(waiting).status == "succeeded"


def test_a_lost_lease_lets_go_of_everything_in_flight(drive: Drive, add_tool: AddTool, monkeypatch: pytest.MonkeyPatch) -> None:
    broken_off: list[bool] = []

    async def endless() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            broken_off.append(True)
            raise

    add_tool("test.endless", endless)
    engine = drive()
    run = start({"a": tool("test.endless")}, ["start -> a"])
    until(lambda: calls_of(run))

    monkeypatch.setattr(type(engine.lease), "age", property(lambda lease: 0.95 * lease.seconds))

    until(lambda: broken_off)
    assert engine.drivers == {}
    assert Run.objects.get(id=run.id).owner == engine.id
    assert calls_of(run)[0].status == "started"


def test_an_engine_that_stops_hands_on_what_rests_and_leaves_no_worker(drive: Drive, add_tool: AddTool) -> None:
    add_tool("test.count", Counter().tool())
    first = drive()
    run = start({"w": {"kind": "wait", "with": {"for": "350ms"}}, "b": tool("test.count")}, ["start -> w", "w -> b"])
    until(lambda: "step.waiting" in types_of(run))

    first.stop(5)
    assert not Worker.objects.filter(id=first.id).exists()
    assert Run.objects.get(id=run.id).owner is None
    drive()

    assert finish(run).status == "succeeded"


def test_an_engine_that_stops_leaves_a_call_in_flight_to_the_next_at_once(drive: Drive, add_tool: AddTool) -> None:
    release = threading.Event()

    async def slow() -> str:
        while not release.is_set():
            await asyncio.sleep(0.01)
        return "done"

    add_tool("test.slow", slow)
    first = drive(lease=60.0)
    run = start({"a": tool("test.slow")}, ["start -> a"])
    until(lambda: calls_of(run))

    first.stop(5)
    release.set()
    drive(lease=60.0)
    run = finish(run, within=20)

    assert run.status == "succeeded"
    assert [call.status for call in calls_of(run)] == ["unknown", "succeeded"]


def test_a_check_that_stopped_the_run_stops_it_also_for_the_next_engine(drive: Drive, add_tool: AddTool) -> None:
    async def slow() -> None:
        await asyncio.Event().wait()

    add_tool("test.slow", slow)
    check = {"kind": "check", "with": {"value": "abc", "rules": [{"type": "length", "max": 2, "then": "stop"}]}}
    body = {"steps": {"c": check}, "edges": ["start -> c"]}
    steps = {"m": {"kind": "map", "with": {"over": "[1]", "on_item_error": "collect", "body": body}}, "a": tool("test.slow")}
    first = drive(lease=60.0)
    run = start(steps, ["start -> m", "start -> a"])
    until(lambda: calls_of(run) and Attempt.objects.filter(run=run, path="m", status="succeeded").exists())

    first.stop(5)
    drive(lease=60.0)
    run = finish(run, within=20)

    assert (run.status, error_of(run)["step"]) == ("failed", "m[0].c")


def test_restarts_of_the_worker_do_not_count_as_deaths(drive: Drive, add_tool: AddTool) -> None:
    release = threading.Event()

    async def slow() -> str:
        while not release.is_set():
            await asyncio.sleep(0.01)
        return "done"

    add_tool("test.slow", slow)
    run = start({"a": tool("test.slow")}, ["start -> a"])
    for times in range(1, 5):
        engine = drive(lease=60.0)
        until(Call.objects.filter(run_id=run.id, epoch=times).exists, within=20)
        engine.stop(5)
    release.set()
    drive()

    assert finish(run).status == "succeeded"


async def test_the_pages_feed_ends_with_its_engine_whatever_its_client_does(monkeypatch: pytest.MonkeyPatch) -> None:
    live = Live("redis://127.0.0.1:1")
    flushing = asyncio.Event()

    async def swallows(self: Live) -> None:
        flushing.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise ConnectionError("closed while reading") from None

    monkeypatch.setattr(Live, "_flush", swallows)
    live.touch(uuid4())
    task = asyncio.create_task(live.run())
    await flushing.wait()

    task.cancel()
    done, _ = await asyncio.wait([task], timeout=2)

    assert done
