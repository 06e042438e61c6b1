"""Keeps the sums by day: each day of a zone is summed once, ten minutes after it is over, in one transaction.

A call that has ended does not change, and no transaction lasts as long as ten minutes, so the sums of a day stay what its calls say. A
call that is still in flight is noted and summed when it has ended. Exactly one of sums and ledger has each call, so adding both up
(`flows/costs/sums.py`) is exact at any moment, whether this comes on time or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import connection, transaction
from django.db.models import Count, Exists, OuterRef, QuerySet, Sum
from django.db.models.functions import Coalesce

from flows.access.installation import look_up
from flows.models import Call, DaySum, RunSum, StepSum, SummedZone, TagSum, UnsummedCall
from flows.models.sums import Summed

SETTLES = "10 minutes"
"""After the end of a day: whatever was begun in it has been committed by then."""

MOST_DAYS = 31
"""Days that are summed in one transaction."""

MOST_ZONES = 24
LOCK: Final = 0x0F10DA

FIGURES: Final = {
    "settled": "coalesce(sum(c.settled), 0)",
    "wasted": "coalesce(sum(c.settled) FILTER (WHERE c.status IN ('failed_retryable', 'failed_final', 'unknown')), 0)",
    "saved": "coalesce(sum(c.cached_input_tokens * (p.input - p.cached_input)) / 1000000, 0)",
    "calls": "count(*)",
    "unpriced": """count(*) FILTER (WHERE c.kind = 'model' AND c.settled IS NULL
        AND (c.status IN ('succeeded', 'unknown') OR c.usage_source IN ('provider', 'estimated')))""",
    "estimated": "count(*) FILTER (WHERE c.usage_source = 'estimated')",
    "input_tokens": "coalesce(sum(c.input_tokens), 0)",
    "cached_input_tokens": "coalesce(sum(c.cached_input_tokens), 0)",
    "output_tokens": "coalesce(sum(c.output_tokens), 0)",
    "reasoning_tokens": "coalesce(sum(c.reasoning_tokens), 0)",
}
"""The columns of `Summed` that add up, and what they are of calls `c` with the prices `p` of those that used a cache."""

ALWAYS: Final[dict[str, str]] = {
    "zone_id": "%(zone)s",
    "day": "(c.started_at AT TIME ZONE %(zone)s)::date",
    "flow_id": "r.flow_id",
    "run_purpose": "r.purpose",
    "simulated": "c.simulated",
}
TARGET: Final[dict[str, str]] = {"kind": "c.kind", "target": "c.target"}
GRAINS: Final[Mapping[type[Summed], dict[str, str]]] = {
    DaySum: TARGET
    | {
        "fine": "g.fine",
        "version_id": "CASE WHEN g.fine THEN r.version_id END",
        "person_id": "CASE WHEN g.fine THEN r.started_by_id END",
        "key_id": "CASE WHEN g.fine THEN r.started_key_id END",
        "source": "CASE WHEN g.fine THEN r.source ELSE '' END",
        "route": "CASE WHEN g.fine THEN c.route ELSE '' END",
    },
    TagSum: TARGET | {"tags": "r.tags"},
    StepSum: TARGET | {"path": "c.path", "monthly": "false"},
    RunSum: {"run_id": "c.run_id", "alone": "true"},
}
"""What each table of sums tells of its calls beside `ALWAYS`."""


def _sum_into(table: type[Summed], which: str, sign: str = "", **instead: str) -> str:
    """The statement that sums these calls into a table, or, with the sign ``-``, takes them from it; with other groups `instead`."""
    groups = ALWAYS | GRAINS[table] | instead
    twice = "CROSS JOIN (VALUES (false), (true)) g(fine)" if table is DaySum else ""
    return f"""
        INSERT INTO {table._meta.db_table} ({", ".join((*groups, *FIGURES))})
        SELECT {", ".join((*groups.values(), *(f"{sign}{figure}" for figure in FIGURES.values())))}
        FROM flows_call c JOIN flows_run r ON r.id = c.run_id
        LEFT JOIN flows_price p ON p.id = c.price_id AND c.cached_input_tokens > 0 {twice}
        WHERE c.status <> 'started' AND {which} GROUP BY {", ".join(str(n + 1) for n in range(len(groups)))}"""  # noqa: S608 - names of ours


_DAYS: Final = """
c.started_at >= %(since)s::timestamp AT TIME ZONE %(zone)s AND c.started_at < %(until)s::timestamp AT TIME ZONE %(zone)s
"""
SUM_DAYS: Final = [_sum_into(table, _DAYS) for table in GRAINS]
_OF_RUN: Final = """
c.run_id = %(run)s AND c.started_at < %(until)s::timestamp AT TIME ZONE %(zone)s
AND NOT EXISTS (SELECT 1 FROM flows_unsummedcall u WHERE u.zone_id = %(zone)s AND u.call_id = c.id)
"""
TAKE_RUN: Final = _sum_into(TagSum, _OF_RUN, "-")
GIVE_RUN: Final = _sum_into(TagSum, _OF_RUN)
NOTE_IN_FLIGHT: Final = """
INSERT INTO flows_unsummedcall (zone_id, call_id) SELECT %(zone)s, c.id FROM flows_call c WHERE c.status = 'started' AND {which}
""".replace("{which}", _DAYS)
_MONTH_OF: Final = "date_trunc('month', {})::date"
_OF_MONTHS: Final = {name: name for name in (*ALWAYS, *GRAINS[StepSum])} | {"day": _MONTH_OF.format("day"), "monthly": "true"}
SUM_MONTHS: Final = f"""
INSERT INTO flows_stepsum ({", ".join((*_OF_MONTHS, *FIGURES))})
SELECT {", ".join((*_OF_MONTHS.values(), *(f"sum({name})" for name in FIGURES)))}
FROM flows_stepsum WHERE zone_id = %(zone)s AND NOT monthly
AND day >= {_MONTH_OF.format("%(since)s::date")} AND day < {_MONTH_OF.format("%(until)s::date")}
GROUP BY {", ".join(str(n + 1) for n in range(len(_OF_MONTHS)))}
"""  # noqa: S608 - names of ours
"""Of the months that end with these days."""

NOT_ALONE: Final = """
UPDATE flows_runsum r SET alone = false FROM flows_runsum s
WHERE s.zone_id = %(zone)s AND s.id > %(newest)s AND r.zone_id = s.zone_id AND r.run_id = s.run_id AND r.id <> s.id AND r.alone
"""
_LATE: Final = "c.id = ANY(%(calls)s)"
_LATE_MONTHS: Final = f"{_LATE} AND c.started_at < date_trunc('month', %(until)s::timestamp) AT TIME ZONE %(zone)s"
_IN_MONTH: Final = {"day": _MONTH_OF.format("c.started_at AT TIME ZONE %(zone)s"), "monthly": "true"}
SUM_LATE: Final = [*(_sum_into(table, _LATE) for table in GRAINS), _sum_into(StepSum, _LATE_MONTHS, **_IN_MONTH)]
ENDED: Final = """
DELETE FROM flows_unsummedcall u USING flows_call c WHERE c.id = u.call_id AND c.status <> 'started' AND u.zone_id = %(zone)s
RETURNING u.call_id
"""
OVER: Final = "SELECT ((now() - %(settles)s::interval) AT TIME ZONE %(zone)s)::date"
FIRST: Final = "SELECT (min(started_at) AT TIME ZONE %(zone)s)::date FROM flows_call"


def fold_days() -> None:
    """Sums what has become old enough, some days at once: in the installation's zone, and in those that somebody reads. The
    reconciler calls it."""
    SummedZone.objects.get_or_create(zone=look_up().zone)
    for zone in list(SummedZone.objects.values_list("zone", flat=True)):
        fold_zone(zone)


def fold_everything() -> None:
    """Sums all days that are over, in every zone that is known."""
    fold_days()
    for zone in SummedZone.objects.values_list("zone", flat=True):
        while fold_zone(zone):
            pass


def fold_zone(zone: str) -> bool:
    """Sums the next days of one zone; whether there may be more."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        found = SummedZone.objects.filter(zone=zone).first()
        if found is None:
            return False
        newest = RunSum.objects.order_by("-id").values_list("id", flat=True).first() or 0
        _sum_late(cursor, zone, found.until)
        today: date = _one(cursor, OVER, zone)
        since: date | None = found.until or _one(cursor, FIRST, zone)
        until = min(since + timedelta(days=MOST_DAYS), today) if since is not None else today
        if since is not None and since < until:
            for sum_days in (*SUM_DAYS, SUM_MONTHS, NOTE_IN_FLIGHT):
                cursor.execute(sum_days, {"zone": zone, "since": since, "until": until})
            SummedZone.objects.filter(zone=zone).update(until=until)
        cursor.execute(NOT_ALONE, {"zone": zone, "newest": newest})
    return since is not None and since < until < today


