"""What a month will have cost when it is over, from what its days and the four weeks before cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from statistics import median

ENOUGH = 7  # days of history
WEEKS = 4
METHOD = "what is spent so far, and for each day that is left the median of the same weekday over four weeks"


@dataclass(frozen=True, slots=True)
class Ahead:
    """What one day will probably cost, in dollars: the middle, and a band from the 20th to the 80th percentile of those weekdays."""

    day: date
    middle: Decimal
    low: Decimal
    high: Decimal


@dataclass(frozen=True, slots=True)
class Forecast:
    """Dollars at the end of the month, as of a day, and the `days` that are left, the present one first."""

    middle: Decimal
    low: Decimal
    high: Decimal
    days: tuple[Ahead, ...] = ()


def month_end(spent: Mapping[date, Decimal], today: date, first: date | None) -> Forecast | None:
    """The forecast for the month of `today` from what each day cost; `first` is the first day that anything was recorded.

    Today itself counts as a day that is left, since it is not over: at least what it has cost already. None with less than a week
    of history.
    """
    if first is None or (today - first).days < ENOUGH:
        return None
    past = [day for n in range(1, 7 * WEEKS + 1) if (day := today - timedelta(days=n)) >= first]
    done = sum((amount for day, amount in spent.items() if today.replace(day=1) <= day < today), Decimal(0))
    days: list[Ahead] = []
    day = today
    while day.month == today.month:
        amounts = sorted(spent.get(each, Decimal(0)) for each in past if each.weekday() == day.weekday())
        least = spent.get(today, Decimal(0)) if day == today else Decimal(0)
        fifth = (len(amounts) - 1) // 5
        days.append(Ahead(day, *(max(each, least) for each in (median(amounts), amounts[fifth], amounts[-1 - fifth]))))
        day += timedelta(days=1)
    middle, low, high = (sum((getattr(each, name) for each in days), done) for name in ("middle", "low", "high"))
    return Forecast(middle, low, high, tuple(days))
