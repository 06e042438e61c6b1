"""Flows over HTTP: drafts, versions, publication."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Status

from flows.access.refusals import Fault, Invalid
from flows.access.rights import Right, require_scope
from flows.api.auth import actor_of
from flows.api.paging import MOST
from flows.api.problems import ProblemDocument
from flows.api.shapes.flows import (
    FlowDetail,
    FlowPage,
    FlowSettings,
    FlowStanding,
    Publication,
    PublicationAsked,
    PublicationIn,
    SettingsIn,
    StandingIn,
    flow_detail,
    flow_settings,
    flow_standing,
    flow_summary,
)
from flows.builder.actions.archive_flow import archive_flow
from flows.builder.actions.ask_to_publish import ask_to_publish
from flows.builder.actions.change_settings import change_settings
from flows.builder.actions.pause_flow import pause_flow
from flows.builder.actions.publish_flow import publish_flow
from flows.builder.actions.save_draft import DraftChanged, save_draft
from flows.builder.listing import EVERY_STATUS, Wanted, flows_listed
from flows.builder.reads import flow_named, version_of, visible_flow
from flows.models import Team

router = Router(tags=["flows"])

DOCUMENT_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "the flow document (docs/guides): YAML or JSON",
        "content": {"application/yaml": {"schema": {"type": "string"}}, "application/json": {"schema": {"type": "object"}}},
    },
    "parameters": [
        {
            "name": "If-Match",
            "in": "header",
            "required": False,
            "schema": {"type": "string"},
            "description": 'the revision that was edited, such as "3"; needed where the flow exists',
        }
    ],
}


@router.get("/flows", response={200: FlowPage, 422: ProblemDocument})
def list_flows(
    request: HttpRequest,
    q: str = Query("", max_length=200, description="words in name, slug or description"),
    tag: list[str] = Query([]),
    owner: list[str] = Query([]),
    status: list[str] = Query([], description="live, draft, changed, paused or archived; all where it is left out"),
    after: str | None = None,
    limit: int = Query(50, ge=1, le=MOST),
) -> Any:
    """The flows that you may see and that match, by slug."""
    actor = actor_of(request)
    require_scope(actor, Right.SEE_FLOWS)
    given = (tuple(value.replace("\x00", "")[:200] for value in each) for each in (tag, owner, status))
    tags, owners, statuses = given
    wanted = Wanted(q.replace("\x00", ""), tags, owners, statuses or EVERY_STATUS)
    flows = flows_listed(actor, wanted).select_related("team", "published").defer("draft", "published__document").order_by("slug")
    found = list((flows.filter(slug__gt=after) if after else flows)[: limit + 1])
    items = [flow_summary(flow) for flow in found[:limit]]
    return {"items": items, "next": found[limit - 1].slug if len(found) > limit else None}


@router.get("/flows/{slug}", response={200: FlowDetail, 404: ProblemDocument})
def get_flow(request: HttpRequest, response: HttpResponse, slug: str, version: int | None = None) -> Any:
    """A flow with its draft, or with the version of this number. The header ETag has the draft's revision."""
    actor = actor_of(request)
    require_scope(actor, Right.SEE_FLOWS)
    flow = flow_named(actor, slug)
    response["ETag"] = f'"{flow.revision}"'
    return flow_detail(flow, version_of(flow, version) if version is not None else None)


@router.put(
    "/flows/{slug}",
    response={200: FlowDetail, 201: FlowDetail, 409: ProblemDocument, 422: ProblemDocument},
    openapi_extra=DOCUMENT_BODY,
)
def put_flow(request: HttpRequest, response: HttpResponse, slug: str, team: str | None = None) -> Any:
    """Makes the body the flow's draft. `If-Match` names the revision that was edited; a draft that has moved on is kept (409)."""
    actor = actor_of(request)
    require_scope(actor, Right.EDIT_FLOWS)
    text = document_text(request.body)
    known = visible_flow(actor, slug)
    revision = revision_in(request)
    if known is not None and revision is None:
        revision = 0  # no revision is none that the draft can have: only an unchanged document passes
    if known is None and revision is not None:
        raise DraftChanged(0)
    flow = save_draft(actor, slug, text, revision, team=_team(team))
    response["ETag"] = f'"{flow.revision}"'
    return Status(200 if known is not None else 201, flow_detail(flow, None))


@router.patch(
    "/flows/{slug}/settings",
    response={200: FlowSettings, 403: ProblemDocument, 404: ProblemDocument, 409: ProblemDocument, 422: ProblemDocument},
)
def patch_settings(request: HttpRequest, slug: str, body: SettingsIn) -> Any:
    """Sets what the body names of owner, team, tags, ceiling, needs_second, max_running, keeps_slot and priority."""
    return flow_settings(change_settings(actor_of(request), slug, body.model_dump(exclude_unset=True)))


@router.post(
    "/flows/{slug}/pause", response={200: FlowStanding, 403: ProblemDocument, 404: ProblemDocument, 409: ProblemDocument}
)
def post_flow_pause(request: HttpRequest, slug: str, body: StandingIn | None = None) -> Any:
    """A paused flow starts no new run; with `on` false it starts runs again."""
    return flow_standing(pause_flow(actor_of(request), slug, paused=body is None or body.on))


@router.post("/flows/{slug}/archive", response={200: FlowStanding, 403: ProblemDocument, 404: ProblemDocument})
def post_archive(request: HttpRequest, slug: str, body: StandingIn | None = None) -> Any:
    """An archived flow is read only and starts nothing; with `on` false it is as before."""
    return flow_standing(archive_flow(actor_of(request), slug, archived=body is None or body.on))


@router.post(
    "/flows/{slug}/publication",
    response={
        200: Publication,
        202: PublicationAsked,
        403: ProblemDocument,
        404: ProblemDocument,
        409: ProblemDocument,
        422: ProblemDocument,
    },
)
def post_publication(request: HttpRequest, slug: str, body: PublicationIn | None = None) -> Any:
    """Publishes the draft; one that is already published gives that version again. Where publishing takes two, somebody else is
    asked (202): decide that request to publish."""
    wanted = body or PublicationIn.model_validate({})
    if (flow := visible_flow(actor_of(request), slug)) is not None and flow.needs_second:
        asked = ask_to_publish(actor_of(request), slug, revision=wanted.revision, note=wanted.note)
        return Status(202, {"flow": slug, "request": asked.public_id})
    version = publish_flow(actor_of(request), slug, revision=wanted.revision, note=wanted.note)
    return {"flow": slug, "version": version.number, "hash": version.hash, "created_at": version.created_at}


def document_text(body: bytes) -> str:
    """The document that was sent. Raises `Invalid` where it is no UTF-8."""
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        fault = Fault("", f"is not UTF-8 at byte {error.start}", "Send the document as UTF-8.")
        raise Invalid("The document cannot be read.", problems=[fault]) from None


def revision_in(request: HttpRequest) -> int | None:
    """The revision in an If-Match header; None where there is none, or where it is ``*``… which names no revision."""
    header = request.headers.get("If-Match")
    text = (header or "").strip().removeprefix("W/").strip('"')
    if not text or text == "*":
        return None
    if not text.isascii() or not text.isdigit():
        raise Invalid("The header If-Match cannot be used.", problems=[Fault("If-Match", "is no revision", 'Send such as "3".')])
    return int(text)


def _team(slug: str | None) -> Team | None:
    if slug is None:
        return None
    team = Team.objects.filter(slug=slug).first()
    if team is None:
        raise Invalid("There is no such team.", problems=[Fault("team", f"{slug[:64]!r} is unknown")])
    return team
