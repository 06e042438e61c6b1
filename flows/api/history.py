"""Going back, over HTTP: to an older version, and to a draft that was replaced."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema, Status
from pydantic import Field

from flows.access.rights import Right, require, require_scope
from flows.api.auth import actor_of
from flows.api.problems import ProblemDocument
from flows.api.shapes.flows import FlowDetail, Publication, PublicationAsked, flow_detail
from flows.builder.actions.ask_to_publish import ask_to_publish
from flows.builder.actions.restore_draft import restore_draft
from flows.builder.actions.roll_back import roll_back
from flows.builder.reads import flow_named

router = Router(tags=["flows"])
REFUSALS = {403: ProblemDocument, 404: ProblemDocument, 409: ProblemDocument, 422: ProblemDocument}
Number = Field(ge=1, le=10**9)


class RollbackTo(Schema, extra="forbid"):
    version: int = Number
    live: int | None = Field(None, description="the version that was live when you looked; another one by then is a 409")
    note: str = Field("", max_length=2000)


class Restored(Schema, extra="forbid"):
    version: int | None = Field(None, ge=1, le=10**9, description="the one that becomes the draft; null: the draft replaced last")
    revision: int | None = Field(None, description="of the draft that you saw; another one by then is a 409")


@router.post("/flows/{slug}/rollback", response={200: Publication, 202: PublicationAsked} | REFUSALS)
def post_rollback(request: HttpRequest, slug: str, body: RollbackTo) -> Any:
    """Publishes a new version that equals an older one. Where publishing takes two, somebody else is asked (202)."""
    actor = actor_of(request)
    flow = flow_named(actor, slug)
    require(actor, Right.PUBLISH_FLOWS, flow)
    if flow.needs_second:
        asked = ask_to_publish(actor, slug, version=body.version, note=body.note or f"Back to v{body.version}")
        return Status(202, {"flow": slug, "request": asked.public_id})
    version = roll_back(actor, slug, body.version, live=body.live, note=body.note)
    return {"flow": slug, "version": version.number, "hash": version.hash, "created_at": version.created_at}


@router.post("/flows/{slug}/restoration", response={200: FlowDetail} | REFUSALS)
def post_restoration(request: HttpRequest, slug: str, body: Restored) -> Any:
    """Makes a version, or the draft that was replaced last, the draft. What was the draft is kept."""
    require_scope(actor_of(request), Right.EDIT_FLOWS)
    return flow_detail(restore_draft(actor_of(request), slug, body.version, revision=body.revision), None)
