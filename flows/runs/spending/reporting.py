"""Reports: what a pinned view of the explorer comes to over the day, week or month that is over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.http import QueryDict
from django.utils import timezone

from flows.access.actor import Actor
from flows.costs.sums import standing
from flows.models import PinnedView
from flows.runs.spending.explorer import Picture, Row, cost_in, picture_of, rows_of
from flows.runs.spending.wanted import Wanted, leading, wanted_by

PERIODS = {"day": "Daily", "week": "Weekly", "month": "Monthly"}
AFTER = timedelta(minutes=15)
"""After the end of a period, when its last day has been summed."""

MOST_ROWS = 6


@dataclass(frozen=True, slots=True)
class Report:
    """What a view comes to from `wanted.first` to `wanted.last`; `path` is the same in the explorer."""

    wanted: Wanted
    picture: Picture
    rows: list[Row]
    path: str

    @property
    def cost(self) -> Decimal:
        """The dollars of it; `picture.total.unpriced` calls come on top."""
        return cost_in(self.picture.total, self.wanted.purpose)


def period_before(every: str, today: date) -> tuple[date, date]:
    """The first and the last day of the newest period that is over on this day. Weeks begin on Monday."""
    end = {"day": today, "week": today - timedelta(days=today.weekday()), "month": today.replace(day=1)}[every]
    last = end - timedelta(days=1)
    return {"day": last, "week": end - timedelta(days=7), "month": last.replace(day=1)}[every], last


def next_report(every: str, zone: str) -> datetime:
    """When the period that goes on now is reported."""
    at = ZoneInfo(zone)
    today = timezone.localdate(timezone=at)
    begin = {"day": today, "week": today - timedelta(days=today.weekday()), "month": today.replace(day=1)}[every]
    end = begin + timedelta(days={"day": 1, "week": 7, "month": 32}[every])
    return datetime.combine(end.replace(day=1) if every == "month" else end, time.min, at) + AFTER


def report_of(actor: Actor, view: PinnedView) -> Report:
    """The newest period that is over, as the actor may see it. To be called in the view's time zone. Raises `Invalid` where the view
    cannot be shown any more."""
    first, last = period_before(view.every, timezone.localdate())
    query = QueryDict(view.query, mutable=True)
    query["from"], query["to"] = first.isoformat(), last.isoformat()
    if query.get("by") == "call":
        query["by"] = "model"
    wanted = wanted_by(query)
    at = standing()
    picture = picture_of(actor, wanted, at)
    rows = sorted(rows_of(actor, wanted, picture, at), key=lambda row: -row.cost)[:MOST_ROWS]
    return Report(wanted, picture, rows, leading(query))
