"""Schedules fire each fire time exactly once, by the database's clock."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from flows.access.actor import Actor
from flows.models import Firing, Flow, Run, Trigger
from flows.triggers.actions import fire_due as firing
from flows.triggers.actions.fire_due import fire_due
from flows.triggers.actions.pause_trigger import pause_trigger
from flows.triggers.clock import database_now
from tests.makers import make_flow, make_person, make_trigger

pytestmark = pytest.mark.django_db


class Clock:
    """The database's clock, as far as the triggers ask it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, now: datetime) -> None:
        self.now = now
        monkeypatch.setattr(firing, "database_now", lambda: self.now)

    def pass_to(self, until: datetime, step: timedelta) -> None:
        """Lets time pass as the reconciler sees it."""
        while self.now < until:
            self.now += step
            fire_due()


def due(trigger: Trigger, at: datetime) -> Trigger:
    Trigger.objects.filter(id=trigger.id).update(next_fire_at=at)
    return trigger


def outcomes(trigger: Trigger) -> list[str]:
    return list(Firing.objects.filter(trigger=trigger).order_by("due_at").values_list("outcome", flat=True))


def end_runs() -> None:
    Run.objects.filter(ended_at=None).update(status="succeeded", ended_at=timezone.now())


@pytest.mark.parametrize(
    ("begin", "expected"),
    [
        (datetime(2026, 3, 28, 22, tzinfo=UTC), ["2026-03-29T01:00:00+00:00", "2026-03-30T00:30:00+00:00"]),
        (datetime(2026, 10, 24, 22, tzinfo=UTC), ["2026-10-25T00:30:00+00:00", "2026-10-26T01:30:00+00:00"]),
    ],
    ids=["clocks go forward", "clocks go back"],
)
def test_each_fire_time_is_fired_once_over_a_change_of_clocks(
    begin: datetime, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trigger = make_trigger(cron="30 2 * * *", zone="Europe/Madrid", overlap="allow")
    clock = Clock(monkeypatch, begin)
    due(trigger, next(firing.schedule_of(trigger).after(begin)))

    clock.pass_to(begin + timedelta(days=1, hours=5), timedelta(minutes=7))

    assert [each.due_at.isoformat() for each in Firing.objects.order_by("due_at") if each.due_at] == expected
    assert Run.objects.count() == 2
    assert set(Run.objects.values_list("source", "started_by__username")) == {("schedule", trigger.owner.username)}


def test_a_look_that_broke_off_is_made_up_for_and_nothing_fires_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    trigger = due(make_trigger(), database_now() - timedelta(seconds=5))
    before = firing.start_for

    def killed(*given: Any) -> Run:
        before(*given)
        raise RuntimeError("killed after the run was written, before the commit")

    monkeypatch.setattr(firing, "start_for", killed)
    fire_due()
    assert not Run.objects.exists()
    monkeypatch.setattr(firing, "start_for", before)
    fire_due()  # after the restart
    due(trigger, Firing.objects.get().due_at or database_now())  # somebody turns the schedule back
    fire_due()

    assert Run.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_three_reconcilers_at_once_start_one_run() -> None:
    trigger = due(make_trigger(overlap="allow"), database_now() - timedelta(seconds=5))
    gate = threading.Barrier(3)

    def look() -> None:
        try:
            gate.wait(30)
            for _ in range(3):
                fire_due()
        finally:
            connection.close()

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert Run.objects.count() == 1
    assert outcomes(trigger) == ["started"]


@pytest.mark.parametrize("wrong", [0.0, 4e9], ids=["stopped in 1970", "far ahead"])
def test_a_workers_own_clock_decides_nothing(wrong: float, monkeypatch: pytest.MonkeyPatch) -> None:
    now = database_now()
    late = due(make_trigger(overlap="allow"), now - timedelta(seconds=5))
    early = due(make_trigger(overlap="allow"), now + timedelta(minutes=5))
    monkeypatch.setattr(time, "time", lambda: wrong)
    monkeypatch.setattr(timezone, "now", lambda: datetime.fromtimestamp(wrong, UTC))

    fire_due()
    fire_due()

    assert outcomes(late) == ["started"]
    assert outcomes(early) == []


@pytest.mark.parametrize(
    ("rule", "expected", "runs"), [("none", ["missed"], 0), ("last", ["missed", "started"], 1), ("all", ["started"] * 4, 4)]
)
def test_what_was_missed_is_caught_up_with_as_the_rule_says(
    rule: str, expected: list[str], runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime(2026, 6, 1, 12, 30, tzinfo=UTC)
    trigger = due(make_trigger(catch_up=rule, overlap="allow"), now.replace(hour=9, minute=0))  # down since then
    Clock(monkeypatch, now)

    fire_due()

    assert outcomes(trigger) == expected
    assert Run.objects.count() == runs
    trigger.refresh_from_db()
    assert trigger.next_fire_at == now.replace(hour=13, minute=0)
    if rule == "last":
        assert "3 fire times" in Firing.objects.get(outcome="missed").reason


def test_after_months_only_so_many_are_caught_up_with(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 6, 1, 12, 30, tzinfo=UTC)
    due(make_trigger(catch_up="all", overlap="allow"), now - timedelta(days=90))
    Clock(monkeypatch, now)

    fire_due()

    assert Run.objects.count() == firing.MOST_CAUGHT_UP


@pytest.mark.parametrize(("rule", "expected"), [("skip", "skipped"), ("queue", "queued"), ("allow", "started")])
def test_a_run_that_is_still_going_counts_as_the_rule_says(rule: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, datetime(2026, 6, 1, 12, 0, 5, tzinfo=UTC))
    trigger = due(make_trigger(overlap=rule), clock.now.replace(second=0))
    fire_due()
    clock.now += timedelta(hours=1)
    fire_due()

    assert outcomes(trigger) == ["started", expected]
    if rule == "skip":
        assert f"#{Run.objects.get().number} " in Firing.objects.get(outcome="skipped").reason
    if rule == "queue":
        fire_due()
        assert Run.objects.count() == 1
        end_runs()
        fire_due()
        assert Run.objects.count() == 2
        assert outcomes(trigger) == ["started", "started"]


def test_an_inactive_trigger_starts_nothing_and_makes_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, datetime(2026, 6, 1, 12, 0, 5, tzinfo=UTC))
    paused, archived, unpublished = make_flow(), make_flow(), make_flow(published=False)
    Flow.objects.filter(id=paused.id).update(paused_at=clock.now)
    Flow.objects.filter(id=archived.id).update(archived_at=clock.now)
    gone = make_person("builder")
    for flow in (paused, archived, unpublished):
        due(make_trigger(flow), clock.now)
    due(make_trigger(owner=gone), clock.now)
    gone.memberships.all().delete()

    fire_due()
    Flow.objects.update(paused_at=None, archived_at=None)
    fire_due()

    assert not Run.objects.exists()
    assert not Firing.objects.exists()
    assert not Trigger.objects.filter(next_fire_at__lte=clock.now).exists()


def test_time_that_passes_while_it_is_paused_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    trigger = due(make_trigger(catch_up="all"), database_now() + timedelta(minutes=1))
    actor = Actor(person=make_person("operator"))

    paused = pause_trigger(actor, trigger)
    assert paused.next_fire_at is None
    resumed = pause_trigger(actor, paused, paused=False)

    assert resumed.next_fire_at is not None
    assert resumed.next_fire_at > database_now()


def test_an_input_that_no_longer_fits_is_told_and_the_next_time_comes() -> None:
    trigger = due(make_trigger(input={"name": 3}), database_now() - timedelta(seconds=5))

    fire_due()

    row = Firing.objects.get()
    assert row.outcome == "refused"
    assert "input.name" in row.reason
    trigger.refresh_from_db()
    assert trigger.next_fire_at is not None
    assert trigger.next_fire_at > database_now()


def test_old_firings_are_forgotten_and_the_newest_kept() -> None:
    trigger = make_trigger()
    for n in range(60):
        Firing.objects.create(trigger=trigger, mark=str(n), outcome="started", at=database_now() - timedelta(hours=2))

    fire_due()

    assert Firing.objects.count() == firing.SHOWN
    assert not Firing.objects.filter(mark="9").exists()
