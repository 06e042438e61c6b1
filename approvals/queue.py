"""The queue that one works through: the requests around one in the inbox, and the next behind it."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.db.models import QuerySet

from approvals.listing import behind, place_of
from approvals.reads import by_due, requests_in
from flows.access.actor import Actor
from flows.models import Request

SHOWN = 12
MOST = 200  # requests among which the place of one is told


@dataclass(slots=True)
class Queue:
    """`requests` are those around the request; `before` and `after` its neighbours, `place` where it stands, such as "1 of 7". `waiting` is
    how many wait for the person, None where there are more than are looked at."""

    requests: list[Request] = field(default_factory=list)
    before: str = ""
    after: str = ""
    place: str = ""
    waiting: int | None = None


def queue_of(actor: Actor, asked: Request) -> Queue:
    """The queue around a request, in two queries."""
    waiting = list(by_due(requests_in(actor, "mine")).values_list("id", flat=True)[:MOST])
    at = waiting.index(asked.id) if asked.id in waiting else -1
    around = waiting[max(0, at - 5) : max(0, at - 5) + SHOWN]
    known = {each.id: each for each in _shown(actor).filter(id__in=around)}
    queue = Queue([known[each] for each in around if each in known])
    queue.waiting = len(waiting) if len(waiting) < MOST else None
    if at < 0:
        queue.after = f"req_{waiting[0].hex}" if waiting else ""
        return queue
    queue.before = f"req_{waiting[at - 1].hex}" if at else ""
    queue.after = f"req_{waiting[at + 1].hex}" if at + 1 < len(waiting) else ""
    queue.place = f"{at + 1} of {len(waiting)}{'' if queue.waiting is not None else '+'}"
    return queue


def _shown(actor: Actor) -> QuerySet[Request]:
    return requests_in(actor, "all").select_related("docket__claimed_by", "docket__assigned_to")


def next_of(actor: Actor, decided: Request) -> str:
    """The request that follows in the order of deadlines among those that still wait for the actor; the first where none does."""
    waiting = by_due(requests_in(actor, "mine").exclude(id=decided.id))
    found = waiting.filter(behind(place_of(decided))).first() or waiting.first()
    return found.public_id if found is not None else ""
