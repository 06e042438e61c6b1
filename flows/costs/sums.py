"""What was spent, read from the sums by day as far as they go and from the ledger after that. Both together have each call once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from operator import add, attrgetter
from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import (
    Case,
    CharField,
    DateField,
    DecimalField,
    Exists,
    ExpressionWrapper,
    F,
    Func,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Coalesce, TruncDate, TruncDay
from django.utils import timezone

from flows.access.actor import Actor
from flows.costs.folding import midnight_of, wish_for_sums
from flows.costs.grains import GRAINS, Grain
from flows.costs.prices import MILLION
from flows.costs.reports import GROUPS, OVERLAPPING, ZERO, Scope, Spend, calls_within, sums_of_calls
from flows.models import Adjustment, Call, Price, SummedZone, UnsummedCall
from flows.models.sums import Summed

OF_CALLS: Mapping[str, Any] = {**GROUPS, **OVERLAPPING, "day": TruncDay("started_at"), "kind": F("kind")}
"""The same groups, and more, of calls."""

Figures = tuple[Any, ...]
"""The figures of a `Spend` in its order, without the name."""

FIGURES = attrgetter(*(each.name for each in fields(Spend) if each.name != "name"))
NOTHING: Figures = (ZERO, ZERO, ZERO, 0, 0, 0, 0, 0, 0, 0, 0, ZERO)

Cells = dict[tuple[Any, ...], Figures]
"""What was spent, by the values of what it is grouped by."""


@dataclass(frozen=True, slots=True)
class Span:
    """Stretches of so many days, the first of which begins on `first`: a group by the name `span`, of the dates they begin on."""

    first: date
    days: int

    def of(self, day: date) -> date:
        return self.first + timedelta(days=(day - self.first).days // self.days * self.days)


class SpanOf(Func):
    """The first day of the stretch that a day lies in."""

    template = "date_bin(%(stride)s, (%(expressions)s)::timestamp, %(first)s)::date"
    output_field = DateField()

    def __init__(self, day: Any, span: Span) -> None:
        super().__init__(day, stride=f"interval '{span.days} days'", first=f"timestamp '{span.first.isoformat()}'")


@dataclass(frozen=True, slots=True)
class Table:
    """One look at the sums: by column of the ledger's groups what stands in it (the column `day` may hold the group `span`), of the days
    from `since` on."""

    groups: Mapping[str, str]
    since: date


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the calls of a scope are: `sums` of its days that are summed, with the `groups` that they know (None: of none), `calls` for
    all others."""

    sums: QuerySet[Any] | None
    calls: QuerySet[Call]
    groups: Mapping[str, Any] = field(default_factory=dict)
    span: Span | None = None

    def by(self, *names: str, only: Collection[Any] | None = None) -> Cells:
        """The spend by these groups, of the first only these values: one query. Days are dates of the current zone."""
        names = tuple(dict.fromkeys(names))
        cells: Cells = {}
        _add(cells, names, self._of_both(names, only))
        return cells

    def sql(self, name: str) -> tuple[str, list[Any]]:
        """The same by one group as SQL with its values: the name, then the figures of a `Spend`, in up to two rows a name."""
        sql, values = self._of_both((name,), None).query.sql_with_params()
        return sql, list(values)

    def summed(self, *names: str, only: Collection[Any] | None = None) -> Cells:
        """What the sums have of it: one query."""
        cells: Cells = {}
        if self.sums is not None:
            _add(cells, names, self._of_sums({name: name for name in names}, only))
        return cells

    def left_and_summed(self, names: Sequence[str], *tables: Table) -> tuple[Unsummed, list[Cells]]:
        """What only the ledger has, by days and these groups, and what the sums have by each of the tables: one query."""
        names = tuple(dict.fromkeys(("day", *names)))
        rows = self._of_calls(names, None, arm=0)
        if self.sums is not None:
            arms = [
                self._of_sums({name: table.groups.get(name, "") for name in names}, since=table.since, arm=n)
                for n, table in enumerate(tables, 1)
            ]
            rows = rows.union(*arms, all=True)
        parts: list[list[tuple[Any, ...]]] = [[] for _ in range(1 + len(tables))]
        for n, *row in rows:
            parts[n].append(tuple(row))
        found: list[Cells] = [{} for _ in parts]
        for cells, part in zip(found, parts, strict=True):
            _add(cells, names, part)
        summed = []
        for table, cells in zip(tables, found[1:], strict=True):
            at = [names.index(name) for name in table.groups]
            summed.append({tuple(key[n] for n in at): figures for key, figures in cells.items()})
        return Unsummed(names, found[0]), summed

    def _of_both(self, names: Sequence[str], only: Collection[Any] | None) -> QuerySet[Any, Any]:
        rows = self._of_calls(names, only)
        return rows if self.sums is None else rows.union(self._of_sums({name: name for name in names}, only), all=True)

    def _of_calls(self, names: Sequence[str], only: Collection[Any] | None, **arm: int) -> QuerySet[Any, Any]:
        groups = {f"by_{name}": self._group(name, OF_CALLS, TruncDate("started_at")) for name in names}
        groups |= {name: Value(n) for name, n in arm.items()}
        calls = _only(self.calls.annotate(sparing=SPARED, **groups), names, only).order_by().values(*groups)
        of_calls = sums_of_calls() | {"spared": Coalesce(Sum("sparing"), ZERO)}
        rows: QuerySet[Any, Any] = calls.annotate(**of_calls).values_list(*arm, *(f"by_{name}" for name in names), *of_calls)
        return rows

    def _of_sums(
        self, columns: Mapping[str, str], only: Collection[Any] | None = None, since: date | None = None, **arm: int
    ) -> QuerySet[Any, Any]:
        """By column the group that stands in it; nothing stands in one of an empty name."""
        assert self.sums is not None
        sums = self.sums if since is None else self.sums.filter(day__gte=since)
        groups = {
            f"by_{column}": self._group(name, self.groups, F("day")) if name else Value(None, CharField())
            for column, name in columns.items()
        }
        groups |= {name: Value(n) for name, n in arm.items()}
        by = tuple(f"by_{column}" for column in columns)
        rows = _only(sums.annotate(**groups), tuple(columns), only).order_by().values(*groups).annotate(**SUMS)
        found: QuerySet[Any, Any] = rows.filter(n_calls__gt=0).values_list(*arm, *by, *SUMS)
        return found

    def _group(self, name: str, known: Mapping[str, Any], day: Any) -> Any:
        return SpanOf(day, self.span) if name == "span" and self.span is not None else known[name]


