"""The price book: which rows hold when, what has no price, and what was changed.

A row begins at `valid_from` and ends at `valid_to`, or, where that is empty, when the next row of the same model and tier begins. Two
rows of a model and tier never hold at the same moment, and no new row changes what held in the past.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Count, Max, Min, QuerySet
from django.utils import timezone

from flows.access.actor import Actor
from flows.costs.prices import PriceRow
from flows.costs.reports import UNPRICED, calls_for
from flows.models import Call, ModelEntry, Price

FIGURES = ("input", "cached_input", "cache_write", "output", "reasoning")
"""What a row has a figure for, in dollars per million tokens."""

COUNTED_DAYS = 30


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the book with the moment at which it ends, and how many calls of late were priced by it."""

    row: Price
    until: datetime | None
    calls: int = 0

    @property
    def tier(self) -> str:
        return tier_of(self.row, self.tiered)

    @property
    def tiered(self) -> bool:
        return self.row.above > 0


@dataclass(frozen=True, slots=True)
class Unpriced:
    """A model that was called without a price: how often, since when, until when."""

    model: str
    calls: int
    first: datetime
    last: datetime
    simulated: bool = False


def row_of(price: Price) -> PriceRow:
    """The figures of a row, as they are calculated with."""
    return PriceRow(price.id, price.input, price.cached_input, price.output, price.cache_write, price.reasoning, price.above)


def tier_of(price: Price, tiered: bool = True) -> str:
    """Requests of which length a row is for, in words; empty where there is only one."""
    if price.above:
        return f"over {price.above:,} input tokens"
    return "" if not tiered else "base"


def ends_of(rows: Iterable[Price]) -> dict[Price, datetime | None]:
    """When each row ends, from all rows of their models. None: it holds until further notice."""
    ends: dict[Price, datetime | None] = {}
    following: dict[tuple[str, int], datetime] = {}
    for row in sorted(rows, key=lambda each: each.valid_from, reverse=True):
        tier = (row.model_id, row.above)
        next_begins = following.get(tier)
        ends[row] = row.valid_to if next_begins is None or (row.valid_to and row.valid_to < next_begins) else next_begins
        following[tier] = row.valid_from
    return ends


def entries_at(moment: datetime) -> list[Entry]:
    """The rows that hold at a moment, by model and tier: two queries."""
    rows = list(Price.objects.select_related("model", "entered_by").order_by("model_id", "above", "valid_from"))
    holding = [(row, end) for row, end in ends_of(rows).items() if row.valid_from <= moment and (end is None or moment < end)]
    since = timezone.now() - timedelta(days=COUNTED_DAYS)
    counted = Call.objects.filter(price_id__in=[row.id for row, _ in holding], started_at__gte=since).order_by()
    calls: Mapping[object, int] = dict(counted.values_list("price_id").annotate(Count("id")))
    found = [Entry(row, end, calls.get(row.id, 0)) for row, end in holding]
    return sorted(found, key=lambda each: (each.row.model.simulated, each.row.model_id, each.row.above))


def changes(most: int = 200) -> list[Entry]:
    """The newest rows first, in the order in which they were entered."""
    rows = list(Price.objects.select_related("model", "entered_by").order_by("-entered_at", "-id"))
    ends = ends_of(rows)
    return [Entry(row, ends[row]) for row in rows[:most]]


def unpriced_models(actor: Actor) -> list[Unpriced]:
    """The models whose calls cost something that nobody knows, as far as the actor may see their costs; most calls first."""
    rows = (
        without_price(calls_for(actor))
        .order_by()
        .values("target")
        .annotate(n=Count("id"), a=Min("started_at"), z=Max("started_at"))
    )
    return [Unpriced(row["target"], row["n"], row["a"], row["z"]) for row in rows.order_by("-n", "target")]


def without_price(calls: QuerySet[Call]) -> QuerySet[Call]:
    """Those of the calls that cost something nobody knows."""
    return calls.filter(UNPRICED)


def models_without_a_price(moment: datetime) -> list[str]:
    """The catalogue's models for which no row holds."""
    priced = {entry.row.model_id for entry in entries_at(moment) if entry.row.above == 0 and entry.row.input is not None}
    return [slug for slug in ModelEntry.objects.order_by("slug").values_list("slug", flat=True) if slug not in priced]


def price_at(rows: Sequence[Price], moment: datetime) -> PriceRow | None:
    """What a model cost at a moment, from all of its rows: its base row and those beyond it."""
    ends = ends_of(rows)
    holding = sorted(
        (row for row, end in ends.items() if row.valid_from <= moment and (end is None or moment < end)),
        key=lambda row: row.above,
    )
    if not holding or holding[0].above:
        return None
    base = row_of(holding[0])
    return PriceRow(
        base.id,
        base.input,
        base.cached_input,
        base.output,
        base.cache_write,
        base.reasoning,
        0,
        tuple(row_of(row) for row in holding[1:]),
    )


def figures_text(row: Price) -> dict[str, str | None]:
    """The figures of a row as exact text."""
    return {name: plain(getattr(row, name)) for name in FIGURES}


def plain(figure: Decimal | None) -> str | None:
    """A figure as text, without idle zeros."""
    return None if figure is None else f"{figure.normalize():f}"
