"""``/costs/what-if``: what the calls of a choice would have cost with another model."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from flows.access.actor import Actor
from flows.access.querysets import belonging
from flows.access.refusals import Fault
from flows.access.rights import Right, require_somewhere
from flows.costs.reports import calls_within
from flows.costs.whatif import METHOD, WouldHave, would_have_cost
from flows.models import Flow, ModelEntry
from flows.runs.spending.wanted import Wanted, wanted_by


@require_safe
@login_required
def what_if(request: Any) -> HttpResponse:
    """By the model that was called, what it cost and what it would have; changes nothing. Without days, the last month."""
    actor: Actor = request.actor
    require_somewhere(actor, Right.SEE_COSTS)
    query = request.GET.copy()
    if not query.get("from"):
        last = timezone.localdate().replace(day=1) - timedelta(days=1)
        query["from"], query["to"] = last.replace(day=1).isoformat(), last.isoformat()
    wanted = wanted_by(query)
    models = list(ModelEntry.objects.order_by("simulated", "slug").values_list("slug", flat=True))
    other = query.get("as", "")
    problems = [Fault("as", f"the catalogue has no model named {other[:80]!r}")] if other and other not in models else []
    rows = would_have_cost(calls_within(actor, wanted.scope()), other) if other and not problems else []
    context = {
        "wanted": wanted,
        "models": models,
        "other": other,
        "flows": _flows(actor),
        "flow": query.get("flow", ""),
        "problems": problems,
        "rows": rows,
        "total": total_of(rows) if rows else None,
        "method": METHOD,
        "explorer": _explorer(wanted, query),
    }
    return render(request, "costs/what_if.html", context, status=422 if problems else 200)


def total_of(rows: list[WouldHave]) -> WouldHave:
    """All rows together; what would have been is not known where it is not of one of them."""
    known = [row.instead for row in rows if row.instead is not None]
    instead = sum(known, Decimal(0)) if len(known) == len(rows) else None
    return WouldHave(
        "",
        sum(row.calls for row in rows),
        sum(row.left_out for row in rows),
        sum((row.cost for row in rows), Decimal(0)),
        instead,
    )


def _flows(actor: Actor) -> list[tuple[str, str]]:
    flows = Flow.objects.filter(belonging(actor.holdings, Right.SEE_COSTS), archived_at__isnull=True)
    return list(flows.order_by("name").values_list("slug", "name"))


def _explorer(wanted: Wanted, query: Any) -> str:
    kept = f"&flow={query['flow']}" if query.get("flow") else ""
    return f"/costs?from={wanted.first}&to={wanted.last}&by=model{kept}"
