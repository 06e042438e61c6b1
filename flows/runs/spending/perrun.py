"""``/costs/per-run``: what a run costs. The explorer fetches it by itself, since a year of runs takes longer than its sums."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from flows.access.rights import Right, require_somewhere
from flows.costs.perrun import per_run
from flows.costs.sums import standing
from flows.runs.spending.wanted import leading, wanted_by


@require_safe
@login_required
def what_a_run_costs(request: Any) -> HttpResponse:
    """Of the explorer's choice, as a region of its page or as a page. Raises `Forbidden`, and `Invalid` for what cannot be shown."""
    require_somewhere(request.actor, Right.SEE_COSTS)
    wanted = wanted_by(request.GET)
    context = {
        "wanted": wanted,
        "figures": per_run(request.actor, wanted.scope(), standing()),
        "back": leading(request.GET),
    }
    return render(request, "costs/_per_run.html" if request.htmx else "costs/per_run.html", context)
