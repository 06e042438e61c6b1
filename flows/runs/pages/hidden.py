"""``/runs/<run>/hidden-fields``: what is hidden of a run. Looking at it is an act: a POST, for a minute, in the audit log."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from flows.access.masking import mask_of
from flows.access.rights import Right
from flows.runs.actions.reveal_fields import SECONDS, reveal_fields
from flows.runs.reads import run_named


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def hidden_fields(request: Any, run_id: str) -> HttpResponse:
    """The places of the hidden fields; posted to, their values, which the page takes away again. Raises `NotFound`, `Forbidden`."""
    run = run_named(request.actor, run_id)
    shown = reveal_fields(request.actor, run) if request.method == "POST" else None
    context = {
        "run": run,
        "hides": bool(mask_of(run)),
        "may_reveal": request.actor.may(Right.REVEAL, run.flow.team_id),
        "fields": shown,
        "seconds": SECONDS,
    }
    response = render(request, "runs/_hidden.html" if request.htmx else "runs/hidden.html", context)
    response["Cache-Control"] = "no-store"
    if shown is not None and not request.htmx:
        response["Refresh"] = f"{SECONDS}; url={request.path}"
    return response
