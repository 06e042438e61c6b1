"""``/runs``: the list."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from flows.access.actor import Actor
from flows.access.rights import Right
from flows.runs.actions.keep_view import views_of
from flows.runs.histogram import histogram_of
from flows.runs.listing import (
    FIRST,
    NEWS_COUNTED,
    SOURCES,
    Wanted,
    as_they_are,
    counted,
    flow_choices,
    identifiers,
    in_words,
    matching,
    newer_than,
    page_of,
    wanted_by,
)
from flows.runs.pages.many import SENT_AT_ONCE
from flows.runs.periods import period_of

STATES = ("queued", "running", "waiting_approval", "waiting", "retrying", "succeeded", "failed", "cancelled", "budget_stopped")
PERIODS = (("1h", "in the last hour"), ("24h", "in the last 24 h"), ("7d", "in the last 7 days"), ("30d", "in the last 30 days"))
STATE_WORDS = {
    "waiting_approval": "Needs approval",
    "budget_stopped": "Stopped by budget",
}


@require_safe
@login_required
def listing(request: Any) -> HttpResponse:
    """One page of the runs that match. With ``rows=``, the runs of a page that is open already, in its order, as they are now."""
    actor: Actor = request.actor
    wanted = wanted_by(request.GET)
    if "rows" in request.GET:
        return _changed(request, actor, wanted)
    runs = matching(actor, wanted)
    page = page_of(runs, wanted.sort, request.GET.get("after", ""), request.GET.get("before", ""))
    count = counted(runs) if page.lines else 0
    context = {
        "page": page,
        "query": request.GET.urlencode(safe=",:!@"),
        "lines": page.lines,
        "total": in_words(count),
        "long": count > SENT_AT_ONCE,
        "wanted": wanted,
        "histogram": histogram_of(runs, period_of(wanted.period)),
        "views": views_of(actor, "runs"),
        "fields": _fields(actor, wanted),
        "rows_url": _rows_url(request, identifiers(page.lines)),
        "may_control": bool(actor.holdings.allow(Right.CONTROL_RUNS)),
        "may_start": bool(actor.holdings.allow(Right.START_RUNS)),
    }
    return render(request, "runs/list.html", context)


def _changed(request: Any, actor: Actor, wanted: Wanted) -> HttpResponse:
    query = request.GET.copy()
    rows = query.pop("rows")[0]
    request.GET = query  # what the region links to is the page, not this answer
    news = 0
    if wanted.sort == FIRST and not {"after", "before"} & query.keys():
        news = newer_than(matching(actor, wanted), rows.split(","))
    context = {
        "lines": as_they_are(actor, wanted, rows.split(",")),
        "wanted": wanted,
        "rows_url": _rows_url(request, rows),
        "may_control": bool(actor.holdings.allow(Right.CONTROL_RUNS)),
        "news": f"{NEWS_COUNTED}+ new" if news > NEWS_COUNTED else f"{news} new" if news else "",
    }
    return render(request, "runs/_list.html", context)


def _rows_url(request: HttpRequest, rows: str) -> str:
    query = request.GET.copy()
    query["rows"] = rows
    return f"{request.path}?{query.urlencode(safe=',:!')}"


def _fields(actor: Actor, wanted: Wanted) -> list[dict[str, Any]]:
    states = [(name, STATE_WORDS.get(name, name.capitalize())) for name in STATES]
    return [
        {"name": "state", "label": "State", "options": states, "states": True},
        {"name": "flow", "label": "Flow", "options": flow_choices(actor)},
        {"name": "started", "label": "Started", "options": _periods(wanted), "many": False},
        {"name": "source", "label": "Source", "options": SOURCES, "many": False},
        {"name": "by", "label": "Started by", "options": [("me", "Me")], "many": True},
        {"name": "tag", "label": "Tag"},
        {"name": "error", "label": "Error says"},
        {"name": "fingerprint", "label": "Error and step"},
    ]


def _periods(wanted: Wanted) -> list[tuple[str, str]]:
    """The usual periods, and the span that the address names, if it names one."""
    own = [(wanted.period, wanted.period.replace("T", " ").replace("..", " – "))] if ".." in wanted.period else []
    return [*PERIODS, *own]
