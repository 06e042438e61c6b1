"""``/runs/<run>/cancellation``, ``/pause``, ``/resumption``: asked for by GET, done by POST."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from flows.access.refusals import Conflict
from flows.access.rights import Right, require
from flows.runs.pages.acts import ACTS
from flows.runs.reads import run_named


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def confirmation(request: Any, run_id: str, act: str) -> HttpResponse:
    """Asks whether to do it, and does it. Where the run moved on meanwhile, the page says so. Raises `NotFound`, `Forbidden`."""
    wanted = ACTS[act]
    run = run_named(request.actor, run_id)
    require(request.actor, Right.CONTROL_RUNS, run)
    context: dict[str, Any] = {"run": run, "act": wanted, "doing": wanted.label}
    if request.method != "POST":
        return render(request, "runs/confirmation.html", context)
    try:
        done = wanted.verb(request.actor, run)
    except Conflict as refusal:
        return render(request, "runs/confirmation.html", context | {"refused": refusal}, status=refusal.status)
    request.toast(wanted.said(done))
    return redirect("run", run_id)
