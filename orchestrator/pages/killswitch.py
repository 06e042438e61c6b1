"""``/killswitch``: asked for by GET, thrown and released by POST; and the banner that stands on every page while it is on."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_safe

from flows.access.rights import Right, require
from flows.runs.actions.throw_switch import throw_switch
from orchestrator.pages.shell import Shell


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def killswitch(request: Any) -> HttpResponse:
    """Says what the switch does and whether it is on; throws or releases it. Raises `Forbidden`, and `Invalid` without a reason."""
    require(request.actor, Right.THROW_SWITCH)
    if request.method != "POST":
        return render(request, "pages/killswitch.html")
    on = request.POST.get("act") == "throw"
    throw_switch(request.actor, on, request.POST.get("reason", ""))
    request.toast("Everything is stopped: no effect begins." if on else "Released: the runs that were stopped go on.")
    onward = request.POST.get("next", "")
    return redirect(onward if url_has_allowed_host_and_scheme(onward, {request.get_host()}) else "killswitch")


@require_safe
@login_required
def banner(request: HttpRequest) -> HttpResponse:
    """The banner, anew."""
    return render(request, "shell/switch.html", {"switch": Shell(request).switch, "may_release": Shell(request).may_throw_switch})
