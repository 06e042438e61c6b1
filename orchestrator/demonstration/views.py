"""``/settings/demonstration``: how the demonstration stands, what removing it takes away, and what stays."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from flows.access.rights import Right, require
from orchestrator.demonstration.bringing import bring_demonstration
from orchestrator.demonstration.states import can_be_brought, standing
from orchestrator.people.tabs import tabs_for
from orchestrator.seeding.removal import preview_removal, remove_demonstration


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def demonstration(request: Any) -> HttpResponse:
    """The page; sent with ``act=bring`` or ``act=remove`` it does that."""
    require(request.actor, Right.MANAGE_SETTINGS)
    signs: list[tuple[str, str]] = []
    if request.method == "POST":
        if request.POST.get("act") == "remove":
            found = remove_demonstration(request.actor)
            request.toast(
                f"The demonstration is gone: {', '.join(f'{count:,} {what}' for what, count in found.counts[:3])} and more."
            )
            return redirect("settings-demonstration")
        signs = bring_demonstration(request.actor)
        if not signs:
            return redirect("settings-demonstration")
    here = standing()
    context = {
        "tabs": tabs_for(request.actor, "settings-demonstration"),
        "standing": here,
        "leaving": preview_removal(request.actor) if here.state in ("there", "failed") else None,
        "may_come": here.state in ("none", "failed") and can_be_brought(),
        "signs": signs,
    }
    return render(request, "settings/demonstration.html", context)
