"""Requests in words: what was decided, what a deadline does, how urgent it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from approvals.questions import DECIDED, is_question
from flows.models import Request

VERBS = {
    "approved": "Approved",
    "rejected": "Rejected",
    "changes_requested": "Changes requested",
    "expired": "Expired",
    "withdrawn": "Withdrawn",
}


@dataclass(frozen=True, slots=True)
class Urgency:
    """How a deadline is shown: calm, then soon at half of the time, then urgent at a fifth."""

    level: str
    words: str


def decided_in_words(request: Request) -> str:
    """Who decided what: "Approved by First approver"."""
    verb = VERBS.get(request.state, request.state)
    if request.state == "withdrawn":
        return "Withdrawn: its run has ended" if not is_question(request) else "Withdrawn: it is not needed any more"
    if is_question(request) and request.outcome in DECIDED:
        verb = DECIDED[request.outcome]
        return f"{verb} by {request.decided_by}" if request.decided_by is not None else verb
    outcome = request.outcome
    odd = outcome and outcome.lower() not in verb.lower() and not verb.lower().startswith(outcome.lower()[:6])
    name = f"{verb} (“{outcome}”)" if odd else verb
    return f"{name} by {request.decided_by}" if request.decided_by is not None else name


def deadline_in_words(request: Request) -> str:
    """What happens when the time is over."""
    chosen = request.terms.get("at_deadline")
    outcomes = request.terms.get("outcomes") or {}
    if request.due is None:
        return ""
    if request.terms.get("escalated"):
        return "The time is over; it stays open and was escalated."
    if isinstance(chosen, str) and outcomes.get(chosen) == "reject":
        return f"Then it is decided as “{chosen}”."
    return "Then it stays open and is escalated."


def rung_in_words(rung: Mapping[str, Any]) -> str:
    """One rung: "after 2h it is handed up to legal"."""
    names = ", ".join([*rung.get("people", []), *rung.get("teams", [])])
    to = f" to {names}" if names else ""
    does = {"remind": "those who may decide are reminded", "escalate": f"it is handed up{to}", "reject": "it is rejected"}
    return f"after {rung.get('words', '')} {does.get(str(rung.get('act')), '')}"


def urgency_of(request: Request, now: datetime | None = None) -> Urgency:
    """Calm until half of the time is left, then soon, at a fifth urgent; each with its word."""
    if request.due is None:
        return Urgency("none", "no deadline")
    left = request.due - (now or timezone.now())
    whole = max(request.due - request.created_at, timedelta(seconds=1))
    if left <= timedelta(0):
        return Urgency("urgent", "overdue")
    share = left / whole
    return Urgency("urgent", "urgent") if share <= 0.2 else Urgency("soon", "soon") if share <= 0.5 else Urgency("calm", "due")
