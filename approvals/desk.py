"""What stands around a request on its page: who is at it, what was said, its rounds, its trail, earlier decisions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone

from approvals.actions.decide_many import risk_of
from approvals.models import Delegation, Docket, Remark
from approvals.questions import is_question
from approvals.voting import missing_teams
from flows.access.actor import Actor
from flows.access.querysets import requests_for
from flows.engine.problems import DocumentError
from flows.models import AuditRow, Person, Request
from flows.runs.documents import document_of

EARLIER = 5
MOST_TRAIL = 100
ROUND = re.compile(r"([a-z][a-z0-9_]*)\[(\d+)\]")
ACTS = {
    "approval.request": "asked",
    "approval.view": "opened it",
    "approval.claim": "claimed it",
    "approval.release": "gave it up",
    "approval.assign": "assigned it",
    "approval.delegate": "handed it over",
    "approval.comment": "commented",
    "approval.ask": "asked a question",
    "approval.answer": "answered",
    "approval.hold": "decided; it could be undone",
    "approval.undo": "undid the decision",
    "approval.decide": "voted",
    "approval.refuse": "was refused",
    "approval.remind": "reminded",
    "approval.escalate": "handed it up",
    "approval.expire": "let it expire",
}
DOORS = {"page": "web", "api": "API", "cli": "command line", "worker": "system"}


@dataclass(frozen=True, slots=True)
class Trace:
    """One line of the trail."""

    who: str
    act: str
    about: str
    door: str
    at: Any
    revision: Any
    policy: str


@dataclass(slots=True)
class Desk:
    risk: str
    policy: str = ""
    docket: Docket | None = None
    remarks: list[Remark] = field(default_factory=list)
    delegations: list[Delegation] = field(default_factory=list)
    trail: list[Trace] = field(default_factory=list)
    earlier: list[Request] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    round: str = ""
    last_round: bool = False
    colleagues: list[Person] = field(default_factory=list)

    @property
    def claimed(self) -> Person | None:
        """Who says to be at it now."""
        docket = self.docket
        if docket is None or docket.claimed_until is None or docket.claimed_until <= timezone.now():
            return None
        return docket.claimed_by


def desk_of(actor: Actor, request: Request) -> Desk:
    """Everything that stands around the request, which has its docket loaded; a constant number of queries."""
    desk = Desk(risk_of(request), _policy(request))
    desk.docket = getattr(request, "docket", None)
    desk.remarks = list(request.remarks.select_related("person", "to").order_by("id"))
    desk.delegations = list(request.delegations.filter(ended_at__isnull=True).select_related("giver", "taker"))
    desk.trail = _trail(request)
    desk.earlier = _earlier(actor, request)
    desk.round, desk.last_round = round_of(request)
    desk.colleagues = list(Person.objects.filter(is_active=True).exclude(username=actor.name).order_by("username")[:200])
    if request.terms.get("each_team"):
        votes = request.votes.filter(revision=request.revision).select_related("person", "on_behalf_of")
        meanings = request.terms.get("outcomes") or {}
        desk.missing = missing_teams(request, [vote for vote in votes if meanings.get(vote.outcome) == "approve"])
    return desk


def _policy(request: Request) -> str:
    terms = request.terms
    return f"{terms.get('policy_name') or terms['policy']} (v{terms['policy_version']})" if terms.get("policy_version") else ""


def _trail(request: Request) -> list[Trace]:
    rows = AuditRow.objects.filter(subject_kind="request", subject=request.public_id).select_related("actor").order_by("id")
    return [
        Trace(
            str(row.actor) if row.actor is not None else row.actor_name,
            ACTS.get(row.action, row.action),
            _about(row.action, row.data),
            DOORS.get(row.door, row.door),
            row.at,
            row.data.get("revision", ""),
            str(row.data.get("policy", "")),
        )
        for row in rows[:MOST_TRAIL]
    ]


def _about(action: str, data: dict[str, Any]) -> str:
    if action in ("approval.decide", "approval.hold", "approval.undo", "approval.expire"):
        return str(data.get("outcome", ""))
    if action == "approval.refuse":
        return f"{data.get('tried', '')}: {data.get('said', '')}"
    to = data.get("to")
    return ", ".join(to) if isinstance(to, list) else str(to or "")


def _earlier(actor: Actor, request: Request) -> list[Request]:
    """What was decided last under the same policy, or, without one, in the same step of the flow."""
    decided = requests_for(actor).filter(kind=request.kind, decided_by__isnull=False).exclude(id=request.id)
    if request.terms.get("policy_version"):
        decided = decided.filter(terms__policy=request.terms["policy"])
    elif request.run is not None:
        decided = decided.filter(run__flow=request.run.flow_id, path=request.path)
    else:
        return []
    return list(decided.select_related("decided_by", "run").order_by("-decided_at")[:EARLIER])


def round_of(request: Request) -> tuple[str, bool]:
    """ "round 2 of 5", and whether it is the last, where the request stands in a loop of its run's own flow."""
    if request.run is None or is_question(request) or "/" in request.path:
        return "", False
    found = ROUND.findall(request.path)
    if not found:
        return "", False
    key, index = found[-1]
    try:
        document = document_of(request.run.version_id)
    except DocumentError:
        return "", False
    most = _most_rounds(document.steps, key)
    if most is None:
        return "", False
    return f"round {int(index) + 1} of {most}", int(index) + 1 >= most


def _most_rounds(steps: Any, key: str) -> int | None:
    for name, step in steps.items():
        kind, given = (step.get("kind"), step.get("with") or {}) if isinstance(step, dict) else (step.kind, step.with_)
        if name == key and kind == "loop":
            most = given.get("max")
            return most if isinstance(most, int) else None
        body = given.get("body")
        if isinstance(body, dict) and isinstance(body.get("steps"), dict):
            inner = _most_rounds(body["steps"], key)
            if inner is not None:
                return inner
    return None
