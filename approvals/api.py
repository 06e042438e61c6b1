"""Approvals over HTTP."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from ninja import Query, Router, Schema
from pydantic import Field

from approvals.actions.decide import decide
from approvals.reads import BOXES, requests_in
from flows.access.actor import Actor
from flows.access.querysets import requests_for
from flows.access.refusals import Fault, Invalid, NotFound
from flows.access.rights import Right, require_scope
from flows.api.auth import actor_of
from flows.api.paging import MOST, newest_first
from flows.api.problems import ProblemDocument
from flows.api.shapes import RequestPage, RequestShape, request_shape
from flows.models import Request
from flows.models.identifiers import UnknownIdentifier, parsed

router = Router(tags=["approvals"])


class DecisionIn(Schema, extra="forbid"):
    outcome: str = Field(description="one of the request's outcomes")
    revision: int = Field(description="of the request as it was read; a newer one is not decided")
    payload: Any = Field(None, description="the payload with edits; only editable fields may differ")
    comment: str = ""


class DecisionShape(Schema):
    request: RequestShape
    closed: bool = Field(description="whether this decided the request; else it waits for more votes")
    votes: int
    quorum: int


@router.get("/approvals", response={200: RequestPage, 422: ProblemDocument})
def list_approvals(
    request: HttpRequest, box: str = "mine", after: str | None = None, limit: int = Query(50, ge=1, le=MOST)
) -> Any:
    """The requests of one box (mine, team, all, done), newest first."""
    actor = actor_of(request)
    require_scope(actor, Right.SEE_REQUESTS)
    if box not in BOXES:
        fault = Fault("box", f"{box[:40]!r} is unknown", f"Choose of: {', '.join(BOXES)}.")
        raise Invalid("There is no such box.", problems=[fault])
    found, following = newest_first(requests_in(actor, box), after, limit)
    return {"items": [_shape(request, each) for each in found], "next": following}


@router.get("/approvals/{request_id}", response={200: RequestShape, 404: ProblemDocument})
def get_approval(request: HttpRequest, request_id: str) -> Any:
    """One request with what is to be decided. Looking at it changes nothing."""
    actor = actor_of(request)
    require_scope(actor, Right.SEE_REQUESTS)
    return _shape(request, _visible(actor, request_id))


@router.post(
    "/approvals/{request_id}/decisions",
    response={200: DecisionShape, 403: ProblemDocument, 404: ProblemDocument, 409: ProblemDocument, 422: ProblemDocument},
)
def post_decision(request: HttpRequest, request_id: str, body: DecisionIn) -> Any:
    """Votes on a request. Whoever comes second is told who was first (409)."""
    actor = actor_of(request)
    decision = decide(actor, _identifier(request_id), body.outcome, body.revision, body.payload, body.comment)
    decided = _shape(request, _visible(actor, request_id))
    return {"request": decided, "closed": decision.closed, "votes": decision.votes, "quorum": decision.quorum}


def _shape(request: HttpRequest, asked: Request) -> dict[str, Any]:
    """As the actor may see it: the figures of a question about money only with the right to see costs."""
    shape = request_shape(asked, _root(request))
    flow = asked.asking_flow
    if asked.kind == "budget" and not actor_of(request).may(Right.SEE_COSTS, flow.team_id if flow is not None else None):
        shape |= {"payload": None, "answer": None}
    return shape


def _visible(actor: Actor, request_id: str) -> Request:
    found = requests_for(actor).filter(id=_identifier(request_id)).select_related("run__flow", "flow", "decided_by").first()
    if found is None:
        raise NotFound("request")
    return found


def _identifier(text: str) -> Any:
    try:
        return parsed("req", text)
    except UnknownIdentifier:
        raise NotFound("request") from None


def _root(request: HttpRequest) -> str:
    return request.build_absolute_uri(reverse("api:list_approvals"))
