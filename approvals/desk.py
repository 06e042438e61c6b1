"""What stands around a request on its page: who is at it, what was said, its rounds, its trail, earlier decisions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone

from approvals.actions.decide_many import risk_of
from approvals.models import Docket
from approvals.questions import is_question
from approvals.record import Colleague, Earlier, HandedOver, Record, RemarkLine, TrailRow
from approvals.voting import missing_teams
from flows.engine.problems import DocumentError
from flows.models import Person, Request
from flows.runs.documents import document_of

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
    docket: Docket | None = None
    remarks: list[RemarkLine] = field(default_factory=list)
    delegations: list[HandedOver] = field(default_factory=list)
    trail: list[Trace] = field(default_factory=list)
    earlier: list[Earlier] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    round: str = ""
    last_round: bool = False
    next_round: str = ""
    colleagues: list[Colleague] = field(default_factory=list)

    @property
    def claimed(self) -> Person | None:
        """Who says to be at it now."""
        docket = self.docket
        if docket is None or docket.claimed_until is None or docket.claimed_until <= timezone.now():
            return None
        return docket.claimed_by


def desk_of(request: Request, record: Record) -> Desk:
    """What stands around the request, which has its docket loaded. Teams that must still agree are looked up where there are any."""
    desk = Desk(risk_of(request), getattr(request, "docket", None))
    desk.remarks, desk.delegations = record.remarks, record.delegations
    desk.trail = [_trace(row) for row in record.trail]
    desk.earlier, desk.colleagues = record.earlier, record.colleagues
    number, most = round_of(request)
    if most:
        desk.round, desk.last_round = f"round {number} of {most}", number >= most
        desk.next_round = "" if desk.last_round else f"round {number + 1} of {most}"
    if request.terms.get("each_team"):
        meanings = request.terms.get("outcomes") or {}
        cast = [vote for vote in record.votes if vote.revision == request.revision]
        desk.missing = missing_teams(request, [vote for vote in cast if meanings.get(vote.outcome) == "approve"])
    return desk


def _trace(row: TrailRow) -> Trace:
    return Trace(
        row.who,
        ACTS.get(row.action, row.action),
        _about(row.action, row.data),
        DOORS.get(row.door, row.door),
        row.at,
        row.data.get("revision", ""),
        str(row.data.get("policy", "")),
    )


def _about(action: str, data: Mapping[str, Any]) -> str:
    if action in ("approval.decide", "approval.hold", "approval.undo", "approval.expire"):
        return str(data.get("outcome", ""))
    if action == "approval.refuse":
        return f"{data.get('tried', '')}: {data.get('said', '')}"
    to = data.get("to")
    return ", ".join(to) if isinstance(to, list) else str(to or "")


def round_of(request: Request) -> tuple[int, int]:
    """Which round it is, and of how many, where the request stands in a loop of its run's own flow; else 0 of 0."""
    if request.run is None or is_question(request) or "/" in request.path:
        return 0, 0
    found = ROUND.findall(request.path)
    if not found:
        return 0, 0
    key, index = found[-1]
    try:
        document = document_of(request.run.version_id)
    except DocumentError:
        return 0, 0
    most = _most_rounds(document.steps, key)
    return (int(index) + 1, most) if most is not None else (0, 0)


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
