"""What an address of the cost explorer asks for, and the addresses that lead on from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from uuid import UUID

from django.http import QueryDict
from django.utils import timezone

from flows.access.refusals import Fault, Invalid
from flows.costs.reports import PURPOSES, Scope
from flows.models.identifiers import UnknownIdentifier, parsed, shown

DIMENSIONS: Mapping[str, str] = {
    "hour": "Hour",
    "day": "Day",
    "month": "Month",
    "flow": "Flow",
    "version": "Version",
    "model": "Model",
    "tool": "Tool",
    "provider": "Provider",
    "route": "Route",
    "team": "Team",
    "tag": "Tag",
    "person": "Person",
    "key": "API key",
    "source": "Started by",
    "purpose": "Purpose",
    "run": "Run",
    "step": "Step",
    "call": "Call",
}
"""What a table can be grouped by; `call` is no group but the calls themselves."""

NEXT: Mapping[str, str] = {
    "month": "day",
    "day": "flow",
    "flow": "run",
    "version": "run",
    "model": "flow",
    "tool": "flow",
    "provider": "model",
    "route": "flow",
    "team": "flow",
    "tag": "flow",
    "person": "flow",
    "key": "flow",
    "source": "flow",
    "purpose": "flow",
    "run": "call",
    "step": "call",
}
"""Where a row leads: the group in which its parts are shown."""

FILTERS: Mapping[str, str] = {
    "flow": "Flow",
    "version": "Version",
    "model": "Model",
    "tool": "Tool",
    "provider": "Provider",
    "route": "Route",
    "team": "Team",
    "person": "Person",
    "key": "API key",
    "source": "Started by",
    "tag": "Tag",
    "step": "Step",
}
"""Filters that hold several values, by their parameter."""

THEN = tuple(name for name in DIMENSIONS if name not in ("call", "run", "step", "hour", "tag"))
"""What the parts of a row can be grouped by."""

LONGEST = 366 * 5  # days
LONGEST_BY_HOUR = 31  # days
FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2200, 1, 1)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The days from `first` to `last`, both included, in the reader's zone; how they are grouped; what is kept."""

    first: date
    last: date
    by: str = "day"
    purpose: str = "real"
    chosen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    run: UUID | None = None
    unpriced: bool = False
    then: str = ""

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def before(self) -> tuple[date, date]:
        """The period of the same length that ends where this one begins; for whole months, the months before."""
        if self.first.day == 1 and self.last == month_end_of(self.last):
            months = (self.last.year - self.first.year) * 12 + self.last.month - self.first.month + 1
            first = self.first
            for _ in range(months):
                first = (first - timedelta(days=1)).replace(day=1)
            return first, self.first - timedelta(days=1)
        return self.first - timedelta(days=self.days), self.first - timedelta(days=1)

    def scope(self, first: date | None = None, last: date | None = None) -> Scope:
        """Its calls, or with other days the same ones of that time."""
        chosen = self.chosen
        return Scope(
            since=_begin(first or self.first),
            until=_begin((last or self.last) + timedelta(days=1)),
            purpose=self.purpose,
            flows=chosen.get("flow", ()),
            versions=[int(text) for text in chosen.get("version", ())],
            models=chosen.get("model", ()),
            tools=chosen.get("tool", ()),
            providers=chosen.get("provider", ()),
            routes=chosen.get("route", ()),
            teams=chosen.get("team", ()),
            people=chosen.get("person", ()),
            keys=chosen.get("key", ()),
            sources=chosen.get("source", ()),
            tags=chosen.get("tag", ()),
            steps=chosen.get("step", ()),
            run=self.run,
            unpriced=self.unpriced,
        )

    def into(self, name: object) -> dict[str, str | None] | None:
        """The parameters that change when one goes into the row of this name; None where there is nothing behind it."""
        kept = self._keeping(self.by, name)
        return None if kept is None or self.by not in NEXT else {"by": NEXT[self.by], "then": None, **kept}

    def into_part(self, name: object, part: object) -> dict[str, str | None] | None:
        """The same for a part of that row, by `then`."""
        row, kept = self._keeping(self.by, name), self._keeping(self.then, part)
        return None if row is None or kept is None else {"by": NEXT[self.then], "then": None, **row, **kept}

    def _keeping(self, by: str, name: object) -> dict[str, str | None] | None:
        """The parameters that keep only what is called so in this grouping."""
        if name is None or name == "" or by == "hour":
            return None
        if isinstance(name, datetime):
            day = timezone.localtime(name).date()
            end = month_end_of(day) if by == "month" else day
            return {"from": max(day, self.first).isoformat(), "to": min(end, self.last).isoformat()}
        return {"run": shown("run", name)} if isinstance(name, UUID) else {by: str(name)}


