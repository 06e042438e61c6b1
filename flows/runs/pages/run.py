"""``/runs/<run>``: one run. Each region of the page has an address of its own and is rendered by the same few lines."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from flows.access.refusals import NotFound
from flows.access.rights import Right, require
from flows.runs.pages.viewing.tabs import REGIONS, RunView


@require_safe
@login_required
def page(request: Any, run_id: str) -> HttpResponse:
    """The whole page."""
    view = RunView(request, run_id)
    if view.tab == "cost":
        require(view.actor, Right.SEE_COSTS, view.run)
    return render(request, "runs/run.html", {"view": view, "run": view.run})


@require_safe
@login_required
def region(request: Any, run_id: str, name: str) -> HttpResponse:
    """One region anew. What it links to is the page, with the same choices."""
    if name not in REGIONS:
        raise NotFound("region of this name")
    view = RunView(request, run_id)
    if name == "cost":
        require(view.actor, Right.SEE_COSTS, view.run)
    request.path = view.url
    return render(request, f"runs/_{name}.html", {"view": view, "run": view.run})
