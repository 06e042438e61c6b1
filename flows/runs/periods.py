"""Spans of time as addresses write them: ``24h``, or ``2026-07-01..2026-07-15T09:30``, in the reader's zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta

from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

LATELY = {"1h": timedelta(hours=1), "24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}
BETWEEN = ".."


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` until before `until`, or until now."""

    since: datetime
    until: datetime | None = None


def period_of(text: str) -> Period | None:
    """What an address says; None where it says nothing that can be read. A day on the right is meant to its end; either side of a span
    but not both may be left out."""
    if text in LATELY:
        return Period(timezone.now() - LATELY[text])
    left, between, right = text.partition(BETWEEN)
    since, until = _moment(left), _moment(right, end=True)
    if not between or (since is None) == bool(left) or (until is None) == bool(right) or (since is None and until is None):
        return None
    return Period(since or datetime(2000, 1, 1, tzinfo=timezone.get_current_timezone()), until)


def written(since: datetime, until: datetime) -> str:
    """The span as an address writes it, to the second, in the reader's zone."""
    return BETWEEN.join(f"{timezone.localtime(each):%Y-%m-%dT%H:%M:%S}" for each in (since, until))


def _moment(text: str, *, end: bool = False) -> datetime | None:
    try:
        if len(text) == 10 and (day := parse_date(text)) is not None:
            return timezone.make_aware(datetime.combine(day + timedelta(days=end), time.min))
        moment = parse_datetime(text)
        return moment if moment is None or timezone.is_aware(moment) else timezone.make_aware(moment)
    except (ValueError, OverflowError):
        return None
