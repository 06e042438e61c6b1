"""The page of the health of this installation."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from flows.access.rights import Right, require
from orchestrator.health.reads import parts
from orchestrator.people.tabs import tabs_for


@login_required
@require_safe
def health_page(request: Any) -> HttpResponse:
    """Each part, whether it is well; and the engines' figures."""
    require(request.actor, Right.MANAGE_SETTINGS)
    found, figures = parts()
    context = {"tabs": tabs_for(request.actor, "settings-health"), "parts": found, "figures": figures}
    return render(request, "settings/health.html", context)
