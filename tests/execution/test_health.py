"""What should never be there and is looked for all the same; clocks that are wrong; the figures of it all."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from flows.execution import lease as lease_module
from flows.execution.health import health
from flows.models import Run, Worker
from flows.models.identifiers import new_id
from tests.execution.conftest import AddTool, Drive
from tests.execution.runs import finish, output_of, reach, start, tool, types_of, until
from tests.makers import make_run
from tests.runs.journals import make_call

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("status", ["succeeded", "waiting_approval", "queued"])
def test_a_call_in_flight_of_a_run_that_nobody_drives_is_settled(drive: Drive, status: str) -> None:
    run = make_run(status=status, open_calls=1, reserved=Decimal("0.4"), reserved_tokens=7)
    call = make_call(run, "a", status="started", cost=None, reserved=Decimal("0.4"), reserved_tokens=7)
    assert health(15).orphan_reservations == 1

    drive()
    until(lambda: Run.objects.get(id=run.id).open_calls == 0)

    call.refresh_from_db()
    run.refresh_from_db()
    assert (call.status, call.settled) == ("unknown", Decimal("0.4"))
    assert (run.reserved, run.reserved_tokens, run.spent, run.spent_tokens) == (0, 0, Decimal("0.4"), 7)
    assert health(15).orphan_reservations == 0


def test_a_run_with_a_living_owner_keeps_its_calls(drive: Drive) -> None:
    owner = Worker.objects.create(id=new_id(), host="here", pid=1)
    run = make_run(status="running", owner=owner.id, open_calls=1)
    call = make_call(run, "a", status="started", cost=None)
    engine = drive()
    done = engine.lease.tick
    until(lambda: engine.lease.tick > done + 0.5)

    call.refresh_from_db()
    assert call.status == "started"


def test_the_figures_say_what_waits_and_who_works() -> None:
    Worker.objects.create(id=new_id(), host="here", pid=1, reclaims=3, fenced=1)
    Worker.objects.create(id=new_id(), host="gone", pid=2, beat=timezone.now() - timedelta(minutes=1), reclaims=1)
    old = make_run()
    make_run()
    Run.objects.filter(id=old.id).update(seq=0, created_at=timezone.now() - timedelta(seconds=90))

    found = health(15)

    assert (found.workers, found.queued, found.driven, found.reclaims, found.fenced) == (1, 2, 0, 4, 1)
    assert found.oldest_unclaimed is not None
    assert 89 < found.oldest_unclaimed < 120


def test_takeovers_are_counted(drive: Drive, add_tool: AddTool) -> None:
    async def one() -> int:
        return 1

    add_tool("test.one", one)
    run = start({"a": tool("test.one")}, ["start -> a"])
    Run.objects.filter(id=run.id).update(status="running", owner=new_id(), epoch=1, started_at=timezone.now())
    drive(lease=1.0)
    finish(run)

    until(lambda: health(15).reclaims == 1)


@pytest.mark.parametrize("hours", [1, -1])
def test_a_worker_whose_clock_is_wrong_takes_nothing_from_others_and_is_on_time(
    drive: Drive, add_tool: AddTool, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Every clock of the process but the monotonic one is off by an hour; the database's alone decides."""
    off = hours * 3600.0
    right = time.time, time.time_ns

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(right[0]() + off, tz or UTC)

    monkeypatch.setattr(lease_module, "datetime", Wrong)

    async def one() -> int:
        return 1

    add_tool("test.one", one)
    others = Worker.objects.create(id=new_id(), host="here", pid=1)
    theirs = make_run(status="running", owner=others.id, epoch=1)
    until_soon = (timezone.now() + timedelta(seconds=2)).isoformat()
    run = start(
        {"w": {"kind": "wait", "with": {"until": until_soon}}, "a": tool("test.one")},
        ["start -> w", "w -> a"],
        output="{{ steps.a.output }}",
    )
    monkeypatch.setattr(time, "time", lambda: right[0]() + off)
    monkeypatch.setattr(time, "time_ns", lambda: right[1]() + int(off) * 1_000_000_000)
    began = time.monotonic()
    drive(lease=6.0)

    reach(run, "waiting", "queued", "running", "succeeded")
    assert output_of(finish(run)) == 1
    assert 1.0 < time.monotonic() - began < 6
    theirs.refresh_from_db()
    assert (theirs.status, theirs.epoch, theirs.owner) == ("running", 1, others.id)
    assert "run.reclaimed" not in types_of(theirs)


def test_a_loop_that_is_stuck_loses_its_lease_and_has_it_again(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "STUCK", 0.3)
    engine = drive(lease=1.0)  # a beat each 0.2 s
    until(lambda: engine.lease.may_begin)
    engine.loop.call_soon_threadsafe(time.sleep, 1.5)

    until(lambda: engine.lease.lost, within=15)
    stuck = Worker.objects.get(id=engine.id).beat
    until(lambda: engine.lease.may_begin, within=15)
    assert Worker.objects.get(id=engine.id).beat - stuck > timedelta(seconds=0.3)
