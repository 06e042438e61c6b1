"""The inbox: one box of requests at a time."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from approvals.filters import RISKS, filtered, filters_in
from approvals.listing import PAGE, page_of, rows_of, uuid_of
from approvals.models import Policy
from approvals.reads import box_named, requests_in
from flows.access.actor import Actor
from flows.access.rights import Right
from flows.models import Request

BOXES = {"mine": "Mine", "team": "My teams", "all": "All open", "done": "Decided"}
EMPTY = {
    "mine": (
        "Nothing needs you",
        "Requests that you may decide on appear here by themselves. You may close this page with a good conscience.",
    ),
    "team": ("Nothing waits for your teams", "Everything that your teams were asked is decided."),
    "all": ("Nothing is open", "No run that you may see waits for a person."),
    "done": ("Nothing was decided yet", "Decisions stay here for good: who, when, what, and why."),
}


@login_required
@require_safe
def inbox(request: Any) -> HttpResponse:
    """One box of requests, those that are due first in front; what was decided newest first."""
    actor: Actor = request.actor
    box = box_of(request)
    chosen = filters_in(request.GET)
    newest = box == "done" or chosen.get("sort") == "newest"
    found, older = page_of(filtered(requests_in(actor, box), chosen), request.GET.get("after", ""), newest_first=newest)
    counts = counts_of(actor)
    request.waiting = counts["mine"]  # the badge of the shell
    title, text = EMPTY[box]
    context = {
        "box": box,
        "rows": rows_of(found),
        "tabs": tabs_of(box, counts),
        "counts": counts,
        "older": older,
        "after": request.GET.get("after", ""),
        "news_url": news_address(box, found),
        "filters": chosen,
        "policies": list(Policy.objects.filter(current__isnull=False).order_by("name").values_list("slug", "name")),
        "risks": RISKS,
        "may_manage": actor.may(Right.MANAGE_POLICIES),
        "empty_title": title,
        "empty_text": text,
    }
    return render(request, "approvals/inbox.html", context)


@login_required
@require_safe
def news(request: Any) -> HttpResponse:
    """What changed in a box since the page was drawn: how many are new, and which of those shown are still in it."""
    actor: Actor = request.actor
    box = box_of(request)
    newest = uuid_of(request.GET.get("newest", ""))
    shown = [each for each in map(uuid_of, request.GET.get("shown", "").split(",")[:PAGE]) if each is not None]
    there = requests_in(actor, box)
    still = set(there.filter(id__in=shown).values_list("id", flat=True))
    fresh = there.filter(id__gt=newest).count() if newest is not None else there.count()
    context = {
        "box": box,
        "tabs": tabs_of(box, counts_of(actor)),
        "fresh": fresh,
        "gone": " ".join(f"req_{each.hex}" for each in shown if each not in still),
        "gone_count": sum(each not in still for each in shown),
        "news_url": request.get_full_path(),
    }
    return render(request, "approvals/_news.html", context)


def box_of(request: Any) -> str:
    return box_named(request.GET.get("box", "mine")) or "mine"


def counts_of(actor: Actor) -> dict[str, int]:
    """How many requests are in each open box, through the queries that the boxes themselves use."""
    return {box: requests_in(actor, box).order_by().count() for box in ("mine", "team", "all")}


def tabs_of(box: str, counts: dict[str, int]) -> list[dict[str, Any]]:
    address = reverse("approvals")
    return [
        {"label": label, "url": f"{address}?box={name}", "current": name == box, "count": counts.get(name)}
        for name, label in BOXES.items()
    ]


def news_address(box: str, found: list[Request]) -> str:
    newest = max((each.id for each in found), default=None)
    shown = ",".join(each.id.hex for each in found)
    return f"{reverse('approvals-news')}?box={box}&newest={newest.hex if newest else ''}&shown={shown}"
