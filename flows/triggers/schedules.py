"""When a schedule fires: five fields of cron in a time zone.

The rule where clocks change, which is Debian cron's. A rule with a fixed minute and hour fires once on every day that it names: where
its time does not exist, right after the gap; where it exists twice, the first time. A rule whose minute or hour begins with a star
goes by time that passes: hours that do not exist are left out, the hour that comes twice counts twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

FIELDS = 5
LONGEST = 100  # characters of a rule
OLDEST = timedelta(days=7)  # what was missed before that is not made up


class BadSchedule(ValueError):
    """The rule or the zone cannot be read, or the rule never fires."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A rule in a time zone."""

    cron: str
    zone: ZoneInfo

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The fire times later than `moment`, rising, each once, in UTC."""
        last = moment.astimezone(UTC)
        for found in CronSim(self.cron, last.astimezone(self.zone)):
            fire = found.astimezone(UTC)
            if fire > last:  # from within an hour that comes twice cron's rule leads back into its first pass
                last = fire
                yield fire

    def next_after(self, moment: datetime) -> datetime | None:
        """The first fire time later than `moment`; None where there is none in fifty years."""
        return next(self.after(moment), None)

    def due(self, first: datetime, until: datetime) -> tuple[list[datetime], datetime | None]:
        """The fire times from `first`, which is one, to `until`, and the one that follows. What is older than `OLDEST` is left out."""
        oldest = until - OLDEST
        times = [first.astimezone(UTC)] if oldest <= first <= until else []
        for fire in self.after(max(first, oldest)):
            if fire > until:
                return times, fire
            times.append(fire)
        return times, None

    def upcoming(self, moment: datetime, most: int = 5) -> list[Upcoming]:
        """The next fire times, with a note where the clocks have changed since the one before."""
        upcoming, before = [], moment.astimezone(self.zone).utcoffset()
        for fire in islice(self.after(moment), most):
            local = fire.astimezone(self.zone)
            offset = local.utcoffset()
            upcoming.append(Upcoming(fire, local, _change(before, offset)))
            before = offset
        return upcoming

    def by_hour(self, moment: datetime, most: int = 600) -> list[int]:
        """How often it fires in each of the next 24 hours, beginning with the full hour of `moment`; at most `most` are counted."""
        begin = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        hours = [0] * 24
        for fire in islice(self.after(moment), most):
            hour = int((fire - begin) / timedelta(hours=1))
            if hour >= len(hours):
                break
            hours[hour] += 1
        return hours

    @property
    def words(self) -> str:
        """The rule in words."""
        return CronSim(self.cron, datetime(2025, 1, 1, tzinfo=UTC)).explain()


@dataclass(frozen=True, slots=True)
class Upcoming:
    """A fire time to come: in UTC, where the schedule lives, and what happens to the clocks before it."""

    at: datetime
    local: datetime
    note: str

    @property
    def shown(self) -> str:
        """Where the schedule lives, whatever the reader's zone: `Tue 14 Jul 09:30`."""
        return f"{self.local:%a} {self.local.day} {self.local:%b %H:%M}"


def read_schedule(cron: str, zone: str) -> Schedule:
    """The schedule of this rule and zone. Raises `BadSchedule` with a sentence."""
    try:
        where = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadSchedule(f"there is no time zone {zone[:60]!r}; use a name such as Europe/Madrid or UTC") from None
    text = " ".join(cron.split())
    if len(text.split()) != FIELDS or len(text) > LONGEST:
        raise BadSchedule("takes five fields: minute, hour, day of the month, month, day of the week, such as 30 9 * * 2")
    schedule = Schedule(text, where)
    try:
        first = schedule.next_after(datetime(2025, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise BadSchedule(f"cannot be read: {str(error).lower()}") from None
    if first is None:
        raise BadSchedule("never fires")
    return schedule


def _change(before: timedelta | None, after: timedelta | None) -> str:
    if before is None or after is None or before == after:
        return ""
    minutes = int((after - before).total_seconds() // 60)
    size = f"{abs(minutes) // 60} h" if minutes % 60 == 0 else f"{abs(minutes)} min"
    return f"clocks go {'forward' if minutes > 0 else 'back'} {size} before"
