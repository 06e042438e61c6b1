"""``/routes/<route>/versions``: what a route was, what differs between two versions, and going back to one."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from flows.access.refusals import Conflict, Invalid, NotFound
from flows.access.rights import Right
from flows.models import Route
from flows.runs.actions.put_route import roll_back_route
from flows.runs.catalogue.versions import compared, versions_of
from flows.runs.catalogue.views import require_sight


@require_safe
@login_required
def versions(request: Any, route: str) -> HttpResponse:
    """All versions; two of them compared, `from` and `to`, without these the newest two. Raises `NotFound`, and `Forbidden` where one
    may see no flows."""
    require_sight(request.actor)
    return _page(request, route, request.GET.get("from", ""), request.GET.get("to", ""))


@require_POST
@login_required
def rollback(request: Any, route: str) -> HttpResponse:
    """Goes back to version `number` by a new version, where `revision` is the newest."""
    number = _number(request.POST.get("number", ""))
    try:
        put = roll_back_route(request.actor, route, number, version=_number(request.POST.get("revision", "")))
    except (Conflict, Invalid) as refusal:
        return _page(request, route, str(number), "", refusal)
    request.toast(f"{route} v{put.entry.version} is in force; it equals v{number}.")
    return redirect("route", route)


def _page(request: Any, slug: str, before: str, after: str, refusal: Conflict | Invalid | None = None) -> HttpResponse:
    route = Route.objects.filter(slug=slug[:80]).first() if "\x00" not in slug else None
    if route is None:
        raise NotFound(f"route {slug[:80]!r}")
    known = versions_of(slug)
    found = None
    if known:
        found = compared(slug, _number(before) if before else None, _number(after) if after else None)
    context = {
        "route": route,
        "versions": known,
        "found": found,
        "before_label": f"v{found.before.number}" if found is not None else "",
        "after_label": f"v{found.after.number}" if found is not None else "",
        "may_route": request.actor.may(Right.EDIT_ROUTES),
        "refusal": refusal,
        "summary": "Nothing was changed",
    }
    return render(request, "models/versions.html", context, status=refusal.status if refusal is not None else 200)


def _number(text: str) -> int:
    """The number of `v3` or `3`; 0, which none has, where it is no number."""
    text = text.removeprefix("v")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