def leading(query: QueryDict, **changes: str | None) -> str:
    """The address of the explorer with these choices changed; None takes one away."""
    query = query.copy()
    query.pop("after", None)
    for name, value in changes.items():
        if value is None:
            query.pop(name, None)
        else:
            query[name] = value
    text = query.urlencode(safe=",:!")
    return f"/costs?{text}" if text else "/costs"


def wanted_by(query: QueryDict) -> Wanted:
    """What this address asks for; without days, the present month. Raises `Invalid` naming what cannot be."""
    today = timezone.localdate()
    faults: list[Fault] = []
    first = _day(query.get("from", ""), today.replace(day=1), "from", faults)
    last = _day(query.get("to", ""), max(today, first), "to", faults)
    if not faults and last < first:
        faults.append(Fault("to", f"{last} is before {first}", "Give days in order."))
    if not faults and (last - first).days > LONGEST:
        faults.append(Fault("from", "the period is longer than five years", "Choose a shorter one."))
    by = query.get("by", "day")
    if by not in DIMENSIONS:
        faults.append(Fault("by", f"{by[:40]!r} is unknown", f"Choose of: {', '.join(DIMENSIONS)}."))
    then = query.get("then", "")
    if then and (then not in THEN or by in (then, "call")):
        faults.append(Fault("then", f"{then[:40]!r} cannot part the rows of {by[:40]!r}", f"Choose of: {', '.join(THEN)}."))
    if by == "hour" and not faults and (last - first).days >= LONGEST_BY_HOUR:
        faults.append(Fault("by", "hours are shown of a month at most", "Choose a shorter period, or days."))
    purpose = query.get("purpose", "real")
    if purpose not in PURPOSES:
        faults.append(Fault("purpose", f"{purpose[:40]!r} is unknown", f"Choose of: {', '.join(PURPOSES)}."))
    chosen = {name: values for name in FILTERS if (values := _values(query, name))}
    faults += [
        Fault("version", f"{text[:40]!r} is no number")
        for text in chosen.get("version", ())
        if not text.isdecimal() or len(text) > 9
    ]
    run = None
    if query.get("run"):
        try:
            run = parsed("run", query.get("run", ""))
        except UnknownIdentifier:
            faults.append(Fault("run", "is no identifier of a run"))
    if faults:
        raise Invalid("These costs cannot be shown.", problems=faults)
    return Wanted(first, last, by, purpose, chosen, run, query.get("unpriced") == "yes", then)


def _values(query: QueryDict, name: str) -> tuple[str, ...]:
    texts = ",".join(query.getlist(name)).split(",")
    return tuple(text.strip()[:200] for text in texts if text.strip() and "\x00" not in text)[:50]


def _day(text: str, otherwise: date, name: str, faults: list[Fault]) -> date:
    if not text:
        return otherwise
    try:
        day = date.fromisoformat(text[:10])
    except ValueError:
        day = FIRST_DAY
    if not FIRST_DAY < day < LAST_DAY:
        faults.append(Fault(name, f"{text[:40]!r} is no day", "Write one like 2030-01-31."))
    return day


def _begin(day: date) -> datetime:
    return datetime.combine(day, time.min, timezone.get_current_timezone())


def month_end_of(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1) - timedelta(days=1)
