"""The forecast of a month: what is spent, and the same weekdays of four weeks for what is left."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from flows.costs.forecast import month_end

TODAY = date(2026, 11, 22)  # a Sunday; eight more days to come


def every_day(amount: str, since: date = date(2026, 10, 1)) -> dict[date, Decimal]:
    return {since + timedelta(days=n): Decimal(amount) for n in range((TODAY - since).days)}


def test_even_days_give_an_even_month() -> None:
    found = month_end(every_day("2"), TODAY, date(2026, 10, 1))

    assert found is not None
    assert (found.low, found.middle, found.high) == (60, 60, 60)


def test_the_band_is_that_of_the_same_weekdays() -> None:
    spent = every_day("1")
    for weeks, amount in ((1, "9"), (2, "5"), (3, "1"), (4, "3")):
        spent[TODAY - timedelta(weeks=weeks)] = Decimal(amount)  # Sundays: this one and the 29th are to come
    done = sum(amount for day, amount in spent.items() if day >= TODAY.replace(day=1))

    found = month_end(spent, TODAY, date(2026, 10, 1))

    assert found is not None
    assert found.middle == done + 2 * 4 + 7
    assert (found.low, found.high) == (done + 2 * 1 + 7, done + 2 * 9 + 7)


def test_what_today_has_cost_already_counts_at_least() -> None:
    spent = every_day("1") | {TODAY: Decimal(50)}

    found = month_end(spent, TODAY, date(2026, 10, 1))

    assert found is not None
    assert found.low == 21 + 50 + 8


def test_less_than_a_week_is_not_enough_history() -> None:
    assert month_end(every_day("1", TODAY - timedelta(days=6)), TODAY, TODAY - timedelta(days=6)) is None
    assert month_end(every_day("1", TODAY - timedelta(days=7)), TODAY, TODAY - timedelta(days=7)) is not None
    assert month_end({}, TODAY, None) is None
