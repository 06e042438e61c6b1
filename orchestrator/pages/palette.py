"""What the palette finds beside the pages: flows, runs, requests and people, as far as one may see them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import JsonResponse, QueryDict
from django.urls import reverse
from django.views.decorators.http import require_safe

from approvals.reads import by_due, requests_in
from flows.access.actor import Actor
from flows.access.querysets import flows_for
from flows.access.refusals import Refusal
from flows.access.rights import Right
from flows.models import Person
from flows.runs.listing import matching, wanted_by

MOST = 5  # of each kind
FILTERS = ("state", "flow", "tag", "source", "error", "started", "by")


@dataclass(frozen=True, slots=True)
class Found:
    """One thing: `section` is the heading under which it stands."""

    section: str
    label: str
    detail: str
    icon: str
    href: str


@require_safe
@login_required
def search(request: Any) -> JsonResponse:
    """``?q=``: at most five of each kind; ``state:failed flow:refund`` asks for runs as their list does."""
    text = request.GET.get("q", "").replace("\x00", "").strip()[:200]
    found = list(_everything(request.actor, text)) if text else []
    names = Found.__slots__
    return JsonResponse({"found": [{name: getattr(each, name) for name in names} for each in found]})


def _everything(actor: Actor, text: str) -> Iterator[Found]:
    chosen = dict(word.split(":", 1) for word in text.split() if word.partition(":")[0] in FILTERS and ":" in word)
    if chosen:
        yield from _runs(actor, chosen)
        return
    named = Q(name__icontains=text) | Q(slug__icontains=text)
    for flow in flows_for(actor).filter(named, archived_at__isnull=True).order_by("name").only("slug", "name")[:MOST]:
        yield Found("Flows", flow.name, "", "flows", reverse("flow", args=[flow.slug]))
    yield from _runs(actor, {"q": text})
    for asked in by_due(requests_in(actor, "all").filter(title__icontains=text)).defer("payload", "show")[:MOST]:
        flow_name = asked.asking_flow.name if asked.asking_flow is not None else ""
        yield Found("Approvals", asked.title, flow_name, "approvals", reverse("approval", args=[asked.public_id]))
    if actor.holdings.allow(Right.MANAGE_PEOPLE):
        people = Person.objects.filter(Q(username__icontains=text) | Q(name__icontains=text)).order_by("username")
        for person in people[:MOST]:
            yield Found("People", str(person), person.username, "person", reverse("settings-person", args=[person.username]))


def _runs(actor: Actor, chosen: dict[str, str]) -> Iterator[Found]:
    """The newest runs that the list would show, and, where there are filters, the list itself."""
    query = QueryDict(mutable=True)
    query.update(chosen)
    address = f"{reverse('runs')}?{query.urlencode(safe=',:!')}"
    try:
        runs = list(matching(actor, wanted_by(query))[:MOST])
    except Refusal:
        return
    if "q" not in chosen:
        yield Found("Runs", "All that match", "", "runs", address)
    for run in runs:
        yield Found(
            "Runs",
            f"{run.flow.name} #{run.number}",
            run.status.replace("_", " "),
            run.status,
            reverse("run", args=[run.public_id]),
        )
