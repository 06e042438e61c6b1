"""``/models`` and ``/routes/<route>``: how models do, how routes choose, and who uses them."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from flows.access.actor import Actor
from flows.access.refusals import Forbidden
from flows.access.rights import Right
from flows.runs.catalogue.reads import overview, route_page


@require_safe
@login_required
def models(request: Any) -> HttpResponse:
    """The models and routes; `provider` and `capability` narrow the models down. Raises `Forbidden` where one may see no flows."""
    _require(request.actor)
    found = overview(request.actor)
    provider, capability = request.GET.get("provider", ""), request.GET.get("capability", "")
    shown = [
        each
        for each in found.models
        if (not provider or each.provider == provider) and (not capability or capability in each.model.capabilities)
    ]
    context = {
        "overview": found,
        "models": shown,
        "provider": provider,
        "capability": capability,
        "providers": sorted({each.provider for each in found.models}),
        "may_manage": request.actor.may(Right.MANAGE_CATALOGUE),
        "may_route": request.actor.may(Right.EDIT_ROUTES),
        "capabilities": sorted({name for each in found.models for name in each.model.capabilities}),
    }
    return render(request, "models/list.html", context)


@require_safe
@login_required
def route_view(request: Any, route: str) -> HttpResponse:
    """One route. Raises `NotFound`, and `Forbidden` where one may see no flows."""
    _require(request.actor)
    context = {"page": route_page(request.actor, route), "may_route": request.actor.may(Right.EDIT_ROUTES)}
    return render(request, "models/route.html", context)


def _require(actor: Actor) -> None:
    if not actor.holdings.allow(Right.SEE_FLOWS) and not actor.holdings.teams(Right.SEE_FLOWS):
        raise Forbidden(Right.SEE_FLOWS)
