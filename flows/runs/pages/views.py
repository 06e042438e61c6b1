"""The filters of a list that somebody keeps under a name: ``/runs/views``, and lists of other rooms."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from flows.runs.actions.keep_view import Page, drop_view, keep_view


@require_POST
@login_required
def views(request: Any) -> HttpResponse:
    """Keeps the choices that the list of runs was made with, or, with ``drop``, throws a view away; shows the list."""
    return kept_or_dropped(request, "runs")


def kept_or_dropped(request: Any, page: Page) -> HttpResponse:
    """What a form of `components/views.html` asks for. The page's address has the page's name."""
    if "drop" in request.POST:
        request.toast(f"The view {drop_view(request.actor, page, request.POST['drop'])} is removed.")
        return redirect(page)
    view = keep_view(request.actor, page, request.POST.get("name", ""), request.POST.get("query", ""))
    request.toast(f"The view {view.name} is kept.")
    return redirect(f"{reverse(page)}{'?' if view.query else ''}{view.query}")
