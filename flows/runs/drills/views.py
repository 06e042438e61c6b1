"""Fire drills of a flow: starting one, and its report, which grows while it goes on."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from flows.access.refusals import Refusal
from flows.access.rights import Right, require
from flows.runs.actions.pin_output import flow_to_test
from flows.runs.actions.start_drill import start_drill
from flows.runs.drills.reading import PLAYED, TITLES, drill_report
from flows.runs.drills.reads import drill_named, drills_of


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def drills(request: Any, slug: str) -> HttpResponse:
    """GET: what a drill rehearses, and the newest ones. POST: starts one."""
    flow = flow_to_test(request.actor, slug)
    require(request.actor, Right.SEE_RUNS, flow)
    refusal: Refusal | None = None
    if request.method == "POST":
        try:
            started = start_drill(request.actor, slug, draft=request.POST.get("version") == "draft")
        except Refusal as why:
            if why.status in (403, 404):
                raise
            refusal = why
        else:
            return redirect("flow-drill", slug, started.public_id)
    context = {
        "flow": flow,
        "drills": drills_of(flow),
        "rehearsed": [(TITLES[fault], PLAYED[fault]) for fault in TITLES],
        "refusal": refusal,
        "may_start": flow.archived_at is None and flow.paused_at is None and request.actor.may(Right.START_RUNS, flow.team_id),
        "may_draft": request.actor.may(Right.EDIT_FLOWS, flow.team_id),
    }
    return render(request, "drills/list.html", context, status=refusal.status if refusal is not None else 200)


@require_safe
@login_required
def drill(request: Any, slug: str, drill_id: str) -> HttpResponse:
    """The report of one drill; `part=report` gives its region, which the page asks for until the drill has ended."""
    flow = flow_to_test(request.actor, slug)
    require(request.actor, Right.SEE_RUNS, flow)
    report = drill_report(drill_named(flow, drill_id))
    context = {"flow": flow, "report": report}
    return render(request, "drills/_report.html" if request.GET.get("part") == "report" else "drills/detail.html", context)
