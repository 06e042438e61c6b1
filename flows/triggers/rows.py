"""Triggers as the pages show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from flows.models import Trigger
from flows.triggers.reads import outcomes_of, schedule_of, why_inactive
from flows.triggers.schedules import Upcoming

HOURS = 24


@dataclass(frozen=True, slots=True)
class Row:
    """One trigger of a list: its rule in words, why it does nothing, when it fires next, how its last firings went."""

    trigger: Trigger
    words: str
    inactive: str
    upcoming: Upcoming | None
    outcomes: Mapping[str, int]

    @property
    def started(self) -> int:
        return self.outcomes.get("started", 0)

    @property
    def others(self) -> str:
        """What did not start, in words: "1 refused, 2 skipped"."""
        return ", ".join(f"{number} {outcome}" for outcome, number in sorted(self.outcomes.items()) if outcome != "started")


@dataclass(frozen=True, slots=True)
class Calendar:
    """The next 24 hours: their beginnings, and for each active schedule how often it fires in each."""

    hours: list[datetime]
    rows: list[tuple[Trigger, list[int]]]


def rows_of(triggers: Iterable[Trigger], now: datetime) -> list[Row]:
    listed = list(triggers)
    outcomes = outcomes_of(listed)
    return [_row(trigger, now, outcomes.get(trigger.id, {})) for trigger in listed]


def row_of(trigger: Trigger, now: datetime) -> Row:
    return rows_of([trigger], now)[0]


def next_times(trigger: Trigger, now: datetime) -> list[Upcoming]:
    """The next five fire times."""
    return schedule_of(trigger).upcoming(now)


def calendar_of(rows: Iterable[Row], now: datetime) -> Calendar | None:
    """None where nothing fires within the next 24 hours."""
    begin = timezone.localtime(now).replace(minute=0, second=0, microsecond=0)
    hours = [begin + timedelta(hours=n) for n in range(HOURS)]
    counted = [(row.trigger, schedule_of(row.trigger).by_hour(now)) for row in rows if row.upcoming is not None]
    shown = [(trigger, numbers) for trigger, numbers in counted if any(numbers)]
    return Calendar(hours, shown) if shown else None


def _row(trigger: Trigger, now: datetime, outcomes: Mapping[str, int]) -> Row:
    inactive = why_inactive(trigger)
    if trigger.kind != "schedule":
        return Row(trigger, "", inactive, None, outcomes)
    schedule = schedule_of(trigger)
    upcoming = None if inactive else next(iter(schedule.upcoming(now, 1)), None)
    return Row(trigger, schedule.words, inactive, upcoming, outcomes)
