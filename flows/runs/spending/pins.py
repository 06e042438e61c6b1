"""``/costs/views``: views of the explorer that somebody keeps, each a name for an address."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from flows.access.actor import Actor
from flows.access.refusals import Fault, Invalid, NotFound
from flows.access.rights import Right, require_somewhere
from flows.models import PinnedView
from flows.runs.spending.wanted import leading, wanted_by

MOST = 30
LONGEST_NAME, LONGEST_QUERY = 60, 1000


@require_POST
@login_required
def pins(request: Any) -> HttpResponse:
    """Keeps a view under a name; one of the same name is replaced. Raises `Forbidden`, and `Invalid` for what is no view."""
    view = pin_view(request.actor, request.POST.get("name", ""), request.POST.get("query", ""))
    request.toast(f"Pinned: {view.name}.")
    return redirect(f"/costs?{view.query}")


@require_POST
@login_required
def removal(request: Any, view_id: str) -> HttpResponse:
    """Takes one of one's own away. Raises `NotFound` for any other."""
    unpin_view(request.actor, view_id)
    return redirect("costs")


def pins_of(actor: Actor) -> list[PinnedView]:
    return list(PinnedView.objects.filter(person=actor.person, page="costs").order_by("name"))


def pin_view(actor: Actor, name: str, query: str) -> PinnedView:
    """Keeps these choices of the explorer for the person alone. Raises `Forbidden`, and `Invalid` naming what is wrong."""
    require_somewhere(actor, Right.SEE_COSTS)
    name = name.strip()
    faults = []
    if not name or len(name) > LONGEST_NAME or "\x00" in name:
        faults.append(Fault("name", "is needed" if not name else "cannot be used", f"At most {LONGEST_NAME} characters."))
    choices = QueryDict(query[:LONGEST_QUERY])
    wanted_by(choices)
    kept = leading(choices).partition("?")[2]
    if len(query) > LONGEST_QUERY:
        faults.append(Fault("query", "is too long", "Choose fewer filters."))
    others = PinnedView.objects.filter(person=actor.person, page="costs").exclude(name=name)
    if others.count() >= MOST:
        faults.append(Fault("name", f"{MOST} views are pinned", "Unpin one first."))
    if faults:
        raise Invalid("The view was not pinned.", problems=faults)
    view, _ = PinnedView.objects.update_or_create(person=actor.person, page="costs", name=name, defaults={"query": kept})
    return view


def unpin_view(actor: Actor, view_id: str) -> None:
    """Takes a pinned view away. Raises `NotFound` where it is not the actor's own."""
    try:
        found = PinnedView.objects.filter(id=UUID(hex=view_id), person=actor.person)
    except ValueError:
        raise NotFound("view") from None
    if not found.delete()[0]:
        raise NotFound("view")
