"""What is known of notices: how somebody wants to be told, which channels there are, what became of the last messages."""

from __future__ import annotations

from approvals.models import Channel, Notice, Preference
from flows.access.actor import Actor
from flows.access.refusals import NotFound
from flows.models.identifiers import UnknownIdentifier, parsed

LAST = 30


def preference_of(actor: Actor) -> Preference:
    """The actor's own, or what holds where nothing was said."""
    return Preference.objects.filter(person=actor.person).first() or Preference(person=actor.person)


def last_notices() -> list[Notice]:
    return list(Notice.objects.select_related("person", "channel").order_by("-id")[:LAST])


def channel_named(public_id: str) -> Channel:
    """Raises `NotFound`, also where it was removed."""
    try:
        found = Channel.objects.filter(id=parsed("chn", public_id), removed_at__isnull=True).first()
    except UnknownIdentifier:
        found = None
    if found is None:
        raise NotFound("channel")
    return found
