"""When the runs of a list began, in two dozen pieces of time, each stacked by state."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from django.db.models import Count, F, IntegerField, QuerySet
from django.db.models.functions import Cast, Extract, Floor
from django.utils import timezone

from flows.access.querysets import made_before, made_since
from flows.engine.states import ROLL_UP
from flows.models import Run
from flows.runs.periods import Period, written

PIECES = 24
WIDTH, HEIGHT, GAP = 720.0, 48.0, 2.0  # units of the drawing
LEAST = 1.5  # height of a part that is not empty
USUAL = timedelta(days=7)
"""What is shown of a list that is not limited in time."""


@dataclass(frozen=True, slots=True)
class Part:
    """The runs of one state in one piece of time, in units of the drawing from its upper left corner."""

    state: str
    count: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of time: `period` is what the list is asked for to show only it."""

    begins: datetime
    ends: datetime
    x: float
    width: float
    parts: tuple[Part, ...]

    @property
    def count(self) -> int:
        return sum(part.count for part in self.parts)

    @property
    def period(self) -> str:
        return written(self.begins, self.ends)


@dataclass(frozen=True, slots=True)
class Histogram:
    pieces: tuple[Piece, ...]

    @property
    def last(self) -> Piece:
        return self.pieces[-1]

    @property
    def by_state(self) -> list[tuple[str, int]]:
        """How many runs of each state there are in all of them, for those who do not see the drawing."""
        sums: defaultdict[str, int] = defaultdict(int)
        for piece in self.pieces:
            for part in piece.parts:
                sums[part.state] += part.count
        return [(state, sums[state]) for state in ROLL_UP if sums[state]]


def histogram_of(runs: QuerySet[Run], period: Period | None) -> Histogram | None:
    """The pieces of the period, or of the last seven days; None where no run began in it. One query."""
    now = timezone.now()
    begins, ends = (period.since, period.until) if period is not None else (now - USUAL, None)
    begins = begins.replace(microsecond=0)  # whole seconds, as the addresses of the pieces have them
    length = timedelta(seconds=ceil((min(ends or now, now) - begins).total_seconds() / PIECES))
    if length <= timedelta(0):
        return None
    ends = begins + PIECES * length
    number: Any = Floor(Extract(F("created_at") - begins, "epoch") / length.total_seconds())
    within = runs.order_by().filter(made_since(begins), made_before(ends))
    rows = within.annotate(piece=Cast(number, IntegerField())).values_list("piece", "status").annotate(n=Count("id"))
    counts: defaultdict[int, dict[str, int]] = defaultdict(dict)
    for piece, state, n in rows:
        counts[min(piece, PIECES - 1)][state] = n
    if not counts:
        return None
    top = max(sum(each.values()) for each in counts.values())
    width = WIDTH / PIECES
    return Histogram(
        tuple(
            Piece(begins + n * length, begins + (n + 1) * length, n * width, width - GAP, _stacked(counts[n], top))
            for n in range(PIECES)
        )
    )


def _stacked(counts: dict[str, int], top: int) -> tuple[Part, ...]:
    """What is worst stands at the bottom, where it can be compared."""
    parts, foot = [], HEIGHT
    for state in ROLL_UP:
        if count := counts.get(state, 0):
            height = max(count / top * HEIGHT, LEAST)
            foot -= height
            parts.append(Part(state, count, max(foot, 0.0), height))
    return tuple(parts)
