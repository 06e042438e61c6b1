"""What was spent, read from the sums by day as far as they go and from the ledger after that. Both together have each call once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from operator import add, attrgetter
from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import (
    Case,
    CharField,
    DecimalField,
    ExpressionWrapper,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Coalesce, TruncDay
from django.utils import timezone

from flows.access.actor import Actor
from flows.access.querysets import belonging
from flows.access.rights import Right
from flows.costs.folding import midnight_of, wish_for_sums
from flows.costs.prices import MILLION
from flows.costs.reports import GROUPS, ZERO, Scope, Spend, calls_within, sums_of_calls
from flows.models import Call, DaySum, Price, SummedZone, UnsummedCall

SUMMED: Mapping[str, Any] = {
    "day": F("day"),
    "flow": F("flow__slug"),
    "kind": F("kind"),
    "model": F("target"),
    "tool": F("target"),
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

FINE = frozenset({"version", "person", "key", "source"})

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
class Sources:
    """Where the calls of a scope are: `sums` of its days that are summed (None: of none), `calls` for all others."""

    sums: QuerySet[DaySum] | None
    calls: QuerySet[Call]

    def by(self, *names: str) -> Cells:
        """The spend by these groups: two queries. Days are dates of the current zone."""
        cells: Cells = {}
        if self.sums is not None:
            groups = {f"by_{name}": SUMMED[name] for name in names}
            rows = self.sums.annotate(**groups).order_by().values(*groups).annotate(**SUMS)
            _add(cells, len(groups), rows.values_list(*groups, *SUMS))
        groups = {f"by_{name}": _of_call(name) for name in names}
        calls = self.calls.annotate(sparing=SPARED, **groups).order_by().values(*groups)
        of_calls = sums_of_calls() | {"spared": Coalesce(Sum("sparing"), ZERO)}
        _add(cells, len(groups), calls.annotate(**of_calls).values_list(*groups, *of_calls))
        return cells


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


def standing() -> Standing:
    """Of the current zone: one query. A zone whose days are not summed is from now on."""
    zone = timezone.get_current_timezone_name()
    late = UnsummedCall.objects.filter(zone=OuterRef("zone")).order_by().values("call_id")
    newest = DaySum.objects.order_by("-id").values("id")[:1]
    row = SummedZone.objects.filter(zone=zone).values_list("until", ArraySubquery(late), Subquery(newest)).first()
    if row is None:
        wish_for_sums(zone)
        return Standing(zone)
    return Standing(zone, row[0] if row[2] is not None else None, tuple(row[1]), row[2] or 0)


def sources_of(actor: Actor, scope: Scope, *names: str, at: Standing) -> Sources:
    """Where the calls of a scope, grouped by these, are to be read."""
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


def figures_of(spend: Spend) -> Figures:
    figures: Figures = FIGURES(spend)
    return figures


def _can_be_summed(scope: Scope, names: Iterable[str], zone: Any) -> bool:
    whole = all(each is None or each.astimezone(zone).time() == datetime.min.time() for each in (scope.since, scope.until))
    return whole and not (scope.run or scope.steps or scope.tags or scope.unpriced) and set(names) <= set(SUMMED)


def _is_fine(scope: Scope, names: Iterable[str]) -> bool:
    return bool(FINE & set(names) or scope.versions or scope.people or scope.keys or scope.sources)


def _summed(actor: Actor, scope: Scope, zone: str, *, fine: bool) -> QuerySet[DaySum]:
    sums = DaySum.objects.filter(
        belonging(actor.holdings, Right.SEE_COSTS, "flow__"), PURPOSES[scope.purpose], zone=zone, fine=fine
    )
    chosen = {
        "flow__slug__in": scope.flows,
        "version__number__in": scope.versions,
        "person__username__in": scope.people,
        "key__label__in": scope.keys,
        "source__in": scope.sources,
    }
    sums = sums.filter(**{name: list(values) for name, values in chosen.items() if values})
    if scope.models or scope.tools:
        sums = sums.filter(Q(kind="model", target__in=scope.models) | Q(kind="tool", target__in=scope.tools))
    return sums


def _add(cells: Cells, depth: int, rows: Iterable[tuple[Any, ...]]) -> None:
    """Takes in rows of which the first columns are the groups."""
    for row in rows:
        at = tuple(timezone.localtime(each).date() if isinstance(each, datetime) else each for each in row[:depth])
        known = cells.get(at)
        cells[at] = row[depth:] if known is None else tuple(map(add, known, row[depth:]))


def _of_call(name: str) -> Any:
    return TruncDay("started_at") if name == "day" else F("kind") if name == "kind" else GROUPS[name]


def _day(moment: datetime) -> date:
    return timezone.localtime(moment).date()
