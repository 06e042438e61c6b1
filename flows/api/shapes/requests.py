"""What the API gives of approval requests."""

from __future__ import annotations

from typing import Any

from ninja import Schema
from pydantic import Field

from flows.access.masking import mask_of
from flows.api.shapes import Time
from flows.engine.masking import NO_MASK
from flows.models import Request
from flows.models.identifiers import shown


class RequestShape(Schema):
    id: str
    url: str
    run: str | None
    flow: str | None
    path: str
    kind: str
    round: int
    state: str
    revision: int
    title: str
    outcomes: dict[str, str] = Field(description="names and what they mean: approve, reject or changes")
    result_schema: Any = Field(None, description="of the result that is entered where a call of unknown outcome happened")
    approvers: dict[str, list[str]]
    quorum: int
    editable: list[str]
    at_deadline: str | None
    seals: str | None
    tool: str | None
    show: Any
    payload: Any
    payload_hash: str
    due: Time | None
    outcome: str | None
    answer: Any
    comment: str
    decided_by: str | None
    decided_at: Time | None
    created_at: Time


class RequestPage(Schema):
    items: list[RequestShape]
    next: str | None


def request_shape(request: Request, root: str) -> dict[str, Any]:
    """`root` is the address of the API's approvals. The request's run and flow should be loaded."""
    terms = request.terms
    mask = mask_of(request.run) if request.run is not None else NO_MASK
    return {
        "id": request.public_id,
        "url": f"{root}/{request.public_id}",
        "run": shown("run", request.run_id) if request.run_id is not None else None,
        "flow": request.run.flow.slug if request.run is not None else None,
        "path": request.path,
        "kind": request.kind,
        "round": request.round,
        "state": request.state,
        "revision": request.revision,
        "title": request.title,
        "outcomes": request.outcomes,
        "result_schema": terms.get("result_schema"),
        "approvers": terms.get("approvers") or {},
        "quorum": terms.get("quorum") or 1,
        "editable": terms.get("editable") or [],
        "at_deadline": terms.get("at_deadline"),
        "seals": terms.get("seals"),
        "tool": terms.get("tool"),
        "show": mask.read(request.show),
        "payload": mask.read(request.payload),
        "payload_hash": request.payload_hash,
        "due": request.due,
        "outcome": request.outcome or None,
        "answer": mask.read(request.answer),
        "comment": request.comment,
        "decided_by": request.decided_by.username if request.decided_by is not None else None,
        "decided_at": request.decided_at,
        "created_at": request.created_at,
    }