@dataclass(frozen=True, slots=True)
class Unsummed:
    """What only the ledger has of a scope, by days and the groups of `names`: read once for all tables of a page."""

    names: tuple[str, ...]
    cells: Cells

    def beside(self, sums: Cells, *names: str, first: date, last: date, span: Span | None = None) -> Cells:
        """These sums by some of its groups, with what it has of these days added. `span` says what the group `span` is."""
        at = [None if name == "span" else self.names.index(name) for name in names]
        of_days = {key: figures for key, figures in self.cells.items() if first <= key[0] <= last}
        keys = (tuple(span.of(key[0]) if n is None and span else key[n or 0] for n in at) for key in of_days)
        return merged(sums, keys, of_days.values())


NO_CALL = UUID(int=0)
"""Where no call is late: a choice of none would be no SQL that could be joined to other."""

FIGURE: Any = DecimalField(max_digits=40, decimal_places=18)
PRICE = Price.objects.filter(id=OuterRef("price_id")).annotate(less=F("input") - F("cached_input")).values("less")
SPARED = Case(
    When(
        cached_input_tokens__gt=0,
        then=ExpressionWrapper(F("cached_input_tokens") * Subquery(PRICE, output_field=FIGURE) / Value(MILLION), FIGURE),
    ),
    output_field=FIGURE,
)
"""What the provider's cache saved of a call, by the price row that was valid for it."""

