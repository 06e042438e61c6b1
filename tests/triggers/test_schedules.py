"""Fire times: rules of cron in time zones, also where clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from flows.triggers.schedules import BadSchedule, read_schedule

SPRING = datetime(2026, 3, 28, 12, tzinfo=UTC)  # Madrid goes from +1 to +2 in the night that follows
AUTUMN = datetime(2026, 10, 24, 12, tzinfo=UTC)  # and back in that one


def times(cron: str, moment: datetime, most: int = 3, zone: str = "Europe/Madrid") -> list[str]:
    return [f"{fire:%d %H:%M}" for fire in islice(read_schedule(cron, zone).after(moment), most)]


@pytest.mark.parametrize(
    ("cron", "moment", "expected"),
    [
        ("30 2 * * *", SPRING, ["29 01:00", "30 00:30", "31 00:30"]),  # 02:30 is not there: at 03:00, once
        ("30 2 * * *", AUTUMN, ["25 00:30", "26 01:30", "27 01:30"]),  # 02:30 is there twice: the first time
        ("0 2,3 * * *", SPRING, ["29 01:00", "30 00:00", "30 01:00"]),  # both come to 03:00: once
        ("0 * * * *", SPRING + timedelta(hours=12), ["29 01:00", "29 02:00", "29 03:00"]),
        ("0 * * * *", AUTUMN + timedelta(hours=11, minutes=30), ["25 00:00", "25 01:00", "25 02:00"]),
        ("50 2 * * *", datetime(2026, 10, 25, 1, 20, tzinfo=UTC), ["26 01:50", "27 01:50", "28 01:50"]),  # 02:50 was: not again
        ("30 9 * * 2", SPRING, ["31 07:30", "07 07:30", "14 07:30"]),
    ],
)
def test_a_fire_time_comes_once_whatever_the_clocks_do(cron: str, moment: datetime, expected: list[str]) -> None:
    assert times(cron, moment) == expected


@pytest.mark.parametrize("begin", [SPRING, AUTUMN])
@pytest.mark.parametrize("cron", ["30 2 * * *", "0 * * * *", "*/20 2 * * *", "15 1,2,3 * * *"])
def test_wherever_one_begins_to_look_the_same_times_are_found(begin: datetime, cron: str) -> None:
    schedule = read_schedule(cron, "Europe/Madrid")
    end = begin + timedelta(days=2)
    whole = [fire for fire in islice(schedule.after(begin), 60) if fire <= end]

    stepped, moment = [], begin
    while moment < end:  # as the reconciler does: a little further each time
        following = moment + timedelta(minutes=10)
        stepped += [fire for fire in islice(schedule.after(moment), 20) if fire <= following]
        moment = following

    assert stepped == whole
    assert len(set(whole)) == len(whole)


def test_the_next_times_say_where_the_clocks_change() -> None:
    notes = [(f"{each.local:%d %H:%M}", each.note) for each in read_schedule("30 9 * * *", "Europe/Madrid").upcoming(AUTUMN, 3)]

    assert notes == [("25 09:30", "clocks go back 1 h before"), ("26 09:30", ""), ("27 09:30", "")]


def test_the_next_day_is_counted_by_the_hour() -> None:
    hours = read_schedule("*/15 9-10 * * *", "UTC").by_hour(datetime(2026, 1, 1, 8, 20, tzinfo=UTC))

    assert hours[:4] == [0, 4, 4, 0]
    assert sum(hours) == 8


def test_a_rule_is_said_in_words() -> None:
    assert read_schedule("30 9 * * 2", "UTC").words == "At 09:30 on Tuesday"


@pytest.mark.parametrize(
    ("cron", "zone", "reason"),
    [
        ("0 0 30 2 *", "UTC", "cannot be read|never"),
        ("0 0 * * *", "Mars/Phobos", "no time zone"),
        ("0 0 * * *", "../etc/passwd", "no time zone"),
        ("* * * * * *", "UTC", "five fields"),
        ("every day", "UTC", "five fields"),
        ("61 * * * *", "UTC", "bad minute"),
        ("*/0 * * * *", "UTC", "bad minute"),
        ("", "UTC", "five fields"),
    ],
)
def test_a_rule_that_cannot_be_read_or_never_fires_is_refused(cron: str, zone: str, reason: str) -> None:
    with pytest.raises(BadSchedule, match=reason):
        read_schedule(cron, zone)
