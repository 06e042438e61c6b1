"""The page of a request, and the one address that decides."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_POST, require_safe

from approvals.actions.hold import decide_or_hold
from approvals.actions.note_view import note_view
from approvals.desk import Desk, desk_of
from approvals.forms import AnswerForm, DecisionForm, form_of
from approvals.listing import row_of
from approvals.models import HeldDecision
from approvals.queue import Queue, next_of, queue_of
from approvals.reads import request_named
from approvals.record import record_of
from approvals.rules import mask_of_request
from approvals.showing.ahead import ahead_of, spending_from, sums_of
from approvals.showing.page import Context, context_of
from approvals.showing.values import differences
from approvals.showing.words import decided_in_words, urgency_of
from flows.access.actor import Actor
from flows.access.masking import masks_of, tools_of
from flows.access.refusals import Conflict, Forbidden, Invalid, NotFound, Refusal
from flows.engine.canonical import canonical
from flows.engine.states import OPEN_REQUEST_STATES
from flows.execution.requests import AlreadyDecided, ChangedSince
from flows.models import Request

LONGEST_SEEN = 16_000  # characters of the payload that a form brings back, so that a change can be shown


@login_required
@require_safe
def approval(request: Any, request_id: str) -> HttpResponse:
    """What is asked, and how it stands. Looking decides nothing; that somebody has seen it is noted."""
    asked = request_named(request.actor, request_id)
    if request.method == "GET":
        note_view(request.actor, asked)
    return shown(request, asked)


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
    if asked.run is not None and request.POST.get("back") == "run":
        return redirect(f"{reverse('run', args=[asked.run.public_id])}?step={quote(asked.path)}")
    if following and "stay" not in request.POST:
        return redirect(f"{reverse('approval', args=[following])}?from={asked.public_id}")
    return redirect("approval", request_id=request_id)


def lost(request: Any, asked: Request, refusal: Refusal, act: str = "") -> HttpResponse:
    """The page as it is now, with why nothing was done and with what was typed. `act` is what was tried beside deciding."""
    if act:
        faults = " ".join(f"{each.message}. {each.mend}".strip() for each in refusal.problems)
        typed = {"act": act, "to": request.POST.get("to", ""), "text": request.POST.get("text", "")}
        said = f"{refusal.message} {faults[:1].upper()}{faults[1:]}".strip()
        return shown(request, asked, status=refusal.status, refusal_text=said, typed=typed)
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


def shown(
    request: Any, asked: Request, form: DecisionForm | AnswerForm | None = None, status: int = 200, **more: Any
) -> HttpResponse:
    """The page. The tools and masks of the request and its queue are read at once, before anything is shown, a fresh `form` too."""
    queue: Queue = queue_of(request.actor, asked)
    runs = [each.run for each in (asked, *queue.requests) if each.run is not None]
    ahead = ahead_of(asked) if asked.state in OPEN_REQUEST_STATES else {}
    record = record_of(request.actor, asked, tools_of(runs), sums_of(request.actor, asked, ahead))
    masks_of(runs, record.tools)
    page: Context = context_of(request.actor, asked, record, spending_from(ahead, record.sums))
    if queue.waiting is not None:
        request.waiting = queue.waiting  # the badge of the shell
    desk: Desk = desk_of(asked, record)
    seen = canonical(page.mask.read(asked.payload)) if len(asked.payload) <= LONGEST_SEEN else ""
    context = {
        "page": page,
        "asked": asked,
        "form": form or form_of(asked),
        "urgency": urgency_of(asked),
        "seen": seen,
        "previous": queue.before,
        "next": queue.after,
        "place": queue.place,
        "desk": desk,
        "queue": [row_of(each) for each in queue.requests],
        "undo": undo_of(request),
        "decided_before": _decided_before(request),
        "at_run": "run" in (request.POST.get("back"), request.GET.get("at")),  # whose decision leads back to the page of the run
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
        return request_named(request.actor, request.GET.get("from", ""))
    except NotFound:
        return None
