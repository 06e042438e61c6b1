"""What was spent, read from the sums by day as far as they go and from the ledger after that. Both together have each call once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
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
from django.db.models.functions import Coalesce, TruncDate, TruncDay, TruncMonth
from django.utils import timezone

from flows.access.actor import Actor
from flows.access.querysets import belonging
from flows.access.rights import Right
from flows.costs.folding import midnight_of, wish_for_sums
from flows.costs.prices import MILLION
from flows.costs.reports import GROUPS, OVERLAPPING, PROVIDER, ZERO, Scope, Spend, calls_within, sums_of_calls
from flows.models import Adjustment, Call, DaySum, Price, SummedZone, UnsummedCall

SUMMED: Mapping[str, Any] = {
    "day": F("day"),
    "month": TruncMonth("day"),
    "flow": F("flow__slug"),
    "kind": F("kind"),
    "model": F("target"),
    "tool": F("target"),
    "provider": PROVIDER,
    "team": F("flow__team__slug"),
    "route": F("route"),
    "version": F("version__number"),
    "person": F("person__username"),
    "key": F("key__label"),
    "source": F("source"),
    "purpose": Case(
        When(run_purpose="drill", then=Value("drill")),
        When(simulated=True, then=Value("simulated")),
        When(run_purpose="test", then=Value("test")),
        default=Value("production"),
        output_field=CharField(),
    ),
}
"""What sums can be grouped by, in the words of `GROUPS`."""

OF_CALLS: Mapping[str, Any] = {**GROUPS, **OVERLAPPING, "day": TruncDay("started_at"), "kind": F("kind")}
"""The same groups, and more, of calls."""

FINE = frozenset({"version", "person", "key", "source", "route"})

PURPOSES = {
    "real": Q(simulated=False),
    "all": Q(),
    "simulated": Q(simulated=True) & ~Q(run_purpose="drill"),
    "production": Q(simulated=False, run_purpose="live"),
    "test": Q(simulated=False, run_purpose="test"),
    "drill": Q(run_purpose="drill"),
}
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
class Sources:
    """Where the calls of a scope are: `sums` of its days that are summed (None: of none), `calls` for all others."""

    sums: QuerySet[DaySum] | None
    calls: QuerySet[Call]
    span: Span | None = None

    def by(self, *names: str, only: Collection[Any] | None = None) -> Cells:
        """The spend by these groups, of the first only these values: two queries. Days are dates of the current zone."""
        names = tuple(dict.fromkeys(names))
        cells = self.summed(*names, only=only)
        _add(cells, names, self._ledger(names, only))
        return cells

    def summed(self, *names: str, only: Collection[Any] | None = None) -> Cells:
        """What the sums have of it: one query."""
        cells: Cells = {}
        if self.sums is not None:
            groups = {f"by_{name}": self._group(name, SUMMED, F("day")) for name in names}
            rows = _only(self.sums.annotate(**groups), names, only).order_by().values(*groups).annotate(**SUMS)
            _add(cells, names, rows.values_list(*groups, *SUMS))
        return cells

    def unsummed(self, *names: str) -> Cells:
        """What only the ledger has of it: one query."""
        cells: Cells = {}
        _add(cells, names, self._ledger(names, None))
        return cells

    def left(self, *names: str) -> Unsummed:
        """The same, to be looked at by several groups: one query."""
        names = tuple(dict.fromkeys(("day", *names)))
        return Unsummed(names, self.unsummed(*names))

    def _ledger(self, names: Sequence[str], only: Collection[Any] | None) -> Iterable[tuple[Any, ...]]:
        groups = {f"by_{name}": self._group(name, OF_CALLS, TruncDate("started_at")) for name in names}
        calls = _only(self.calls.annotate(sparing=SPARED, **groups), names, only).order_by().values(*groups)
        of_calls = sums_of_calls() | {"spared": Coalesce(Sum("sparing"), ZERO)}
        rows: Iterable[tuple[Any, ...]] = calls.annotate(**of_calls).values_list(*groups, *of_calls)
        return rows

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
    newest: int = 0
    adjusted: bool = True  # whether any call was re-rated ever


def standing() -> Standing:
    """Of the current zone: one query. A zone whose days are not summed is from now on."""
    zone = timezone.get_current_timezone_name()
    late = UnsummedCall.objects.filter(zone=OuterRef("zone")).order_by().values("call_id")
    newest = DaySum.objects.order_by("-id").values("id")[:1]
    told = ("until", ArraySubquery(late), Subquery(newest), Exists(Adjustment.objects.all()))
    row = SummedZone.objects.filter(zone=zone).values_list(*told).first()
    if row is None:
        wish_for_sums(zone)
        return Standing(zone)
    return Standing(zone, row[0] if row[2] is not None else None, tuple(row[1]), row[2] or 0, row[3])


def sources_of(actor: Actor, scope: Scope, *names: str, at: Standing, span: Span | None = None) -> Sources:
    """Where the calls of a scope, grouped by these, are to be read. `span` says what the group `span` is."""
    found = _sources_of(actor, scope, names, at)
    return replace(found, span=span)


def _sources_of(actor: Actor, scope: Scope, names: Sequence[str], at: Standing) -> Sources:
    calls = calls_within(actor, scope)
    zone = timezone.get_current_timezone()
    if at.until is None or not _can_be_summed(scope, names, zone):
        return Sources(None, calls)
    sums = _summed(actor, scope, at.zone, fine=_is_fine(scope, names)).filter(day__lt=at.until, id__lte=at.newest)
    if scope.since is not None:
        sums = sums.filter(day__gte=_day(scope.since))
    if scope.until is not None:
        sums = sums.filter(day__lt=_day(scope.until))
    rest = midnight_of(at.until, zone)
    if not at.late and scope.until is not None and scope.until <= rest:
        return Sources(sums, calls.none())
    return Sources(sums, calls.filter(Q(started_at__gte=rest) | Q(id__in=at.late)))


def by_day(actor: Actor, scope: Scope) -> dict[date, Decimal]:
    """What each day of a scope of whole days before today cost, real money and other: one query where the days are summed, for whom
    a few calls that ended late do not matter. A zone whose days are not summed has no days, but will."""
    zone = timezone.get_current_timezone_name()
    if scope.since is None or scope.until is None:
        raise ValueError("a scope of days has both ends")
    sums = _summed(actor, scope, zone, fine=False).filter(day__gte=_day(scope.since), day__lt=_day(scope.until))
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


def _can_be_summed(scope: Scope, names: Iterable[str], zone: Any) -> bool:
    whole = all(each is None or each.astimezone(zone).time() == datetime.min.time() for each in (scope.since, scope.until))
    return whole and not (scope.run or scope.steps or scope.tags or scope.unpriced) and set(names) <= {*SUMMED, "span"}


def _is_fine(scope: Scope, names: Iterable[str]) -> bool:
    return bool(FINE & set(names) or scope.versions or scope.people or scope.keys or scope.sources or scope.routes)


def _summed(actor: Actor, scope: Scope, zone: str, *, fine: bool) -> QuerySet[DaySum]:
    sums = DaySum.objects.filter(
        belonging(actor.holdings, Right.SEE_COSTS, "flow__"), PURPOSES[scope.purpose], zone=zone, fine=fine
    )
    chosen = {
        "flow__slug__in": scope.flows,
        "version__number__in": scope.versions,
        "route__in": scope.routes,
        "flow__team__slug__in": scope.teams,
        "person__username__in": scope.people,
        "key__label__in": scope.keys,
        "source__in": scope.sources,
    }
    sums = sums.filter(**{name: list(values) for name, values in chosen.items() if values})
    if scope.providers:
        sums = sums.annotate(of_provider=PROVIDER).filter(of_provider__in=scope.providers)
    if scope.models or scope.tools:
        sums = sums.filter(Q(kind="model", target__in=scope.models) | Q(kind="tool", target__in=scope.tools))
    return sums


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
