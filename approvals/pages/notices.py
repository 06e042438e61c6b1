"""One's own approval settings (how one is told, out of office), and the places outside that hear of events."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.views.decorators.http import require_http_methods, require_POST

from approvals.actions.delegate import delegate_all, end_delegation
from approvals.actions.save_channel import KINDS, add_channel, remove_channel, rotate_channel_secret, try_channel
from approvals.actions.save_preference import WAYS, save_preference
from approvals.models import Channel, Delegation
from approvals.notices.notify import EVENTS
from approvals.notices.reads import channel_named, last_notices, preference_of
from approvals.reads import delegation_named
from flows.access.actor import Actor
from flows.access.letters import letters_are_sent
from flows.access.refusals import Fault, Invalid, NotFound, Refusal
from flows.access.rights import Right, require
from flows.models import Person


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def settings_page(request: Any) -> HttpResponse:
    """How one is told, and who decides while one is away."""
    actor: Actor = request.actor
    refusal: Refusal | None = None
    if request.method == "POST":
        try:
            request.toast(_saved(actor, request.POST))
            return redirect("approval-settings")
        except NotFound:
            raise
        except Refusal as failed:
            refusal = failed
    kept = preference_of(actor)
    context = {
        "kept": kept,
        "events": [(name, words, name not in kept.muted) for name, words in EVENTS.items()],
        "ways": WAYS.items(),
        "given": list(Delegation.objects.filter(giver=actor.person, ended_at__isnull=True).select_related("taker", "request")),
        "taken": list(Delegation.objects.filter(taker=actor.person, ended_at__isnull=True).select_related("giver", "request")),
        "colleagues": Person.objects.filter(is_active=True).exclude(username=actor.name).order_by("username")[:200],
        "typed": request.POST,
        "refusal": refusal,
        "mail": letters_are_sent(),
        "in_a_week": (timezone.now() + timedelta(days=7)).isoformat(timespec="seconds"),  # of the command beside the form
    }
    return render(request, "policies/settings.html", context, status=refusal.status if refusal else 200)


def _saved(actor: Actor, given: Any) -> str:
    """Does what the form asks and says it."""
    if given.get("act") == "delegate":
        day = parse_date(given.get("until", "")) if len(given.get("until", "")) == 10 else None
        if day is None:
            raise Invalid("The date cannot be read.", problems=[Fault("until", "is no date", "Write it like 2026-12-24.")])
        made = delegate_all(actor, given.get("to", ""), datetime.combine(day, time.max, timezone.get_current_timezone()))
        return f"{made.taker} decides in your place until {day:%d %b %Y}."
    if given.get("act") == "end":
        end_delegation(actor, delegation_named(given.get("delegation", "")))
        return "Taken back."
    shown = set(given.getlist("event"))
    save_preference(actor, given.get("email", ""), [name for name in EVENTS if name not in shown])
    return "Saved."


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def channels(request: Any) -> HttpResponse:
    """The places that hear of events, what could not be sent, and a form for another."""
    actor: Actor = request.actor
    require(actor, Right.MANAGE_POLICIES)
    refusal: Invalid | None = None
    secret = ""
    if request.method == "POST":
        given = request.POST
        try:
            _, secret = add_channel(
                actor, given.get("kind", ""), given.get("name", ""), given.get("address", ""), given.getlist("event")
            )
        except Invalid as failed:
            refusal = failed
        else:
            if not secret:
                request.toast("Added.")
                return redirect("approval-channels")
    return _channels(request, secret=secret, refusal=refusal)


@require_POST
@login_required
def channel_act(request: Any, channel_id: str) -> HttpResponse:
    """Tries it, gives it another secret, or removes it."""
    actor: Actor = request.actor
    require(actor, Right.MANAGE_POLICIES)
    channel, act = channel_named(channel_id), request.POST.get("act")
    if act == "secret" and channel.kind == "webhook":
        return _channels(request, secret=rotate_channel_secret(actor, channel))
    if act == "remove":
        remove_channel(actor, channel)
        request.toast(f"{channel.name} hears of nothing any more.")
    else:
        try_channel(actor, channel)
        request.toast(f"A test is on its way to {channel.name}; what became of it is shown below.")
    return redirect("approval-channels")


def _channels(request: Any, *, secret: str = "", refusal: Invalid | None = None) -> HttpResponse:
    context = {
        "channels": Channel.objects.filter(removed_at__isnull=True).order_by("name"),
        "kinds": KINDS,
        "events": EVENTS.items(),
        "secret": secret,
        "refusal": refusal,
        "typed": request.POST if refusal else {},
        "chosen": request.POST.getlist("event") if refusal else [],
        "notices": last_notices(),
    }
    response = render(request, "policies/channels.html", context, status=refusal.status if refusal else 200)
    if secret:
        response["Cache-Control"] = "no-store"
    return response
