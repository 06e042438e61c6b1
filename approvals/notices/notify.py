"""Telling people: one function, which any room above the engine may call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.utils import timezone

from approvals.models import Channel, Notice, Preference
from flows.access.letters import letters_are_sent
from flows.models import Person, Request

GATHERING = timedelta(minutes=30)

EVENTS = {
    "asked": "Something needs a decision",
    "reminded": "A request is still open",
    "escalated": "A request was handed up",
    "assigned": "A request was assigned or handed over",
    "question": "A question about a request",
    "answered": "A question was answered",
    "taken_over": "Somebody took over what you had claimed",
    "decided": "A request was decided",
    "failed": "A run failed or was stopped by a budget",
    "stuck": "A run stands still",
    "budget": "A budget passed a share of its limit",
    "report": "A report of costs that you asked for",
    "overdue": "A request is open past its time",
}
"""What can be told, in words. Preferences and channels go by these names."""


def notify(
    event: str,
    key: str,
    subject: str,
    path: str,
    *,
    people: Iterable[Person] = (),
    facts: Sequence[tuple[str, str]] = (),
    request: Request | None = None,
    channels: bool = True,
) -> int:
    """Puts a notice for each of these people, and for each channel that hears of `event`, into the outbox; gives how many are new.

    To be called in the transaction of what it tells, so that neither is there without the other; it is sent afterwards, by the
    reconciler, with retries. The same `key` tells each receiver once, however often it is called. `path` is the page that it leads
    to. `facts` are names and texts that the system computed: nothing secret, nothing that a model wrote. Who has no e-mail address,
    or does not want to hear of `event`, is left out; without a mail server everybody is. Where the policy of `request` names channels,
    no others hear of it.
    """
    wanted = {person.id: person for person in people if person.is_active and person.email} if letters_are_sent() else {}
    gathering: set[object] = set()
    for preference in Preference.objects.filter(person__in=wanted):
        if preference.email == "off" or event in preference.muted:
            del wanted[preference.person_id]
        elif preference.email == "digest":
            gathering.add(preference.person_id)
    hearing = Channel.objects.filter(removed_at__isnull=True) if channels else Channel.objects.none()
    if request is not None and request.terms.get("channels"):
        hearing = hearing.filter(name__in=request.terms["channels"])
    told = [channel for channel in hearing if not channel.events or event in channel.events]
    shared = {
        "event": event,
        "key": key[:160],
        "request": request,
        "subject": one_line(subject)[:400],
        "facts": [[one_line(name)[:80], one_line(text)[:300]] for name, text in facts],
        "path": path[:200],
    }
    later = gathered_at(timezone.now())
    rows = [
        Notice(person=person, **shared, **({"next_at": later} if person.id in gathering else {})) for person in wanted.values()
    ]
    rows += [Notice(channel=each, **shared) for each in told]
    before = Notice.objects.filter(key=shared["key"]).count()
    Notice.objects.bulk_create(rows, ignore_conflicts=True)
    return Notice.objects.filter(key=shared["key"]).count() - before


def tell_about(
    request: Request,
    event: str,
    key: str,
    subject: str,
    *,
    people: Iterable[Person],
    facts: Sequence[tuple[str, str]] = (),
    channels: bool = True,
) -> int:
    """The same about a request, to whose page it leads."""
    return notify(
        event,
        key,
        subject,
        f"/approvals/{request.public_id}",
        people=people,
        facts=facts,
        request=request,
        channels=channels,
    )


def gathered_at(now: datetime) -> datetime:
    """When what is gathered from `now` on is sent: at the next half hour."""
    return now + GATHERING - timedelta(seconds=now.timestamp() % GATHERING.total_seconds())


def one_line(text: str) -> str:
    """The text without line breaks and control characters: no text of others can add a line, or a header, to a message."""
    return " ".join("".join(each if each.isprintable() else " " for each in str(text)).split())
