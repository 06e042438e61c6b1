"""Places that hear of events: adding, changing and removing them, and trying whether they do."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from django.db import transaction
from django.db.models.functions import Now

from approvals.models import Channel, Notice
from approvals.notices.notify import EVENTS
from approvals.notices.secrets import secret_of
from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Fault, Invalid
from flows.access.rights import Right, require
from flows.models.identifiers import new_id
from flows.triggers.secrets import new_salt

KINDS = ("chat", "webhook")


def add_channel(actor: Actor, kind: str, name: str, address: str, events: Iterable[str] = ()) -> tuple[Channel, str]:
    """A new channel and, of a webhook, its secret, which is shown this once. No event named stands for all of them.

    Raises `Forbidden` and `Invalid` naming the field.
    """
    require(actor, Right.MANAGE_POLICIES)
    name, events = " ".join(name.split()), list(dict.fromkeys(events))
    faults = list(_faults(kind, name, address, events))
    if faults:
        raise Invalid("The channel cannot be used.", problems=faults)
    with transaction.atomic():
        channel = Channel.objects.create(kind=kind, name=name, address=address, events=events, salt=new_salt())
        record_change(
            actor,
            "channel.add",
            "channel",
            channel.public_id,
            {"kind": kind, "name": name, "host": _host(address), "events": events},
        )
    return channel, secret_of(channel) if kind == "webhook" else ""


def rotate_channel_secret(actor: Actor, channel: Channel) -> str:
    """Another secret; the former one signs for a day beside it."""
    require(actor, Right.MANAGE_POLICIES)
    with transaction.atomic():
        Channel.objects.filter(id=channel.id).update(former_salt=channel.salt, salt=new_salt(), rotated_at=Now())
        record_change(actor, "channel.rotate", "channel", channel.public_id)
    return secret_of(Channel.objects.get(id=channel.id))


def remove_channel(actor: Actor, channel: Channel) -> None:
    """It hears of nothing any more."""
    require(actor, Right.MANAGE_POLICIES)
    with transaction.atomic():
        if Channel.objects.filter(id=channel.id, removed_at__isnull=True).update(removed_at=Now()):
            record_change(actor, "channel.remove", "channel", channel.public_id, {"name": channel.name})


def try_channel(actor: Actor, channel: Channel) -> Notice:
    """Puts a notice for this channel alone into the outbox; what became of it stands there."""
    require(actor, Right.MANAGE_POLICIES)
    with transaction.atomic():
        notice = Notice.objects.create(
            event="test",
            key=f"test:{new_id().hex}",
            channel=channel,
            subject="A test from Orchestrator",
            path="/approvals",
            facts=[],
        )
        record_change(actor, "channel.try", "channel", channel.public_id)
    return notice


def _faults(kind: str, name: str, address: str, events: list[str]) -> Iterable[Fault]:
    if kind not in KINDS:
        yield Fault("kind", "is unknown", f"Choose of: {', '.join(KINDS)}.")
    if not 0 < len(name) <= 120:
        yield Fault("name", "is missing" if not name else "is longer than 120 characters")
    parts = urlsplit(address) if len(address) <= 500 else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        yield Fault("address", "is no address of the web", "It begins with https:// and names a host, and holds no password.")
    for each in events:
        if each not in EVENTS:
            yield Fault("events", f"{each[:40]!r} is unknown", f"Choose of: {', '.join(EVENTS)}.")


def _host(address: str) -> str:
    """What the audit log keeps of an address: chats' addresses are secrets themselves."""
    return urlsplit(address).hostname or ""
