"""The first five minutes: five things to do, each ticked by what is there, and how far the demonstration has come.

The first three and the change of the flow are read from runs, requests and versions. Which pages somebody has looked at stands in this
browser's cookie, as does that they do not want to see the list any more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from flows.access.actor import Actor
from flows.access.rights import Right
from flows.models import Call, Filling, FlowVersion, Request, Run
from flows.models.identifiers import shown
from orchestrator.demonstration.states import Standing, standing_of
from orchestrator.pages.navigation import anywhere

COOKIE = "first"
YEAR = 365 * 24 * 3600
FLOW = "refund_decision"
LOOKED_AT = {"call": "receipt", "flow-comparison": "comparison"}
"""Pages that are noted when they are looked at, by the name of their address."""

GONE = "gone"


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to do: `hint` says how, `url` leads there; no `url` where something else comes first."""

    label: str
    hint: str
    done: bool
    url: str = ""


@dataclass(frozen=True, slots=True)
class FirstSteps:
    standing: Standing
    items: tuple[Item, ...] = ()

    @property
    def done(self) -> int:
        return sum(item.done for item in self.items)

    @property
    def next(self) -> Item | None:
        return next((item for item in self.items if not item.done), None)


def first_steps(request: Any) -> FirstSteps | None:
    """The list for this browser; None where there is no demonstration, for who may do none of it, and where nobody wants to see it.
    At most one query."""
    seen, actor = seen_in(request), request.actor
    if GONE in seen or not any(anywhere(actor, right) for right in (Right.START_RUNS, Right.DECIDE, Right.EDIT_FLOWS)):
        return None
    found: Any = _read().first()
    if found is None:
        return None
    standing = standing_of(found)
    return FirstSteps(standing, _items(found, seen, actor) if standing.state == "there" else ())


def seen_in(request: HttpRequest) -> frozenset[str]:
    return frozenset(request.COOKIES.get(COOKIE, "").split("."))


def note(request: HttpRequest, response: HttpResponse, what: str) -> None:
    """Adds to what this browser has seen."""
    seen = sorted({*seen_in(request), what} - {""})
    response.set_cookie(COOKIE, f".{'.'.join(seen)}", max_age=YEAR, samesite="Lax", secure=request.is_secure(), httponly=True)


class FirstStepsMiddleware:
    """Notes which pages of the list a browser has looked at, where it was shown the list. Stands after the page middleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if COOKIE in request.COOKIES and response.status_code == 200 and request.resolver_match is not None:
            what = LOOKED_AT.get(request.resolver_match.url_name or "")
            if what is not None and what not in seen_in(request):
                note(request, response, what)
        return response


def _read() -> QuerySet[Filling]:
    """The demonstration with all that the list asks: the newest run of the flow that somebody started since, and what became of it."""
    runs = Run.objects.filter(flow__slug=FLOW, purpose="live", started_by__isnull=False, created_at__gt=OuterRef("ended_at"))
    run = Subquery(runs.order_by("-id").values("id")[:1])
    asked = Request.objects.filter(run=OuterRef("mine"))
    versions = FlowVersion.objects.filter(flow__slug=FLOW, number__isnull=False, created_at__gt=OuterRef("ended_at"))
    example = Run.objects.filter(flow__slug=FLOW, purpose="live", status="succeeded").order_by("-id").values("id")[:1]
    return Filling.objects.annotate(mine=run).annotate(
        example=Subquery(example),
        state=Subquery(Run.objects.filter(id=OuterRef("mine")).values("status")[:1]),
        request=Subquery(asked.order_by("-id").values("id")[:1]),
        decided=Exists(asked.filter(decided_by__isnull=False)),
        dearest=Subquery(Call.objects.filter(run=OuterRef("mine"), settled__isnull=False).order_by("-settled").values("id")[:1]),
        tested=Exists(Run.objects.filter(flow__slug=FLOW, purpose="test", created_at__gt=OuterRef("ended_at"))),
        version=Subquery(versions.order_by("-number").values("number")[:1]),
    )


def _items(found: Any, seen: frozenset[str], actor: Actor) -> tuple[Item, ...]:
    """The five; one that somebody may not do leads them nowhere."""
    form = reverse("run-form", args=[FLOW]) + (f"?from={shown('run', found.example)}" if found.example is not None else "")
    run = reverse("run", args=[shown("run", found.mine)]) if found.mine is not None else ""
    went = found.state not in (None, "queued", "running")
    compared = found.tested and found.version is not None and "comparison" in seen
    change = reverse("flow-edit", args=[FLOW]) + "?node=classify&panel=test"
    if found.tested and found.version is not None and not compared:
        change = reverse("flow-comparison", args=[FLOW]) + f"?from=v{found.version - 1}&to=v{found.version}"
    if not anywhere(actor, Right.START_RUNS):
        form = ""
    if not anywhere(actor, Right.EDIT_FLOWS):
        change = ""
    return (
        Item("Run Refund decision", "The form is filled in already; Start run is enough.", found.mine is not None, form),
        Item("Watch it stream", "Its page shows each step as it happens, until it stops for a person.", went, run),
        Item(
            "Approve its request",
            "Sign in as approver-1: nobody approves a run that they started.",
            bool(found.decided),
            reverse("approval", args=[shown("req", found.request)]) if found.request is not None else "",
        ),
        Item(
            "Open the receipt of its dearest call",
            "Tokens times price, to the last digit, and why this model was asked.",
            "receipt" in seen,
            reverse("call", args=[shown("call", found.dearest)]) if found.dearest is not None else "",
        ),
        Item(
            "Change the prompt, test, publish, compare",
            "As builder: change the words of Classify, test it, publish, and see both versions side by side.",
            compared,
            change,
        ),
    )
