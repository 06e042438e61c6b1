"""What was spent, in total and by one group, from sums and ledger together."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from flows.access.actor import Actor
from flows.costs.ranking import RANKED, ranked
from flows.costs.reports import IN_ORDER, MOST_ROWS, Scope, Spend
from flows.costs.sums import Figures, added, sources_of, standing


def table_of(actor: Actor, scope: Scope, by: str) -> tuple[Spend, list[Spend]]:
    """All of a scope together, and at most `MOST_ROWS` by one of `GROUPS` or `OVERLAPPING`: times and versions in their order, of others
    the dearest first. Days and months are dates of the current zone."""
    at = standing()
    names = ("kind",) if by in RANKED else ("kind", by)
    cells = sources_of(actor, scope, *names, at=at).by(*names)
    total = added(cells.values())
    if by in RANKED:
        return total, ranked(actor, scope, by, at, after=0, most=MOST_ROWS)
    rows: defaultdict[Any, list[Figures]] = defaultdict(list)
    for (kind, name), figures in cells.items():
        if by not in ("model", "tool") or kind == by:
            rows[name].append(figures)
    spends = [added(each, name) for name, each in rows.items()]
    if by in IN_ORDER:
        spends.sort(key=lambda each: (each.name is None, each.name))
    else:
        spends.sort(key=lambda each: (-each.cost, -each.simulated, each.name is None, str(each.name)))
    return total, spends[:MOST_ROWS]
