"""What the rows of the table of costs consist of, by a second grouping."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from flows.access.actor import Actor
from flows.costs.reports import IN_ORDER
from flows.costs.sums import Figures, Standing, added, sources_of
from flows.runs.spending.explorer import Picture, Row, cost_in, local_day, moment_of, plain_name, together
from flows.runs.spending.wanted import Wanted, month_end_of

MOST_PARTS = 8


def parts_of(actor: Actor, wanted: Wanted, rows: Sequence[Row], picture: Picture, at: Standing) -> list[list[Row]]:
    """What each of these rows consists of by `then`, the dearest `MOST_PARTS` and the others together: exactly the row. One query, and
    one for names."""
    first, last = _stretch(wanted, rows)
    timed = wanted.by in ("day", "month", "hour")
    kinds = {"model", "tool"} & {wanted.by, wanted.then}  # of one kind, where either is meant
    names = (wanted.by, wanted.then, *(["kind"] if kinds else []))
    only = None if timed or wanted.by == "tag" else [row.name for row in rows]
    sources = sources_of(actor, wanted.scope(first, last), *names, at=at)
    if picture.left is None or sources.sums is None or not {*names} <= {*picture.left.names}:
        cells = sources.by(*names, only=only)
    else:
        cells = picture.left.beside(sources.summed(*names, only=only), *names, first=first, last=last)
    found: defaultdict[Any, defaultdict[Any, list[Figures]]] = defaultdict(lambda: defaultdict(list))
    for (name, part, *kind), figures in cells.items():
        if wanted.by not in ("model", "tool") or kind == [wanted.by]:
            found[moment_of(name)][
                moment_of(part) if wanted.then not in ("model", "tool") or kind == [wanted.then] else None
            ].append(figures)
    labels = picture.labels.of(wanted.then, [part for parts in found.values() for part in parts])
    return [_parts(wanted, row, found[row.name], labels) for row in rows]


def _stretch(wanted: Wanted, rows: Sequence[Row]) -> tuple[date, date]:
    """The first and the last day of the period that these rows tell of."""
    days = [local_day(row.name) for row in rows if isinstance(row.name, datetime)]
    if not days:
        return wanted.first, wanted.last
    last = month_end_of(max(days)) if wanted.by == "month" else max(days)
    return max(min(days), wanted.first), min(last, wanted.last)


def _parts(wanted: Wanted, row: Row, found: Mapping[Any, list[Figures]], labels: Mapping[Any, tuple[str, str]]) -> list[Row]:
    spends = [added(figures, part) for part, figures in found.items()]
    if wanted.then in IN_ORDER:
        spends.sort(key=lambda each: (each.name is None, each.name))
    else:
        spends.sort(key=lambda each: (-each.cost, -each.simulated, str(each.name)))
    parts = []
    for spend in spends[:MOST_PARTS]:
        cost = cost_in(spend, wanted.purpose)
        label, page = labels.get(spend.name) or (plain_name(wanted.then, spend.name), "")
        share = cost / row.cost if row.cost else None
        parts.append(Row(label, spend, cost, share, wanted.into_part(row.name, spend.name), page, spend.name))
    rest = spends[MOST_PARTS:]
    if rest:
        others = together(rest)
        cost = cost_in(others, wanted.purpose)
        parts.append(Row(f"{len(rest)} others", others, cost, cost / row.cost if row.cost else None, None))
    return parts
