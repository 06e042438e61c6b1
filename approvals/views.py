"""The inbox, the page of a request, and the one address that decides."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.db.models import Count, F, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_POST, require_safe

from approvals.actions.decide_many import risk_of
from approvals.actions.hold import decide_or_hold
from approvals.actions.note_view import note_view
from approvals.context import Context, Urgency, context_of, decided_in_words, differences, tool_in, urgency_of
from approvals.desk import Desk, desk_of
from approvals.filters import RISKS, filtered, filters_in
from approvals.forms import AnswerForm, DecisionForm, form_of
from approvals.models import HeldDecision, Policy
from approvals.questions import is_question
from approvals.reads import by_due, requests_in
from approvals.rules import mask_of_request
from flows.access.actor import Actor
from flows.access.masking import masks_of, tools_of
from flows.access.querysets import requests_for
from flows.access.refusals import Conflict, Forbidden, Invalid, NotFound, Refusal
from flows.access.rights import Right
from flows.engine.canonical import canonical
from flows.engine.states import OPEN_REQUEST_STATES
from flows.execution.requests import AlreadyDecided, ChangedSince
from flows.models import Request, ToolEntry
from flows.models.identifiers import UnknownIdentifier, parsed

PAGE = 50
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
LONGEST_SEEN = 16_000  # characters of the payload that a form brings back, so that a change can be shown
SUMMARY_FIELDS = 3


@dataclass(frozen=True, slots=True)
class Row:
    """A request in the inbox."""

    request: Request
    urgency: Urgency
    summary: list[tuple[str, str]]
    quorum: int
    voted: int
    risk: str
    claimed: str
    assigned: str

    @property
    def decided(self) -> str:
        return decided_in_words(self.request)


# --- the inbox


@login_required
@require_safe
def inbox(request: Any) -> HttpResponse:
    """One box of requests, those that are due first in front; what was decided newest first."""
    actor: Actor = request.actor
    box = box_of(request)
    chosen = filters_in(request.GET)
    found, older = page_of(filtered(requests_in(actor, box), chosen), box, request.GET.get("after", ""))
    counts = counts_of(actor)
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
    box = request.GET.get("box", "mine")
    return {"decided": "done"}.get(box, box if box in BOXES else "mine")


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


def page_of(requests: QuerySet[Request], box: str, after: str) -> tuple[list[Request], str]:
    """Fifty requests behind a place in the list, and the place behind them; empty where there are no more."""
    agreed = Count("votes", filter=Q(votes__revision=F("revision")))
    listed: Any = requests.select_related("docket__claimed_by", "docket__assigned_to").annotate(agreed=agreed)
    if box == "done":
        last = uuid_of(after)
        found = list((listed.filter(id__lt=last) if last is not None else listed)[: PAGE + 1])
        return found[:PAGE], found[PAGE - 1].id.hex if len(found) > PAGE else ""
    ordered: Any = by_due(listed)
    if after:
        ordered = ordered.filter(behind(after))
    found = list(ordered[: PAGE + 1])
    last_shown = found[PAGE - 1] if len(found) > PAGE else None
    return found[:PAGE], f"{last_shown.due.isoformat() if last_shown.due else ''}_{last_shown.id.hex}" if last_shown else ""


def behind(place: str) -> Q:
    """The condition of coming after a place in the order of deadlines; a place that cannot be read is the beginning."""
    text, _, last = place.rpartition("_")
    identifier = uuid_of(last)
    if identifier is None:
        return Q()
    try:
        due: datetime | None = parse_datetime(text.replace(" ", "+")) if text else None
    except ValueError:
        due = None
    if due is None:
        return Q(due__isnull=True, id__gt=identifier)
    return Q(due__gt=due) | Q(due=due, id__gt=identifier) | Q(due__isnull=True)


def uuid_of(text: str) -> UUID | None:
    try:
        return UUID(hex=text) if len(text) == 32 else None
    except ValueError:
        return None


def rows_of(requests: list[Request]) -> list[Row]:
    masks_of([each.run for each in requests if each.run is not None])
    return [row_of(each) for each in requests]


def row_of(each: Request) -> Row:
    payload = mask_of_request(each).read(each.payload) if not is_question(each) else {}
    fields = payload.items() if isinstance(payload, dict) else []
    summary = [(name, str(value)[:80]) for name, value in fields if isinstance(value, (str, int, float)) and str(value)][
        :SUMMARY_FIELDS
    ]
    docket = getattr(each, "docket", None)
    claimed = docket.claimed_by if docket is not None and docket.claimed_until and docket.claimed_until > timezone.now() else None
    return Row(
        each,
        urgency_of(each),
        summary,
        max(1, int(each.terms.get("quorum") or 1)),
        getattr(each, "agreed", 0),
        risk_of(each),
        str(claimed or ""),
        str((docket.assigned_to if docket is not None else None) or ""),
    )


# --- one request


@login_required
@require_safe
def approval(request: Any, request_id: str) -> HttpResponse:
    """What is asked, and how it stands. Looking decides nothing; that somebody has seen it is noted."""
    asked = request_named(request.actor, request_id)
    if request.method == "GET":
        note_view(request.actor, asked)
    return shown(request, asked, form_of(asked))


@login_required
@require_safe
def approval_news(request: Any, request_id: str) -> HttpResponse:
    """What has become of a request since the page was drawn."""
    asked = request_named(request.actor, request_id)
    seen = request.GET.get("revision", "")
    return render(request, "approvals/_request_news.html", news_of(asked, seen))


@require_POST
def decisions(request: Any, request_id: str) -> HttpResponse:
    """Decides. Where something else came first the page says so, and keeps what was typed."""
    if not request.user.is_authenticated:
        return redirect_to_login(reverse("approval", kwargs={"request_id": request_id}))
    actor: Actor = request.actor
    asked = request_named(actor, request_id)
    form = form_of(asked, request.POST)
    outcome, revision = request.POST.get("outcome", ""), request.POST.get("revision", "")
    valid = form.is_valid()
    meaning = (asked.terms.get("outcomes") or {}).get(outcome)
    if not valid and (meaning == "approve" or "comment" in form.errors):
        return shown(request, asked, form, status=422)
    try:
        payload = form.payload(outcome)
        number = int(revision) if revision.isdecimal() and len(revision) < 10 else -1
        comment = form.cleaned_data.get("comment", "")
        decision = decide_or_hold(actor, asked.id, outcome, number, payload, comment, request.POST.get("confirm", ""))
    except NotFound:
        raise
    except (Conflict, Forbidden, Invalid) as refusal:
        return lost(request, request_named(actor, request_id), refusal)
    title = asked.title if len(asked.title) < 80 else f"{asked.title[:79]}…"
    following = next_of(actor, asked)
    if isinstance(decision, HeldDecision):
        request.session["undo"] = {"id": asked.public_id, "title": title, "outcome": outcome, "until": decision.until.isoformat()}
    elif decision.closed:
        request.toast(f"{decided_in_words(decision.request).partition(' by ')[0]}: {title}")
    else:
        request.toast(f"Your vote is kept, {decision.votes} of {decision.quorum}: {title}")
    if following and "stay" not in request.POST:
        return redirect(f"{reverse('approval', args=[following])}?from={asked.public_id}")
    return redirect("approval", request_id=request_id)


def next_of(actor: Actor, decided: Request) -> str:
    """The request that follows in the order of deadlines among those that still wait for the actor; the first where none does."""
    waiting = by_due(requests_in(actor, "mine").exclude(id=decided.id))
    place = f"{decided.due.isoformat() if decided.due else ''}_{decided.id.hex}"
    found = waiting.filter(behind(place)).first() or waiting.first()
    return found.public_id if found is not None else ""


def lost(request: Any, asked: Request, refusal: Refusal, act: str = "") -> HttpResponse:
    """The page as it is now, with why nothing was done and with what was typed. `act` is what was tried beside deciding."""
    if act:
        faults = " ".join(f"{each.message}. {each.mend}".strip() for each in refusal.problems)
        typed = {"act": act, "to": request.POST.get("to", ""), "text": request.POST.get("text", "")}
        said = f"{refusal.message} {faults[:1].upper()}{faults[1:]}".strip()
        return shown(request, asked, form_of(asked), status=refusal.status, refusal_text=said, typed=typed)
    form = form_of(asked, request.POST)
    form.is_valid()
    more: dict[str, Any] = {"refusal_text": refusal.message, "kept_comment": request.POST.get("comment", "")}
    kept = {"kept_confirm": request.POST.get("confirm", "")}
    if isinstance(refusal, Invalid):
        form.take(refusal.problems)
        more = {}
    elif isinstance(refusal, AlreadyDecided):
        more["refusal_text"] = f"{decided_in_words(asked)} before you. Nothing was changed by what you sent."
    elif isinstance(refusal, ChangedSince):
        more["changed_rows"] = changes_since(request.POST.get("seen", ""), asked)
    return shown(request, asked, form, status=refusal.status, **more, **kept)


def changes_since(seen: str, asked: Request) -> list[dict[str, str]]:
    """How the payload differs from the one that was shown, as the form brought it back."""
    try:
        before = json.loads(seen) if 0 < len(seen) <= LONGEST_SEEN else None
    except (ValueError, RecursionError):
        return []
    return differences(before, mask_of_request(asked).read(asked.payload)) if before is not None else []


def shown(request: Any, asked: Request, form: DecisionForm | AnswerForm, status: int = 200, **more: Any) -> HttpResponse:
    beside, before, after, place = neighbours(request.actor, asked)
    runs = [each.run for each in (asked, *beside) if each.run is not None]
    tools = ToolEntry.objects.defer("settings").in_bulk({*tools_of(runs), tool_in(asked)})
    masks_of(runs, tools)
    page: Context = context_of(request.actor, asked, tools)
    desk: Desk = desk_of(request.actor, asked)
    seen = canonical(page.mask.read(asked.payload)) if len(asked.payload) <= LONGEST_SEEN else ""
    context = {
        "page": page,
        "asked": asked,
        "form": form,
        "urgency": urgency_of(asked),
        "seen": seen,
        "previous": before,
        "next": after,
        "place": place,
        "desk": desk,
        "queue": [row_of(each) for each in beside],
        "undo": undo_of(request),
        "decided_before": _decided_before(request),
        **news_of(asked, str(asked.revision)),
        **more,
    }
    return render(request, "approvals/detail.html", context, status=status)


def news_of(asked: Request, seen: str) -> dict[str, Any]:
    address = reverse("approval-news", kwargs={"request_id": asked.public_id})
    return {
        "asked": asked,
        "open": asked.state in OPEN_REQUEST_STATES,
        "changed": seen != str(asked.revision),
        "decided": decided_in_words(asked),
        "request_news_url": f"{address}?revision={seen if seen.isdecimal() else ''}",
    }


def request_named(actor: Actor, request_id: str) -> Request:
    """Raises `NotFound` where there is none, or the actor may not see it."""
    try:
        found = requests_for(actor).filter(id=parsed("req", request_id))
    except UnknownIdentifier:
        raise NotFound("request") from None
    request = (
        found.select_related(
            "docket__claimed_by",
            "docket__assigned_to",
            "run__flow__team",
            "flow__team",
            "run__version",
            "run__started_by",
            "decided_by",
            "held__person",
        )
        .defer("run__flow__draft", "run__version__document", "run__input", "run__output")
        .first()
    )
    if request is None:
        raise NotFound("request")
    return request


def neighbours(actor: Actor, asked: Request, most: int = 200) -> tuple[list[Request], str, str, str]:
    """The requests of the inbox around this one, the ones before and after it, and its place: "1 of 7"."""
    waiting = list(by_due(requests_in(actor, "mine")).values_list("id", flat=True)[:most])
    at = waiting.index(asked.id) if asked.id in waiting else -1
    shown_ids = waiting[max(0, at - 5) : max(0, at - 5) + QUEUE]
    found = {
        each.id: each
        for each in requests_in(actor, "all").filter(id__in=shown_ids).select_related("docket__claimed_by", "docket__assigned_to")
    }
    rows = [found[each] for each in shown_ids if each in found]
    if at < 0:
        return rows, "", f"req_{waiting[0].hex}" if waiting else "", ""
    before = f"req_{waiting[at - 1].hex}" if at else ""
    after = f"req_{waiting[at + 1].hex}" if at + 1 < len(waiting) else ""
    return rows, before, after, f"{at + 1} of {len(waiting)}"


QUEUE = 12


def undo_of(request: Any) -> dict[str, str] | None:
    """The decision that the person has just made and can still undo."""
    undo = request.session.get("undo")
    if not isinstance(undo, dict):
        return None
    until = parse_datetime(str(undo.get("until", "")))
    if until is None or until <= timezone.now():
        request.session.pop("undo", None)
        return None
    return undo


def _decided_before(request: Any) -> Request | None:
    """The request from which a decision led here: its row stays in the queue with its outcome."""
    try:
        return (
            requests_for(request.actor).filter(id=parsed("req", request.GET.get("from", ""))).select_related("decided_by").first()
        )
    except UnknownIdentifier:
        return None