SUMS: Mapping[str, Any] = {
    "cost": Coalesce(Sum("settled", filter=Q(simulated=False)), ZERO),
    "pretended": Coalesce(Sum("settled", filter=Q(simulated=True)), ZERO),
    "lost": Sum("wasted"),
    **{f"n_{name}": Sum(name) for name in ("calls", "unpriced", "estimated")},
    "in_flight": Value(0),
    **{f"n_{name}": Sum(name) for name in ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_tokens")},
    "spared": Sum("saved"),
}


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the days of a zone are summed at one moment: what is summed later is still read from the ledger."""

    zone: str
    until: date | None = None
    late: tuple[UUID, ...] = ()
    newest: Mapping[type[Summed], int] = field(default_factory=dict)
    adjusted: bool = True  # whether any call was re-rated ever


def standing() -> Standing:
    """Of the current zone: one query. A zone whose days are not summed is from now on."""
    zone = timezone.get_current_timezone_name()
    late = UnsummedCall.objects.filter(zone=OuterRef("zone")).order_by().values("call_id")
    tables = tuple(dict.fromkeys(grain.table for grain in GRAINS))
    newest = [Subquery(table._default_manager.order_by("-id").values("id")[:1]) for table in tables]
    told: tuple[Any, ...] = ("until", ArraySubquery(late), Exists(Adjustment.objects.all()), *newest)
    row = SummedZone.objects.filter(zone=zone).values_list(*told).first()
    if row is None:
        wish_for_sums(zone)
        return Standing(zone)
    until, calls, adjusted, *ids = row
    return Standing(zone, until, tuple(calls), {table: id_ or 0 for table, id_ in zip(tables, ids, strict=True)}, adjusted)


def sources_of(actor: Actor, scope: Scope, *names: str, at: Standing, span: Span | None = None) -> Sources:
    """Where the calls of a scope, grouped by these, are to be read. `span` says what the group `span` is. Days are told apart only where
    they, or spans, are among the groups."""
    found = _sources_of(actor, scope, names, at, whole=span is None and "day" not in names)
    return replace(found, span=span)


def _sources_of(actor: Actor, scope: Scope, names: Sequence[str], at: Standing, *, whole: bool) -> Sources:
    calls = calls_within(actor, scope)
    zone = timezone.get_current_timezone()
    grain = _grain_for(scope, names, zone)
    if at.until is None or grain is None:
        return Sources(None, calls)
    first = None if scope.since is None else _day(scope.since)
    end = at.until if scope.until is None else min(at.until, _day(scope.until))
    sums = grain.of(actor, scope, at.zone).filter(grain.between(first, end, whole=whole), id__lte=at.newest[grain.table])
    rest = midnight_of(at.until, zone)
    groups = {name: group for name, group in grain.groups.items() if name != "day" or not whole}
    over = scope.until is not None and scope.until <= rest
    left = Q(id__in=at.late or [NO_CALL]) if over else Q(started_at__gte=rest) | Q(id__in=at.late)
    return Sources(sums, calls.filter(left), groups)


def by_day(actor: Actor, scope: Scope) -> dict[date, Decimal]:
    """What each day of a scope of whole days before today cost, real money and other: one query where the days are summed, for whom
    a few calls that ended late do not matter. A zone whose days are not summed has no days, but will."""
    zone = timezone.get_current_timezone_name()
    if scope.since is None or scope.until is None:
        raise ValueError("a scope of days has both ends")
    sums = GRAINS[0].of(actor, scope, zone).filter(day__gte=_day(scope.since), day__lt=_day(scope.until))
    rows = list(
        sums.order_by().values("day", "zone__until").annotate(sum=Sum("settled")).values_list("day", "zone__until", "sum")
    )
    until = rows[0][1] if rows else None
    if until is not None and until >= _day(scope.until):
        return {day: amount for day, _, amount in rows}
    at = standing()
    if at.until is None:
        return {}
    cells = sources_of(actor, scope, "day", at=at).by("day")
    return {day: cost + simulated for (day,), (cost, simulated, *_) in cells.items()}


def added(figures: Iterable[Figures], name: Any = None) -> Spend:
    """The sum of these."""
    sums: Any = map(sum, zip(NOTHING, *figures, strict=True))
    return Spend(name, *sums)


def merged(cells: Cells, keys: Iterable[tuple[Any, ...]], figures: Iterable[Figures]) -> Cells:
    """The cells with these added, some of which may have one key."""
    sums = dict(cells)
    for key, each in zip(keys, figures, strict=True):
        known = sums.get(key)
        sums[key] = each if known is None else tuple(map(add, known, each))
    return sums


def figures_of(spend: Spend) -> Figures:
    figures: Figures = FIGURES(spend)
    return figures


def _grain_for(scope: Scope, names: Iterable[str], zone: Any) -> Grain | None:
    """The table of sums that tells this; None where only the ledger can."""
    whole = all(each is None or each.astimezone(zone).time() == datetime.min.time() for each in (scope.since, scope.until))
    if not whole or scope.run or scope.unpriced:
        return None
    return next((grain for grain in GRAINS if grain.tells(scope, names)), None)


def _add(cells: Cells, names: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    """Takes in rows of which the first columns are the groups of these names."""
    depth, days = len(names), frozenset(n for n, name in enumerate(names) if name in ("day", "month"))
    for row in rows:
        at = tuple(
            timezone.localtime(each).date() if n in days and isinstance(each, datetime) else each
            for n, each in enumerate(row[:depth])
        )
        known = cells.get(at)
        cells[at] = row[depth:] if known is None else tuple(map(add, known, row[depth:]))


def _only(rows: Any, names: Sequence[str], only: Collection[Any] | None) -> Any:
    """Those whose first group has one of these values."""
    if only is None:
        return rows
    by = f"by_{names[0]}"
    found = Q(**{f"{by}__in": [each for each in only if each is not None]})
    return rows.filter(found | Q(**{f"{by}__isnull": True}) if None in only else found)


def _day(moment: datetime) -> date:
    return timezone.localtime(moment).date()
