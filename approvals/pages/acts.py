"""What people do about a request beside deciding: each a noun with its own address, each calling the verb of its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from approvals.actions.assign import assign
from approvals.actions.claim import claim
from approvals.actions.delegate import delegate_request
from approvals.actions.hold import undo_decision
from approvals.actions.remark import ask_somebody, comment
from approvals.pages.request import lost
from approvals.reads import request_named
from flows.access.actor import Actor
from flows.access.refusals import NotFound, Refusal
from flows.models import Request

Act = Callable[[Actor, Request, Any], str]


def _claim(actor: Actor, asked: Request, given: Any) -> str:
    release = given.get("act") == "release"
    claim(actor, asked, release=release)
    return "Given up." if release else "Claimed for ten minutes."


def _assign(actor: Actor, asked: Request, given: Any) -> str:
    to = given.get("to", "").strip()
    assign(actor, asked, to or None)
    return f"Assigned to {to}." if to else "Everybody may decide again who could before."


def _delegate(actor: Actor, asked: Request, given: Any) -> str:
    made = delegate_request(actor, asked, given.get("to", ""))
    return f"{made.taker} may decide in your place."


def _comment(actor: Actor, asked: Request, given: Any) -> str:
    comment(actor, asked, given.get("text", ""))
    return "Your comment is kept."


def _ask(actor: Actor, asked: Request, given: Any) -> str:
    made = ask_somebody(actor, asked, given.get("to", ""), given.get("text", ""))
    return f"{made.to} is asked. The deadline goes on counting."


def _undo(actor: Actor, asked: Request, given: Any) -> str:
    undo_decision(actor, asked.id)
    return "Undone. Nothing was decided."


ACTS: dict[str, Act] = {
    "claim": _claim,
    "assignment": _assign,
    "delegation": _delegate,
    "comments": _comment,
    "questions": _ask,
    "undo": _undo,
}


@require_POST
def act(request: Any, request_id: str, name: str) -> HttpResponse:
    """Does one of them. Where it is refused the page says why, and keeps what was typed."""
    if not request.user.is_authenticated:
        return redirect_to_login(reverse("approval", kwargs={"request_id": request_id}))
    asked = request_named(request.actor, request_id)
    try:
        request.toast(ACTS[name](request.actor, asked, request.POST))
    except NotFound:
        raise
    except Refusal as refusal:
        return lost(request, request_named(request.actor, request_id), refusal, act=name)
    return redirect("approval", request_id=request_id)
