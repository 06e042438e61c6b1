"""Bars a day, stacked by what the table is grouped by: the figures of a chart and where its parts stand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from django.utils.safestring import SafeString

SERIES = 8  # with colours of their own; what is left is one
MOST_BARS = 62
WIDTH, HEIGHT, GAP = 720.0, 160.0, 0.22  # units of the drawing; of a bar's width, what stays free


@dataclass(frozen=True, slots=True)
class Piece:
    """One part of a bar, in units of the drawing from its upper left corner. `series` is 1 to 8, 0 for the others."""

    series: int
    y: float
    height: float
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Bar:
    first: date
    last: date
    x: float
    width: float
    total: Decimal
    pieces: tuple[Piece, ...]

    @property
    def rects(self) -> SafeString:
        """The pieces as SVG: written here, since a template takes ten times as long for as many as a year has."""
        x, width = self.x, self.width
        return SafeString(
            "".join(
                f'<rect class="series-{each.series}" x="{x}" y="{each.y}" width="{width}" height="{each.height}"/>'
                for each in self.pieces
            )
        )


@dataclass(frozen=True, slots=True)
class Series:
    number: int
    label: str
    total: Decimal


@dataclass(frozen=True, slots=True)
class Chart:
    bars: tuple[Bar, ...]
    series: tuple[Series, ...]
    top: Decimal
    """What the upper edge stands for, in dollars."""
    weekly: bool

    @property
    def table(self) -> list[tuple[Bar, list[Decimal]]]:
        """The same figures: each bar with what each series has of it, in the legend's order."""
        order = [each.number for each in self.series]
        rows = []
        for bar in self.bars:
            amounts = {piece.series: piece.amount for piece in bar.pieces}
            rows.append((bar, [amounts.get(number, Decimal(0)) for number in order]))
        return rows


def chart_of(amounts: Mapping[tuple[date, str], Decimal], first: date, last: date) -> Chart | None:
    """The drawing of these amounts by (day, or the first day of a bar, name); None where there is nothing to draw. Over many days a bar
    is a week, or a month."""
    totals: defaultdict[str, Decimal] = defaultdict(Decimal)
    for (_, name), amount in amounts.items():
        totals[name] += amount
    ranked = sorted((name for name in totals if totals[name] > 0), key=lambda name: (-totals[name], name))
    if not ranked:
        return None
    numbers = {name: n + 1 for n, name in enumerate(ranked[:SERIES])}
    size = span_of(first, last)
    spans = _spans(first, last, size)
    sums: list[defaultdict[int, Decimal]] = [defaultdict(Decimal) for _ in spans]
    for (day, name), amount in amounts.items():
        if first <= day <= last and name in totals:
            sums[(day - first).days // size][numbers.get(name, 0)] += amount
    top = max(sum(each.values(), Decimal(0)) for each in sums)
    order = [*range(1, len(numbers) + 1), 0]
    bars = tuple(_bar(n, len(spans), span, sums[n], top, order) for n, span in enumerate(spans))
    series = [Series(number, name, totals[name]) for name, number in numbers.items()]
    if len(ranked) > SERIES:
        rest = ranked[SERIES:]
        series.append(Series(0, f"Other ({len(rest)})", sum((totals[name] for name in rest), Decimal(0))))
    return Chart(bars, tuple(series), top, size > 1)


def span_of(first: date, last: date) -> int:
    """The days that one bar stands for."""
    days = (last - first).days + 1
    return 1 if days <= MOST_BARS else 7 if days <= 7 * MOST_BARS else 31


def _spans(first: date, last: date, size: int) -> list[tuple[date, date]]:
    starts: Iterable[date] = (first + timedelta(days=n) for n in range(0, (last - first).days + 1, size))
    return [(start, min(start + timedelta(days=size - 1), last)) for start in starts]


def _bar(n: int, count: int, span: tuple[date, date], amounts: Mapping[int, Decimal], top: Decimal, order: Sequence[int]) -> Bar:
    slot = WIDTH / count
    pieces, y = [], HEIGHT
    for number in order:
        amount = amounts.get(number, Decimal(0))
        if amount > 0 and top > 0:
            height = float(amount / top) * HEIGHT
            y -= height
            pieces.append(Piece(number, round(y, 2), round(height, 2), amount))
    width = min(slot * (1 - GAP), 40.0)
    x = n * slot + (slot - width) / 2
    return Bar(*span, round(x, 2), round(width, 2), sum(amounts.values(), Decimal(0)), tuple(pieces))
