"""Lists of requests: their rows, their order and their pages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Q, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.text import Truncator

from approvals.actions.decide_many import risk_of
from approvals.questions import is_question
from approvals.reads import by_due
from approvals.rules import mask_of_request
from approvals.showing.words import Urgency, decided_in_words, urgency_of
from approvals.voting import quorum_of
from flows.access.masking import masks_of
from flows.models import Request

PAGE = 50
SUMMARY_FIELDS = 3


@dataclass(frozen=True, slots=True)
class Row:
    """A request in the inbox."""

    request: Request
    urgency: Urgency
    summary: list[tuple[str, str]]
    quorum: int
    voted: int
    risk: str
    claimed: str
    assigned: str

    @property
    def decided(self) -> str:
        return decided_in_words(self.request)


def rows_of(requests: list[Request]) -> list[Row]:
    """The rows of these requests; what is hidden of their runs is read for all of them at once."""
    masks_of([each.run for each in requests if each.run is not None])
    return [row_of(each) for each in requests]


def row_of(each: Request) -> Row:
    payload = mask_of_request(each).read(each.payload) if not is_question(each) else {}
    fields = payload.items() if isinstance(payload, dict) else []
    summary = [
        (name, Truncator(str(value)).chars(80)) for name, value in fields if isinstance(value, (str, int, float)) and str(value)
    ][:SUMMARY_FIELDS]
    docket = getattr(each, "docket", None)
    claimed = docket.claimed_by if docket is not None and docket.claimed_until and docket.claimed_until > timezone.now() else None
    return Row(
        each,
        urgency_of(each),
        summary,
        quorum_of(each),
        getattr(each, "agreed", 0),
        risk_of(each),
        str(claimed or ""),
        str((docket.assigned_to if docket is not None else None) or ""),
    )


def page_of(requests: QuerySet[Request], after: str, *, newest_first: bool = False) -> tuple[list[Request], str]:
    """Fifty requests behind a place in the list, and the place behind them; empty where there are no more. Those that are due first come
    first, or the newest."""
    agreed = Count("votes", filter=Q(votes__revision=F("revision")))
    listed: Any = requests.select_related("docket__claimed_by", "docket__assigned_to").annotate(agreed=agreed)
    if newest_first:
        last = uuid_of(after)
        found = list((listed.filter(id__lt=last) if last is not None else listed)[: PAGE + 1])
        return found[:PAGE], found[PAGE - 1].id.hex if len(found) > PAGE else ""
    ordered: Any = by_due(listed)
    if after:
        ordered = ordered.filter(behind(after))
    found = list(ordered[: PAGE + 1])
    return found[:PAGE], place_of(found[PAGE - 1]) if len(found) > PAGE else ""


def place_of(request: Request) -> str:
    """Where the request stands in the order of deadlines, as addresses say it."""
    return f"{request.due.isoformat() if request.due else ''}_{request.id.hex}"


def behind(place: str) -> Q:
    """The condition of coming after a place in the order of deadlines; a place that cannot be read is the beginning."""
    text, _, last = place.rpartition("_")
    identifier = uuid_of(last)
    if identifier is None:
        return Q()
    try:
        due: datetime | None = parse_datetime(text.replace(" ", "+")) if text else None
    except ValueError:
        due = None
    if due is None:
        return Q(due__isnull=True, id__gt=identifier)
    return Q(due__gt=due) | Q(due=due, id__gt=identifier) | Q(due__isnull=True)


def uuid_of(text: str) -> UUID | None:
    try:
        return UUID(hex=text) if len(text) == 32 else None
    except ValueError:
        return None
