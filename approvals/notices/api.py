"""How one is told, and the places outside that hear of events, over HTTP."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema, Status
from pydantic import Field

from approvals.actions.save_channel import KINDS, add_channel, remove_channel, rotate_channel_secret, try_channel
from approvals.actions.save_preference import WAYS, save_preference
from approvals.models import Channel, Notice
from approvals.notices.notify import EVENTS
from approvals.notices.reads import channel_named, last_notices, preference_of
from flows.access.actor import Actor
from flows.access.rights import Right, require, require_scope
from flows.api.auth import actor_of
from flows.api.problems import ProblemDocument
from flows.api.shapes import Time

router = Router(tags=["notices"])

REFUSALS = {403: ProblemDocument, 404: ProblemDocument, 422: ProblemDocument}
ALL_EVENTS = ", ".join(EVENTS)


class PreferenceIn(Schema, extra="forbid"):
    email: str = Field(description=f"one of {', '.join(WAYS)}: each at once, gathered, or none")
    muted: list[str] = Field([], max_length=50, description=f"events of which nothing is sent: {ALL_EVENTS}")


class PreferenceShape(Schema):
    email: str
    muted: list[str]


class ChannelIn(Schema, extra="forbid"):
    kind: str = Field(description=f"one of {', '.join(KINDS)}")
    name: str
    address: str
    events: list[str] = Field([], max_length=50, description=f"empty: all of {ALL_EVENTS}")


class ChannelShape(Schema):
    id: str
    kind: str
    name: str
    events: list[str]


class ChannelMade(ChannelShape):
    secret: str | None = Field(description="of a webhook, shown this once")


class ChannelList(Schema):
    items: list[ChannelShape]


class NoticeShape(Schema):
    event: str
    subject: str
    to: str = Field(description="a username, or a channel's name")
    state: str = Field(description="queued, sent, digest or failed")
    attempts: int
    error: str
    created_at: Time
    sent_at: Time | None


class NoticeList(Schema):
    items: list[NoticeShape]


@router.get("/notices/preference", response={200: PreferenceShape})
def get_preference(request: HttpRequest) -> Any:
    """How you are told."""
    actor = actor_of(request)
    require_scope(actor, Right.SEE_REQUESTS)
    return preference_of(actor)


@router.put("/notices/preference", response={200: PreferenceShape} | REFUSALS)
def put_preference(request: HttpRequest, body: PreferenceIn) -> Any:
    """Says how you want to be told."""
    actor = actor_of(request)
    require_scope(actor, Right.DECIDE)
    return save_preference(actor, body.email, body.muted)


@router.get("/notices", response={200: NoticeList, 403: ProblemDocument})
def list_notices(request: HttpRequest) -> Any:
    """The last messages, and what became of each. Needs the right `policies.manage`."""
    require(actor_of(request), Right.MANAGE_POLICIES)
    return {"items": [_notice(each) for each in last_notices()]}


@router.get("/channels", response={200: ChannelList, 403: ProblemDocument})
def list_channels(request: HttpRequest) -> Any:
    """The places outside that hear of events. Their addresses are secrets and are not shown."""
    require(actor_of(request), Right.MANAGE_POLICIES)
    return {"items": [_channel(each) for each in Channel.objects.filter(removed_at__isnull=True).order_by("name")]}


@router.post("/channels", response={201: ChannelMade} | REFUSALS)
def post_channel(request: HttpRequest, body: ChannelIn) -> Any:
    """Adds a place that hears of events."""
    channel, secret = add_channel(actor_of(request), body.kind, body.name, body.address, body.events)
    return Status(201, _channel(channel) | {"secret": secret or None})


@router.post("/channels/{channel_id}/test", response={202: ChannelShape} | REFUSALS)
def post_channel_test(request: HttpRequest, channel_id: str) -> Any:
    """Sends a test to this channel alone; what became of it stands among the last messages."""
    actor, channel = _managing(request, channel_id)
    try_channel(actor, channel)
    return Status(202, _channel(channel))


@router.post("/channels/{channel_id}/secret", response={200: ChannelMade} | REFUSALS)
def post_channel_secret(request: HttpRequest, channel_id: str) -> Any:
    """Another secret, shown this once; the former one signs for a day beside it."""
    actor, channel = _managing(request, channel_id)
    return _channel(channel) | {"secret": rotate_channel_secret(actor, channel)}


@router.delete("/channels/{channel_id}", response={204: None} | REFUSALS)
def delete_channel(request: HttpRequest, channel_id: str) -> Any:
    """It hears of nothing any more."""
    actor, channel = _managing(request, channel_id)
    remove_channel(actor, channel)
    return Status(204, None)


def _managing(request: HttpRequest, channel_id: str) -> tuple[Actor, Channel]:
    actor = actor_of(request)
    require(actor, Right.MANAGE_POLICIES)
    return actor, channel_named(channel_id)


def _channel(channel: Channel) -> dict[str, Any]:
    return {"id": channel.public_id, "kind": channel.kind, "name": channel.name, "events": channel.events}


def _notice(notice: Notice) -> dict[str, Any]:
    names = ("event", "subject", "state", "attempts", "error", "created_at", "sent_at")
    to = notice.person.username if notice.person is not None else notice.channel.name if notice.channel is not None else ""
    return {"to": to} | {name: getattr(notice, name) for name in names}
