"""``/costs/views``: views of the explorer that somebody keeps, each a name for an address."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from flows.access.rights import Right, require_somewhere
from flows.runs.actions.keep_view import LONGEST_QUERY, drop_view, keep_view
from flows.runs.spending.wanted import wanted_by


@require_POST
@login_required
def pins(request: Any) -> HttpResponse:
    """Keeps a view under a name. Raises `Forbidden`, and `Invalid` for what is no view."""
    require_somewhere(request.actor, Right.SEE_COSTS)
    query = request.POST.get("query", "")
    wanted_by(QueryDict(query[:LONGEST_QUERY]))
    view = keep_view(request.actor, "costs", request.POST.get("name", ""), query, request.POST.get("every", ""))
    request.toast(f"The view {view.name} is kept{' and mailed' if view.every else ''}.")
    return redirect(f"/costs?{view.query}")


@require_POST
@login_required
def removal(request: Any, view_id: str) -> HttpResponse:
    """Throws one of one's own away. Raises `NotFound` for any other."""
    request.toast(f"The view {drop_view(request.actor, 'costs', view_id)} is removed.")
    return redirect("costs")
