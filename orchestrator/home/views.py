"""``/``: the first page after signing in, and its cards one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from flows.access.actor import Actor
from flows.access.querysets import flows_for
from flows.access.refusals import NotFound
from flows.access.rights import Right
from orchestrator.demonstration.states import can_be_brought
from orchestrator.home import cards
from orchestrator.home.first import COOKIE, GONE, first_steps, note
from orchestrator.home.notices import notices_now
from orchestrator.pages.navigation import anywhere

CARDS = {
    "needs": Right.SEE_REQUESTS,
    "broken": Right.SEE_RUNS,
    "money": Right.SEE_COSTS,
    "coming": Right.SEE_FLOWS,
    "flight": Right.SEE_RUNS,
}
SCOPES = (("all", "All that I may see"), ("me", "What I started"))
STATE_WORDS = {
    "running": "running",
    "waiting_approval": "need approval",
    "waiting": "waiting",
    "retrying": "retrying",
    "queued": "queued",
}
AWAY = timedelta(minutes=30)
"""Who comes back after so long was away: what happened meanwhile is told."""

YEAR = 365 * 24 * 3600


@require_safe
@login_required
def home(request: Any) -> HttpResponse:
    """The whole page, or with ``card=`` one card as it is now. A card without its right is absent."""
    actor: Actor = request.actor
    scope = request.GET.get("scope", "all") if request.GET.get("scope") in dict(SCOPES) else "all"
    held = [name for name, right in CARDS.items() if anywhere(actor, right)]
    wanted = request.GET.get("card")
    if wanted == "first":
        return render(request, "home/_first.html", {"first": first_steps(request), "may_settings": may_settings(actor)})
    if wanted is not None:
        if wanted not in held:
            raise NotFound("card")
        context = {"scope": scope, "address": f"/?scope={scope}", **_card(actor, wanted, scope)}
        return render(request, f"home/_{wanted}.html", context)
    before, seen = _visits(request)
    notices = notices_now()
    context = {
        "scope": scope,
        "address": f"/?scope={scope}",
        "scopes": [(name, label, name == scope) for name, label in SCOPES],
        "greeting": _greeting(),
        "digest": cards.digest(actor, before, scope, costs="money" in held) if before and "broken" in held else None,
        "held": held,
        "expiring": notices.expiring if actor.may(Right.MANAGE_CATALOGUE) else [],
        "first": first_steps(request) if notices.demonstration else None,
        "may_settings": may_settings(actor),
        "simulated": notices.simulated,
    }
    for name in held:
        context |= _card(actor, name, scope)
    if "needs" in held:
        request.waiting = context["needs"].count
    response = render(request, "home/home.html", context)
    if context["first"] is not None and COOKIE not in request.COOKIES:
        note(request, response, "")
    response.set_cookie("visits", seen, max_age=YEAR, samesite="Lax", secure=request.is_secure(), httponly=True)
    return response


def may_settings(actor: Actor) -> bool:
    return actor.may(Right.MANAGE_SETTINGS)


@require_POST
@login_required
def first_page(request: Any) -> HttpResponse:
    """Puts the list of the first five minutes away, in this browser, for good."""
    response = redirect("home")
    note(request, response, GONE)
    return response


def _card(actor: Actor, name: str, scope: str) -> dict[str, Any]:
    if name == "needs":
        return {"needs": cards.needs(actor)}
    if name == "broken":
        return {"broken": cards.broken(actor, scope), "may_control": anywhere(actor, Right.CONTROL_RUNS)}
    if name == "money":
        return {"money": cards.money(actor)}
    if name == "coming":
        return {"coming": cards.coming_up(actor)}
    flight = cards.in_flight(actor, scope)
    flows = bool(flight.total) or flows_for(actor).exists()
    return {
        "flight": flight,
        "states": [(state, count, STATE_WORDS[state]) for state, count in flight.counts],
        "flows": flows,
        "may_build": anywhere(actor, Right.EDIT_FLOWS),
        "may_bring": not flows and may_settings(actor) and can_be_brought(),
    }


def _greeting() -> str:
    hour = timezone.localtime().hour
    return "Good morning" if 4 <= hour < 12 else "Good afternoon" if 12 <= hour < 18 else "Good evening"


def _visits(request: HttpRequest) -> tuple[datetime | None, str]:
    """When this browser was here before it was away, and what its cookie says from now on: that moment, and this one."""
    now = datetime.now(UTC)
    before, last = (_moment(text) for text in (request.COOKIES.get("visits", "") + ".").split(".")[:2])
    if last is not None and now - last > AWAY:
        before = last
    return before, f"{int(before.timestamp()) if before else ''}.{int(now.timestamp())}"


def _moment(text: str) -> datetime | None:
    return datetime.fromtimestamp(int(text), UTC) if text.isdecimal() and len(text) < 12 else None
