"""``/costs``: what was spent, from the month down to the call, and the same as files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from flows.access.actor import Actor
from flows.access.curl import curl
from flows.access.letters import letters_are_sent
from flows.access.rights import Right, require_somewhere
from flows.costs.forecast import METHOD
from flows.costs.grains import SUMMED
from flows.costs.reports import adjusted, calls_within
from flows.costs.sums import standing
from flows.models import Call
from flows.models.identifiers import shown
from flows.runs.actions.keep_view import views_of
from flows.runs.exports import download
from flows.runs.spending import explorer
from flows.runs.spending.chart import Bar
from flows.runs.spending.marks import bounds_of
from flows.runs.spending.parts import parts_of
from flows.runs.spending.reporting import PERIODS
from flows.runs.spending.wanted import DIMENSIONS, FILTERS, THEN, Wanted, leading, wanted_by

PURPOSES = (("real", "Real money"), ("simulated", "Simulated"), ("all", "Both"))


def _as_curl(request: Any, wanted: Wanted) -> str:
    """How a program asks for the same table."""
    scope = wanted.scope()
    assert scope.since is not None
    assert scope.until is not None
    chosen = {name: ",".join(values) for name, values in wanted.chosen.items()}
    if wanted.run is not None:
        chosen["run"] = shown("run", wanted.run)
    if wanted.unpriced:
        chosen["unpriced"] = "true"
    period = {"from": scope.since.isoformat(), "to": scope.until.isoformat()}
    query = urlencode({"by": wanted.by, "purpose": wanted.purpose, **period, **chosen}, safe=",:")
    return curl("GET", request.build_absolute_uri(f"/api/v1/costs?{query}"))


@require_safe
@login_required
def costs(request: Any) -> HttpResponse:
    """The explorer: every choice is in the address. Raises `Forbidden` without the right to see costs anywhere."""
    actor: Actor = request.actor
    _require(actor)
    wanted = wanted_by(request.GET)
    at = standing()
    picture = explorer.picture_of(actor, wanted, at)
    total, models = picture.total, picture.models
    amount, earlier = explorer.cost_in(total, wanted.purpose), picture.before
    bounds = bounds_of(wanted)
    chart = picture.chart(bounds.lines.values())
    query = request.GET.urlencode(safe=",:!")
    told = models.calls - models.unpriced - models.estimated - models.in_flight
    context = {
        "wanted": wanted,
        "total": total,
        "models": models,
        **{
            name: Decimal(count) / (models.calls or 1)
            for name, count in (("reported", told), ("guessed", models.estimated), ("unknown", models.unpriced))
        },
        "amount": amount,
        "earlier": earlier,
        "change": (amount - earlier) / earlier if earlier else None,
        "before": wanted.before,
        "adjusted": adjusted(calls_within(actor, wanted.scope())) if at.adjusted else None,
        "saved": total.saved,
        "forecast": picture.forecast,
        "method": METHOD,
        "chart": chart,
        "bars": [(bar, amounts, _days(request, bar)) for bar, amounts in chart.table] if chart is not None else [],
        "marks": bounds.marks(chart),
        "lines": [chart.line(words, amount) for words, amount in bounds.lines.items()] if chart is not None else [],
        "foreseeing": picture.foreseeing,
        "dimensions": [
            (label, leading(request.GET, by=name, **({"then": None} if name == wanted.then else {})), name == wanted.by)
            for name, label in DIMENSIONS.items()
        ],
        "dimension": DIMENSIONS[wanted.by],
        "thens": [(DIMENSIONS[name], leading(request.GET, then=name), name == wanted.then) for name in THEN if name != wanted.by],
        "then": DIMENSIONS.get(wanted.then, ""),
        "without_then": leading(request.GET, then=None),
        "purposes": [(label, leading(request.GET, purpose=name), name == wanted.purpose) for name, label in PURPOSES],
        "periods": [
            (label, leading(request.GET, **{"from": f"{first}", "to": f"{last}"}), (first, last) == (wanted.first, wanted.last))
            for label, first, last in _periods()
        ],
        "filters": [(name, label, words, leading(request.GET, **{name: None})) for name, label, words in _filters(wanted)],
        "kept": [(name, value) for name, value in request.GET.items() if name not in {"from", "to", "after"}],
        "query": query,
        "per_run": f"{reverse('costs-per-run')}?{query}",
        "review": leading(request.GET, unpriced="yes", by="call"),
        "zone": timezone.get_current_timezone_name(),
        "views": views_of(actor, "costs"),
        "mailing": _mailing(actor),
        "report_periods": PERIODS.items(),
        "curl": _as_curl(request, wanted) if wanted.by != "call" else "",
    }
    if wanted.by == "call":
        context["page"] = explorer.page_of_calls(actor, wanted, request.GET.get("after", ""))
    else:
        below = picture.below
        context |= {
            "compared": picture.rows_before is not None,
            "below": below,
            "below_cost": explorer.cost_in(below, wanted.purpose),
        }
        after = _row_number(request.GET.get("after", ""))
        rows = explorer.rows_of(actor, wanted, picture, at, after)
        parts = parts_of(actor, wanted, rows, picture, at) if wanted.then else [[] for _ in rows]
        context["rows"] = [
            (row, _onward(request, row), [(part, _onward(request, part)) for part in of_row])
            for row, of_row in zip(rows, parts, strict=True)
        ]
        context |= _paged(request, wanted, picture, rows, after)
    return render(request, "costs/explorer.html", context)


def _onward(request: Any, row: explorer.Row) -> str:
    """Where a row leads; empty where there is nothing behind it."""
    return leading(request.GET, **row.onward) if row.onward else ""


def _days(request: Any, bar: Bar) -> str:
    """The same of the days that a bar stands for."""
    return leading(request.GET, **{"from": f"{bar.first}", "to": f"{bar.last}"})


def _row_number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else 0


def _paged(request: Any, wanted: Wanted, picture: explorer.Picture, rows: Sequence[explorer.Row], after: int) -> dict[str, Any]:
    """Where the rows before and behind these stand. How many rows there are is known only of what is summed by day."""
    count = len(picture.spends) if wanted.by in SUMMED else None
    more = after + len(rows) < count if count is not None else len(rows) == explorer.ROWS_AT_ONCE
    earlier = max(after - explorer.ROWS_AT_ONCE, 0)
    return {
        "first_row": after + 1,
        "last_row": after + len(rows),
        "row_count": count,
        "next_rows": leading(request.GET) + _joined(request, after + len(rows)) if more else "",
        "previous_rows": (leading(request.GET) + (_joined(request, earlier) if earlier else "")) if after else "",
    }


def _joined(request: Any, after: int) -> str:
    return f"{'&' if '?' in leading(request.GET) else '?'}after={after}"


@require_safe
@login_required
def export(request: Any, form: str) -> StreamingHttpResponse:
    """Every call of the choice, one line each, to the last decimal: ``csv`` or ``json`` (one object a line)."""
    actor: Actor = request.actor
    _require(actor)
    wanted = wanted_by(request.GET)
    return download(_lines(explorer.exported(actor, wanted)), form, f"costs-{wanted.first}-{wanted.last}")


def _mailing(actor: Actor) -> str:
    """Why no report would reach the person; empty where one would."""
    if not letters_are_sent():
        return "This installation sends no e-mail: no mail server is set."
    return "" if actor.person is not None and actor.person.email else "You have no e-mail address here."


def _require(actor: Actor) -> None:
    require_somewhere(actor, Right.SEE_COSTS)


def _line(row: dict[str, Any]) -> dict[str, Any]:
    settled: Decimal | None = row.pop("settled")
    return {
        "call": shown("call", row.pop("id")),
        "run": shown("run", row.pop("run_id")),
        **{name: value for name, value in row.items() if name not in ("started_at", "price_id", "tags")},
        "tags": ", ".join(row["tags"]),
        "started_at": row["started_at"].isoformat(),
        "cost": None if settled is None else f"{settled:f}",
        "currency": "USD",
        "price_id": None if row["price_id"] is None else row["price_id"].hex,
    }


async def _lines(calls: QuerySet[Call, dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    async for row in calls.aiterator(chunk_size=2000):
        yield _line(row)


def _periods() -> list[tuple[str, date, date]]:
    today = timezone.localdate()
    month = today.replace(day=1)
    last = month - timedelta(days=1)
    year = month
    for _ in range(12):
        year = (year - timedelta(days=1)).replace(day=1)
    return [
        ("Today", today, today),
        ("7 days", today - timedelta(days=6), today),
        ("30 days", today - timedelta(days=29), today),
        ("This month", month, today),
        ("Last month", last.replace(day=1), last),
        ("13 months", year, today),
    ]


def _filters(wanted: Wanted) -> list[tuple[str, str, str]]:
    """What is kept: (parameter, label, words)."""
    chips = [(name, label, ", ".join(wanted.chosen[name])) for name, label in FILTERS.items() if name in wanted.chosen]
    if wanted.run is not None:
        chips.append(("run", "Run", shown("run", wanted.run)))
    if wanted.unpriced:
        chips.append(("unpriced", "Only", "calls without a price"))
    return chips
