"""``/runs/views``: the filters that somebody keeps under a name."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from flows.runs.actions.keep_view import drop_view, keep_view


@require_POST
@login_required
def views(request: Any) -> HttpResponse:
    """Keeps the choices that the list was made with, or, with ``drop``, throws a view away; shows the list."""
    if "drop" in request.POST:
        name = drop_view(request.actor, "runs", request.POST["drop"])
        request.toast(f"The view {name} is removed.")
        return redirect("runs")
    view = keep_view(request.actor, "runs", request.POST.get("name", ""), request.POST.get("query", ""))
    request.toast(f"The view {view.name} is kept.")
    return redirect(f"{reverse('runs')}{'?' if view.query else ''}{view.query}")
