"""The dearest of what there may be very many of: runs, steps, tags."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import BigIntegerField, Case, F, QuerySet, When

from flows.access.actor import Actor
from flows.costs.reports import UNPRICED, Scope, Spend
from flows.costs.sums import OF_CALLS, Sources, Standing, sources_of

RANKED = frozenset({"run", "step", "tag"})

_FIGURES = [each.name for each in fields(Spend) if each.name != "name"]
_WHOLE = {"calls", "unpriced", "estimated", "in_flight", *(name for name in _FIGURES if name.endswith("tokens"))}
_RANKED = f"""
SELECT name, {", ".join(f"sum({name})" for name in _FIGURES)} FROM ({{rows}}) x(name, {", ".join(_FIGURES)}) {{which}}
GROUP BY name ORDER BY sum(cost) DESC, sum(cost + simulated) DESC, name LIMIT %s OFFSET %s
"""  # noqa: S608 - names of ours
_DEAREST = """
WHERE name = ANY (ARRAY (
    SELECT name FROM ({spent}) y(name, simulated, settled, unknown) GROUP BY name ORDER BY {money}, name LIMIT %s OFFSET %s
))
"""
_RUNS = """
WITH fresh(name, simulated, settled, unknown) AS MATERIALIZED ({calls})
SELECT * FROM fresh UNION ALL ({several})
UNION ALL SELECT * FROM ({alone}) o(name, simulated, settled, unknown) WHERE name = ANY (ARRAY (SELECT DISTINCT name FROM fresh))
UNION ALL ({real}) UNION ALL ({pretended})
"""
_DEAREST_ALONE = """
SELECT * FROM ({alone}) o(name, simulated, settled, unknown) WHERE {which} AND name NOT IN (SELECT name FROM fresh)
ORDER BY settled DESC, name LIMIT %s
"""
LACKS_PRICE = Case(When(UNPRICED, then=1), default=0, output_field=BigIntegerField())
_ALL = "coalesce(sum(settled), 0) DESC"
_REAL_AND_ALL = f"coalesce(sum(settled) FILTER (WHERE NOT simulated), 0) DESC, {_ALL}"


def ranked(actor: Actor, scope: Scope, by: str, at: Standing, *, after: int, most: int) -> list[Spend]:
    """So many spends by one of `RANKED` from the place `after`, the dearest first: one query. Of runs and steps, of which a map makes as
    many as it has items, all figures are added up of these alone: those of all at once would not fit in the memory that a query has."""
    sources = sources_of(actor, scope, by, at=at)
    rows, values = sources.sql(by)
    which, page = "", [most, after]
    if by != "tag":
        several = by == "run" and sources.sums is not None
        spent, of_spent = _dearest_runs(sources, after + most) if several else spent_of(sources, by)
        which = _DEAREST.format(spent=spent, money=_REAL_AND_ALL if scope.purpose == "all" else _ALL)
        values, page = [*values, *of_spent, *page], [most, 0]
    with connection.cursor() as cursor:
        cursor.execute(_RANKED.format(rows=rows, which=which), [*values, *page])
        return [_spend(*row) for row in cursor.fetchall()]


def _dearest_runs(sources: Sources, most: int) -> tuple[str, list[Any]]:
    """As `spent_of`, of fewer runs among which are this many dearest: of those that one row of sums tells of, and no call of the ledger
    beside it, only the dearest by their index."""
    assert sources.sums is not None
    calls, of_calls = _plain(sources.calls.annotate(unknown=LACKS_PRICE), OF_CALLS["run"]).query.sql_with_params()
    sums = sources.sums.annotate(unknown=F("unpriced"))
    several, of_several = _plain(sums.filter(alone=False), sources.groups["run"]).query.sql_with_params()
    alone, of_alone = _plain(sums.filter(alone=True), sources.groups["run"]).query.sql_with_params()
    real, pretended = (_DEAREST_ALONE.format(alone=alone, which=which) for which in ("NOT simulated", "simulated"))
    spent = _RUNS.format(calls=calls, several=several, alone=alone, real=real, pretended=pretended)
    return spent, [*of_calls, *of_several, *of_alone, *of_alone, most, *of_alone, most]


def spent_of(sources: Sources, by: str) -> tuple[str, list[Any]]:
    """Every row of sums and ledger by itself, as SQL with its values: its name, whether its money is simulated, the money, and how many
    of its calls have no price."""
    rows = [_plain(sources.calls.annotate(unknown=LACKS_PRICE), OF_CALLS[by])]
    if sources.sums is not None:
        rows.append(_plain(sources.sums.annotate(unknown=F("unpriced")), sources.groups[by]))
    told = [each.query.sql_with_params() for each in rows]
    return " UNION ALL ".join(f"({sql})" for sql, _ in told), [value for _, values in told for value in values]


def _plain(rows: QuerySet[Any], group: Any) -> QuerySet[Any, Any]:
    return rows.annotate(by=group).order_by().values_list("by", "simulated", "settled", "unknown")


def _spend(name: object, *figures: Decimal) -> Spend:
    told: dict[str, Any] = dict(zip(_FIGURES, figures, strict=True))
    return Spend(name, **told | {figure: int(told[figure]) for figure in _WHOLE})
