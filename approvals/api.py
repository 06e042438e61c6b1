"""Approvals over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from decimal import Decimal
from typing import Annotated, Any, Literal

from django.db.models import Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import Field

from approvals.actions.assign import assign
from approvals.actions.claim import claim
from approvals.actions.decide import decide
from approvals.actions.decide_many import MOST as MOST_TOGETHER
from approvals.actions.decide_many import Chosen, decide_many, risk_of
from approvals.actions.delegate import delegate_all, delegate_request, end_delegation
from approvals.actions.hold import decide_or_hold, undo_decision
from approvals.actions.note_view import note_view
from approvals.actions.remark import ask_somebody, comment
from approvals.filters import Due, Risk, Was, filtered, filters_in
from approvals.models import Delegation, HeldDecision
from approvals.questions import hides_figures
from approvals.reads import BOXES, box_named, delegation_named, identifier_of, request_named, requests_in
from approvals.showing.ahead import Spending, spending_of
from approvals.standing import docket_of
from flows.access.actor import Actor
from flows.access.masking import masks_of
from flows.access.refusals import Fault, Invalid
from flows.access.rights import Right, require_scope
from flows.api.auth import actor_of
from flows.api.paging import MOST, newest_first
from flows.api.problems import ProblemDocument
from flows.api.shapes import Moment, Money, Time
from flows.api.shapes.requests import RequestPage, RequestShape, request_shape
from flows.engine.states import OPEN_REQUEST_STATES
from flows.models import Request

router = Router(tags=["approvals"])


class DecisionIn(Schema, extra="forbid"):
    outcome: str = Field(description="one of the request's outcomes")
    revision: int = Field(description="of the request as it was read; a newer one is not decided")
    payload: Any = Field(None, description="the payload with edits; only editable fields may differ")
    comment: str = ""
    confirm: str = Field("", description="the value that the policy wants typed in order to approve")
    hold: bool = Field(False, description="whether a decision of low risk is held for 5 seconds, so that it can be undone")


class DecisionShape(Schema):
    request: RequestShape
    closed: bool = Field(description="whether this decided the request; else it waits for more votes")
    votes: int
    quorum: int
    missing: list[str] = Field([], description="teams that must still agree")
    held_until: Time | None = Field(None, description="until when it can be undone; it is carried out then")


class RemarkShape(Schema):
    by: str
    kind: str = Field(description="comment, question or answer")
    to: str | None
    text: str
    at: Time


class VoteShape(Schema):
    by: str
    on_behalf_of: str | None
    outcome: str
    revision: int
    comment: str
    at: Time


class SpendingShape(Schema):
    cost: Money | None = Field(description="dollars; null where no earlier run tells")
    runs: int = Field(description="of so many earlier runs, items or rounds it is the median")
    simulated: bool
    unpriced: bool = Field(description="whether some of them cost more than is known")


class ApprovalShape(RequestShape):
    expected: dict[str, SpendingShape] = Field(
        description="by outcome what it is expected to spend, where that is known; for those who may see costs"
    )
    risk: str = Field(description="low, medium or high")
    policy: str | None = Field(description="the policy under which it is asked")
    policy_version: int | None
    claimed_by: str | None
    assigned_to: str | None
    votes: list[VoteShape]
    remarks: list[RemarkShape]


class ClaimIn(Schema, extra="forbid"):
    release: bool = False


class AssignmentIn(Schema, extra="forbid"):
    to: str | None = Field(description="a username; null lets everybody decide again who may")


class ToIn(Schema, extra="forbid"):
    to: str = Field(description="a username")


class TextIn(Schema, extra="forbid"):
    text: str


class QuestionIn(ToIn):
    text: str


class AwayIn(ToIn):
    until: Moment


class DelegationShape(Schema):
    id: str
    giver: str
    taker: str
    request: str | None = Field(description="null: everything")
    until: Time | None


class DelegationList(Schema):
    items: list[DelegationShape]


class ManyItem(Schema, extra="forbid"):
    id: str
    revision: int


class ManyIn(Schema, extra="forbid"):
    items: list[ManyItem] = Field(
        max_length=200, description=f"at most {MOST_TOGETHER}, of one policy and one tool, none of high risk"
    )
    outcome: str
    comment: str = ""


class ManyResult(Schema):
    id: str
    closed: bool
    refused: str | None = Field(description="why it was not decided")


class ManyShape(Schema):
    items: list[ManyResult]


REFUSALS = {403: ProblemDocument, 404: ProblemDocument, 409: ProblemDocument, 422: ProblemDocument}


@router.get("/approvals", response={200: RequestPage, 422: ProblemDocument})
def list_approvals(
    request: HttpRequest,
    box: str = "mine",
    policy: str = Query("", description="slug"),
    risk: Literal[""] | Risk = "",
    due: Annotated[Literal[""] | Due, Query(description="at the latest then")] = "",
    was: Annotated[Literal[""] | Was, Query(description="how it was decided")] = "",
    after: str | None = None,
    limit: int = Query(50, ge=1, le=MOST),
) -> Any:
    """The requests of one box (mine, team, all, done or decided), newest first, narrowed as on the page of the inbox."""
    actor = actor_of(request)
    require_scope(actor, Right.SEE_REQUESTS)
    named = box_named(box)
    if named is None:
        fault = Fault("box", f"{box[:40]!r} is unknown", f"Choose of: {', '.join(BOXES)}.")
        raise Invalid("There is no such box.", problems=[fault])
    chosen = filters_in({"policy": policy, "risk": risk, "due": due, "was": was})
    found, following = newest_first(filtered(requests_in(actor, named), chosen), after, limit)
    masks_of([each.run for each in found if each.run is not None])
    return {"items": [_shape(request, each) for each in found], "next": following}


@router.post("/approvals/bulk", response={200: ManyShape, 403: ProblemDocument, 422: ProblemDocument})
def post_many(request: HttpRequest, body: ManyIn) -> Any:
    """The same vote on many, where their policy allows it; says of each what became of it."""
    actor = actor_of(request)
    require_scope(actor, Right.DECIDE)
    results = decide_many(
        actor, [Chosen(identifier_of(each.id), each.revision) for each in body.items], body.outcome, body.comment
    )
    return {
        "items": [
            {"id": f"req_{each.id.hex}", "closed": each.closed, "refused": each.refusal.message if each.refusal else None}
            for each in results
        ]
    }


@router.get("/approvals/{request_id}", response={200: ApprovalShape, 404: ProblemDocument})
def get_approval(request: HttpRequest, request_id: str) -> Any:
    """One request with what is to be decided. Looking decides nothing; that you have seen it is noted."""
    actor = actor_of(request)
    require_scope(actor, Right.SEE_REQUESTS)
    asked = request_named(actor, request_id)
    note_view(actor, asked)
    return _whole(request, asked)


@router.post(
    "/approvals/{request_id}/decisions",
    response={200: DecisionShape, 403: ProblemDocument, 404: ProblemDocument, 409: ProblemDocument, 422: ProblemDocument},
)
def post_decision(request: HttpRequest, request_id: str, body: DecisionIn) -> Any:
    """Votes on a request. Whoever comes second is told who was first (409)."""
    actor = actor_of(request)
    verb = decide_or_hold if body.hold else decide
    decision = verb(actor, identifier_of(request_id), body.outcome, body.revision, body.payload, body.comment, body.confirm)
    decided = _shape(request, request_named(actor, request_id))
    if isinstance(decision, HeldDecision):
        return {"request": decided, "closed": False, "votes": 0, "quorum": 1, "held_until": decision.until}
    return {
        "request": decided,
        "closed": decision.closed,
        "votes": decision.votes,
        "quorum": decision.quorum,
        "missing": list(decision.missing),
    }


@router.post("/approvals/{request_id}/undo", response={200: ApprovalShape} | REFUSALS)
def post_undo(request: HttpRequest, request_id: str) -> Any:
    """Takes back a held decision of yours; 409 where it is carried out already."""
    return _done(request, request_id, lambda actor, asked: undo_decision(actor, asked.id))


@router.post("/approvals/{request_id}/claim", response={200: ApprovalShape} | REFUSALS)
def post_claim(request: HttpRequest, request_id: str, body: ClaimIn | None = None) -> Any:
    """Says that you are at it, for ten minutes. It keeps nobody from deciding."""
    release = body is not None and body.release
    return _done(request, request_id, lambda actor, asked: claim(actor, asked, release=release))


@router.post("/approvals/{request_id}/assignment", response={200: ApprovalShape} | REFUSALS)
def post_assignment(request: HttpRequest, request_id: str, body: AssignmentIn) -> Any:
    """Lets one person alone decide."""
    return _done(request, request_id, lambda actor, asked: assign(actor, asked, body.to))


@router.post("/approvals/{request_id}/delegation", response={200: ApprovalShape} | REFUSALS)
def post_delegation(request: HttpRequest, request_id: str, body: ToIn) -> Any:
    """Lets somebody decide in your place, on this request."""
    return _done(request, request_id, lambda actor, asked: delegate_request(actor, asked, body.to))


@router.post("/approvals/{request_id}/comments", response={200: ApprovalShape} | REFUSALS)
def post_comment(request: HttpRequest, request_id: str, body: TextIn) -> Any:
    """Comments; answers the question that you were asked."""
    return _done(request, request_id, lambda actor, asked: comment(actor, asked, body.text))


@router.post("/approvals/{request_id}/questions", response={200: ApprovalShape} | REFUSALS)
def post_question(request: HttpRequest, request_id: str, body: QuestionIn) -> Any:
    """Asks somebody. The request is info_requested until they answer; its deadline goes on counting."""
    return _done(request, request_id, lambda actor, asked: ask_somebody(actor, asked, body.to, body.text))


@router.get("/delegations", response={200: DelegationList})
def list_delegations(request: HttpRequest) -> Any:
    """What you handed over, and what was handed to you."""
    actor = actor_of(request)
    require_scope(actor, Right.SEE_REQUESTS)
    mine = Q(giver=actor.person) | Q(taker=actor.person)
    found = (
        Delegation.objects.filter(mine, ended_at__isnull=True).select_related("giver", "taker", "request").order_by("-id")[:200]
    )
    return {"items": [_delegation(each) for each in found]}


@router.post("/delegations", response={201: DelegationShape} | REFUSALS)
def post_away(request: HttpRequest, body: AwayIn) -> Any:
    """Lets somebody decide everything in your place until then."""
    until = body.until if body.until.tzinfo is not None else body.until.replace(tzinfo=UTC)
    return Status(201, _delegation(delegate_all(actor_of(request), body.to, until)))


@router.delete("/delegations/{delegation_id}", response={204: None, 403: ProblemDocument, 404: ProblemDocument})
def delete_delegation(request: HttpRequest, delegation_id: str) -> Any:
    """Takes a mandate back."""
    actor = actor_of(request)
    require_scope(actor, Right.DECIDE)
    end_delegation(actor, delegation_named(delegation_id))
    return Status(204, None)


def _done(request: HttpRequest, request_id: str, verb: Callable[[Actor, Request], object]) -> Any:
    """Does it, and gives the request as it is then."""
    actor = actor_of(request)
    require_scope(actor, Right.DECIDE)
    verb(actor, request_named(actor, request_id))
    return _whole(request, request_named(actor, request_id))


def _whole(request: HttpRequest, asked: Request) -> dict[str, Any]:
    docket = docket_of(asked)
    claimed = docket.claimed_by if docket is not None and docket.claimed_until and docket.claimed_until > timezone.now() else None
    spending = spending_of(actor_of(request), asked) if asked.state in OPEN_REQUEST_STATES else {}
    return _shape(request, asked) | {
        "expected": {name: _spending(each) for name, each in spending.items()},
        "risk": risk_of(asked),
        "policy": asked.terms.get("policy"),
        "policy_version": asked.terms.get("policy_version"),
        "claimed_by": claimed.username if claimed is not None else None,
        "assigned_to": docket.assigned_to.username if docket is not None and docket.assigned_to is not None else None,
        "votes": [
            {
                "by": vote.person.username,
                "on_behalf_of": vote.on_behalf_of.username if vote.on_behalf_of is not None else None,
                "outcome": vote.outcome,
                "revision": vote.revision,
                "comment": vote.comment,
                "at": vote.at,
            }
            for vote in asked.votes.select_related("person", "on_behalf_of").order_by("id")
        ],
        "remarks": [
            {
                "by": each.person.username,
                "kind": each.kind,
                "to": each.to.username if each.to is not None else None,
                "text": each.text,
                "at": each.at,
            }
            for each in asked.remarks.select_related("person", "to").order_by("id")
        ],
    }


def _spending(each: Spending) -> dict[str, Any]:
    if each.estimate is None:
        return {"cost": Decimal(0) if each.nothing else None, "runs": 0, "simulated": False, "unpriced": False}
    return {name: getattr(each.estimate, name) for name in ("cost", "runs", "simulated", "unpriced")}


def _delegation(made: Delegation) -> dict[str, Any]:
    return {
        "id": made.public_id,
        "giver": made.giver.username,
        "taker": made.taker.username,
        "request": made.request.public_id if made.request is not None else None,
        "until": made.until,
    }


def _shape(request: HttpRequest, asked: Request) -> dict[str, Any]:
    """As the actor may see it: the figures of a question about money only with the right to see costs."""
    shape = request_shape(asked, _root(request))
    if hides_figures(actor_of(request), asked):
        shape |= {"payload": None, "answer": None}
    return shape


def _root(request: HttpRequest) -> str:
    return request.build_absolute_uri(reverse("api:list_approvals"))
