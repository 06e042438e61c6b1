"""The axis of a timeline: where a moment stands on it, in percent of its width. Long stretches in which nothing happens are cut out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

LEAST_GAP = timedelta(seconds=60)  # a shorter stretch is never cut out
LEAST_SHARE = 0.10  # nor one that is a smaller part of the whole
CUT = 6.0  # percent of the width that a stretch takes that is cut out
TICKS = 5  # at most so many where nothing is cut out
Moments = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch that is cut out: where it stands on the axis, and how long it was."""

    x: float
    width: float
    seconds: float
    waiting: bool  # whether something waited for most of it

    @property
    def middle(self) -> float:
        """Where its label stands: never so near an edge that it is cut."""
        return min(max(self.x + self.width / 2, 8.0), 92.0)


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on the axis, so many seconds after its beginning."""

    x: float
    seconds: float


@dataclass(frozen=True, slots=True)
class _Piece:
    begin: datetime
    end: datetime
    x: float
    width: float
    cut: bool


class Axis:
    """From `begin` to `end`. `busy` are the stretches in which something happened, `waits` those in which something waited; with
    `true_scale` nothing is cut out."""

    def __init__(
        self, begin: datetime, end: datetime, busy: Iterable[Moments], waits: Sequence[Moments], *, true_scale: bool = False
    ) -> None:
        self.begin, self.end = begin, max(end, begin + timedelta(milliseconds=1))
        cuts = [] if true_scale else self._idle(busy)
        self._pieces = self._laid_out(cuts)
        self.gaps = tuple(
            Gap(
                piece.x,
                piece.width,
                (piece.end - piece.begin).total_seconds(),
                any(min(until, piece.end) - max(since, piece.begin) > (piece.end - piece.begin) / 2 for since, until in waits),
            )
            for piece in self._pieces
            if piece.cut
        )

    def _idle(self, busy: Iterable[Moments]) -> list[Moments]:
        """The stretches that are long enough to be cut out."""
        least = max(LEAST_GAP, (self.end - self.begin) * LEAST_SHARE)
        found, reached = [], self.begin
        for since, until in [*sorted(busy), (self.end, self.end)]:
            if since - reached > least:
                found.append((reached, since))
            reached = max(reached, until)
        return found

    def _laid_out(self, cuts: Sequence[Moments]) -> list[_Piece]:
        edges = [self.begin, *(moment for cut in cuts for moment in cut), self.end]
        shown = sum(((until - since).total_seconds() for since, until in zip(edges[::2], edges[1::2], strict=True)), 0.0)
        room, pieces, x = 100.0 - CUT * len(cuts), [], 0.0
        for at, (since, until) in enumerate(pairwise(edges)):
            cut = at % 2 == 1
            width = CUT if cut else room * (until - since).total_seconds() / shown if shown else 0.0
            pieces.append(_Piece(since, until, x, width, cut))
            x += width
        return pieces

    def at(self, moment: datetime) -> float:
        """Where a moment stands, in percent."""
        for piece in self._pieces:
            if moment <= piece.end:
                length = (piece.end - piece.begin).total_seconds()
                share = (moment - piece.begin).total_seconds() / length if length else 0.0
                return piece.x + piece.width * min(max(share, 0.0), 1.0)
        return 100.0

    @property
    def ticks(self) -> list[Tick]:
        """The beginning of each piece that is shown, and marks inside the wide ones."""
        found = []
        for piece in self._pieces:
            if piece.cut or piece.width < 1:
                continue
            parts = max(int(piece.width * TICKS / 100), 1)
            for part in range(parts):
                moment = piece.begin + (piece.end - piece.begin) * part / parts
                found.append(Tick(piece.x + piece.width * part / parts, (moment - self.begin).total_seconds()))
        return [tick for at, tick in enumerate(found) if at == 0 or tick.x - found[at - 1].x > 8]
