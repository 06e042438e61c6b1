"""Addresses that lead elsewhere, and what the shell asks for."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from flows.access.querysets import flows_for, requests_for, runs_for
from flows.access.refusals import NotFound
from flows.models.identifiers import UnknownIdentifier, parsed
from orchestrator.pages.middleware import zone_named
from orchestrator.pages.shell import DENSITIES, KEYS, MOTIONS, NAVS, STARTS, THEMES, TIMES, Shell

YEAR = 365 * 24 * 3600
LOOKS = {
    "theme": THEMES,
    "density": DENSITIES,
    "nav": NAVS,
    "times": TIMES,
    "keys": KEYS,
    "motion": MOTIONS,
    "start": tuple(STARTS),
}


@require_safe
@login_required
def go(request: Any, what: str) -> HttpResponse:
    """The page of any identifier (``run_…``, ``req_…``, ``flw_…``, ``psg_…``) or of a run's number. Raises `NotFound`."""
    actor = request.actor
    if what.isdigit() and len(what) < 19:
        run = runs_for(actor).filter(number=int(what)).only("id").first()
        if run is not None:
            return redirect(f"/runs/{run.public_id}")
    finders = {"run": (runs_for, "/runs/{}"), "req": (requests_for, "/approvals/{}"), "apr": (requests_for, "/approvals/{}")}
    prefix = what.partition("_")[0]
    try:
        if prefix in finders:
            find, address = finders[prefix]
            if find(actor).filter(id=parsed(prefix, what)).exists():
                return redirect(address.format(what))
        if prefix == "psg":
            return redirect("passage", what)
        if prefix == "flw" and (flow := flows_for(actor).filter(id=parsed("flw", what)).only("slug").first()) is not None:
            return redirect(f"/flows/{flow.slug}")
    except UnknownIdentifier:
        pass
    raise NotFound("object of this identifier")


@require_safe
@login_required
def waiting(request: HttpRequest) -> HttpResponse:
    """The badge of the approvals, anew."""
    return render(request, "shell/waiting.html", {"waiting": Shell(request).waiting})


@require_POST
def look(request: Any) -> HttpResponse:
    """Keeps the chosen looks and habits in the browser."""
    onward = request.POST.get("next", "/")
    if not url_has_allowed_host_and_scheme(onward, {request.get_host()}):
        onward = "/"
    response = redirect(onward)
    for name, allowed in LOOKS.items():
        if request.POST.get(name) in allowed:
            response.set_cookie(name, request.POST[name], max_age=YEAR, samesite="Lax", secure=request.is_secure())
    if "zone" in request.POST:
        _keep_zone(request, response, request.POST["zone"].strip())
    return response


def _keep_zone(request: Any, response: HttpResponse, name: str) -> None:
    """The reader's own time zone; without a name it is the browser's again."""
    if not name:
        response.delete_cookie("zone", samesite="Lax")
    elif zone_named(name) is None:
        request.toast(f"{name[:40]!r} is no time zone. Write one like Europe/Madrid.")
    else:
        response.set_cookie("zone", name, max_age=YEAR, samesite="Lax", secure=request.is_secure())
