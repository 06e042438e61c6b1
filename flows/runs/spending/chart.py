"""Bars a day, stacked by what the table is grouped by: the figures of a chart and where its parts stand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from django.utils.safestring import SafeString

from flows.costs.forecast import Ahead

SERIES = 8  # with colours of their own; what is left is one
MOST_BARS = 62
MOST_ABOVE = 2  # times the highest bar: a budget that is higher is not drawn
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
class Band:
    """A day that is to come: where the band of its forecast stands, and its middle."""

    ahead: Ahead
    x: float
    width: float
    y: float
    height: float
    middle: float


@dataclass(frozen=True, slots=True)
class Line:
    """A budget across the chart, at what it allows in the time of one bar; `y` is None where that is far above all bars."""

    words: str
    amount: Decimal
    y: float | None


@dataclass(frozen=True, slots=True)
class Chart:
    bars: tuple[Bar, ...]
    series: tuple[Series, ...]
    top: Decimal
    """What the upper edge stands for, in dollars."""
    weekly: bool
    bands: tuple[Band, ...] = ()

    def line(self, words: str, amount: Decimal) -> Line:
        return Line(words, amount, self._y(amount) if amount <= self.top else None)

    def _y(self, amount: Decimal) -> float:
        return round(HEIGHT - float(amount / self.top) * HEIGHT, 2)

    @property
    def table(self) -> list[tuple[Bar, list[Decimal]]]:
        """The same figures: each bar with what each series has of it, in the legend's order."""
        order = [each.number for each in self.series]
        rows = []
        for bar in self.bars:
            amounts = {piece.series: piece.amount for piece in bar.pieces}
            rows.append((bar, [amounts.get(number, Decimal(0)) for number in order]))
        return rows


def chart_of(
    amounts: Mapping[tuple[date, str], Decimal],
    first: date,
    last: date,
    *,
    ahead: Sequence[Ahead] = (),
    lines: Sequence[Decimal] = (),
) -> Chart | None:
    """The drawing of these amounts by (day, or the first day of a bar, name); None where there is nothing to draw. Over many days a bar
    is a week, or a month. Days that are to come stand behind the bars of days; lines that are not far above them are made room for."""
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
    ahead = [each for each in ahead if size == 1 and each.day > last]
    top = max([*(sum(each.values(), Decimal(0)) for each in sums), *(each.high for each in ahead)])
    top = max([top, *(amount for amount in lines if amount <= top * MOST_ABOVE)])
    order = [*range(1, len(numbers) + 1), 0]
    count = len(spans) + len(ahead)
    bars = tuple(_bar(n, count, span, sums[n], top, order) for n, span in enumerate(spans))
    bands = tuple(_band(n, count, each, top) for n, each in enumerate(ahead, len(spans)))
    series = [Series(number, name, totals[name]) for name, number in numbers.items()]
    if len(ranked) > SERIES:
        rest = ranked[SERIES:]
        series.append(Series(0, f"Other ({len(rest)})", sum((totals[name] for name in rest), Decimal(0))))
    return Chart(bars, tuple(series), top, size > 1, bands)


def span_of(first: date, last: date) -> int:
    """The days that one bar stands for."""
    days = (last - first).days + 1
    return 1 if days <= MOST_BARS else 7 if days <= 7 * MOST_BARS else 31


def _spans(first: date, last: date, size: int) -> list[tuple[date, date]]:
    starts: Iterable[date] = (first + timedelta(days=n) for n in range(0, (last - first).days + 1, size))
    return [(start, min(start + timedelta(days=size - 1), last)) for start in starts]


def _band(n: int, count: int, ahead: Ahead, top: Decimal) -> Band:
    x, width = _place(n, count)
    low, high, middle = (HEIGHT - float(amount / top) * HEIGHT for amount in (ahead.low, ahead.high, ahead.middle))
    return Band(ahead, x, width, round(high, 2), round(max(low - high, 1.0), 2), round(middle, 2))


def _place(n: int, count: int) -> tuple[float, float]:
    """Of one of so many bars: its left edge and its width."""
    slot = WIDTH / count
    width = min(slot * (1 - GAP), 40.0)
    return round(n * slot + (slot - width) / 2, 2), round(width, 2)


def _bar(n: int, count: int, span: tuple[date, date], amounts: Mapping[int, Decimal], top: Decimal, order: Sequence[int]) -> Bar:
    pieces, y = [], HEIGHT
    for number in order:
        amount = amounts.get(number, Decimal(0))
        if amount > 0 and top > 0:
            height = float(amount / top) * HEIGHT
            y -= height
            pieces.append(Piece(number, round(y, 2), round(height, 2), amount))
    return Bar(*span, *_place(n, count), sum(amounts.values(), Decimal(0)), tuple(pieces))
