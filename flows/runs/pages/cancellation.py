"""``/runs/<run>/cancellation``: asked for by GET, done by POST."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from flows.access.rights import Right, require
from flows.runs.actions.cancel_run import cancel_run
from flows.runs.reads import run_named


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def cancellation(request: Any, run_id: str) -> HttpResponse:
    """Asks whether to cancel the run, and cancels it. Raises `NotFound`, `Forbidden` naming the right, and `RunEnded`."""
    run = run_named(request.actor, run_id)
    require(request.actor, Right.CONTROL_RUNS, run)
    if request.method != "POST":
        return render(request, "runs/cancellation.html", {"run": run})
    cancelled = cancel_run(request.actor, run)
    request.toast(f"Run #{run.number} {'is' if cancelled.status == 'cancelled' else 'is being'} cancelled.")
    return redirect("run", run_id)