@contextmanager
def retagging(run: UUID) -> Iterator[None]:
    """The tags of this run change inside the block, in the caller's transaction: what its days have summed of it goes along. Waits for
    days that are being summed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        zones = SummedZone.objects.filter(until__isnull=False).values_list("zone", "until")
        given = [{"run": run, "zone": zone, "until": until} for zone, until in zones]
        for each in given:
            cursor.execute(TAKE_RUN, each)
        yield
        for each in given:
            cursor.execute(GIVE_RUN, each)


def wish_for_sums(zone: str) -> None:
    """Somebody reads days of this zone, and will again: from now on they are summed."""
    if SummedZone.objects.count() < MOST_ZONES:
        SummedZone.objects.bulk_create([SummedZone(zone=zone)], ignore_conflicts=True)


def forget_sums() -> None:
    """All sums are made anew from the ledger, in time: for whoever changed it by hand."""
    SummedZone.objects.all().delete()


def differing_sums() -> list[str]:
    """The zones whose sums are not exactly what their days cost by the ledger. None is what it should be."""
    found = []
    for zone, until in SummedZone.objects.filter(until__isnull=False).values_list("zone", "until"):
        late = UnsummedCall.objects.filter(zone=zone).values("call_id")
        assert until is not None
        calls = Call.objects.filter(started_at__lt=midnight_of(until, ZoneInfo(zone))).exclude(id__in=late)
        ledger = calls.aggregate(sum=Coalesce(Sum("settled"), Decimal(0)), n=Count("id"))
        days = DaySum.objects.filter(zone=zone)
        alike: list[Any] = [days.filter(fine=False), days.filter(fine=True)]
        alike += [
            TagSum.objects.filter(zone=zone),
            StepSum.objects.filter(zone=zone, monthly=False),
            RunSum.objects.filter(zone=zone),
        ]
        if any(_come_to(each) != ledger for each in alike) or _months_differ(zone, until) or _some_are_not_alone(zone):
            found.append(zone)
    return found


def _come_to(sums: QuerySet[Any]) -> dict[str, Any]:
    return sums.aggregate(sum=Coalesce(Sum("settled"), Decimal(0)), n=Sum("calls", default=0))


def _months_differ(zone: str, until: date) -> bool:
    steps = StepSum.objects.filter(zone=zone)
    return _come_to(steps.filter(monthly=True)) != _come_to(steps.filter(monthly=False, day__lt=until.replace(day=1)))


def _some_are_not_alone(zone: str) -> bool:
    others = RunSum.objects.filter(zone=zone, run=OuterRef("run")).exclude(id=OuterRef("id"))
    return RunSum.objects.filter(Exists(others), zone=zone, alone=True).exists()


def midnight_of(day: date, zone: Any) -> datetime:
    return datetime.combine(day, datetime.min.time(), zone)


def _one(cursor: Any, query: str, zone: str) -> Any:
    cursor.execute(query, {"zone": zone, "settles": SETTLES})
    return cursor.fetchone()[0]


def _sum_late(cursor: Any, zone: str, until: date | None) -> None:
    cursor.execute(ENDED, {"zone": zone})
    calls = [row[0] for row in cursor.fetchall()]
    if calls:
        for sum_late in SUM_LATE:
            cursor.execute(sum_late, {"zone": zone, "calls": calls, "until": until})
