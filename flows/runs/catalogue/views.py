"""``/models`` and ``/routes/<route>``: how models do, how routes choose, and who uses them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from flows.access.actor import Actor
from flows.access.refusals import Forbidden, Invalid
from flows.access.rights import Right
from flows.runs.actions.try_route import TrialCost
from flows.runs.catalogue.reads import overview, route_page


@require_safe
@login_required
def models(request: Any) -> HttpResponse:
    """The models and routes; `provider` and `capability` narrow the models down. Raises `Forbidden` where one may see no flows."""
    require_sight(request.actor)
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
    return shown_route(request, route)


def shown_route(
    request: Any,
    route: str,
    *,
    trial: Mapping[str, str] | None = None,
    expected: TrialCost | None = None,
    refusal: Invalid | None = None,
) -> HttpResponse:
    """The page of a route with the form of a trial as it was typed, what it would cost, and why it was refused."""
    require_sight(request.actor)
    context = {
        "page": route_page(request.actor, route),
        "may_route": request.actor.may(Right.EDIT_ROUTES),
        "trial": trial or {"max_output": "500", "ceiling": "0.50"},
        "expected": expected,
        "refusal": refusal,
        "summary": "Nothing was asked",
    }
    return render(request, "models/route.html", context, status=refusal.status if refusal is not None else 200)


def require_sight(actor: Actor) -> None:
    """Passes who may see flows somewhere, and so what they ask. Raises `Forbidden`."""
    if not actor.holdings.allow(Right.SEE_FLOWS) and not actor.holdings.teams(Right.SEE_FLOWS):
        raise Forbidden(Right.SEE_FLOWS)
