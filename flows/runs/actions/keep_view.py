"""Keeping the choices of a page for oneself under a name, and throwing them away."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from django.db import transaction
from django.http import QueryDict
from django.utils import timezone

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Fault, Forbidden, Invalid, NotFound
from flows.access.rights import Right
from flows.models import Person, PinnedView
from flows.runs.spending.reporting import PERIODS, next_report

Page = Literal["costs", "runs", "audit"]
NEEDS: dict[Page, Right] = {"costs": Right.SEE_COSTS, "runs": Right.SEE_RUNS, "audit": Right.SEE_AUDIT}

MOST = 30
"""Views of one person for one page."""

LONGEST_NAME, LONGEST_QUERY = 60, 1000
OF_A_MOMENT = ("after", "before", "rows", "cursor", "csrfmiddlewaretoken")
"""What an address says of the moment, not of what is looked at."""


def views_of(actor: Actor, page: Page) -> list[PinnedView]:
    """One's own, by name."""
    return list(PinnedView.objects.filter(person=actor.person, page=page).order_by("name")) if actor.person is not None else []


def keep_view(actor: Actor, page: Page, name: str, query: str, every: str = "") -> PinnedView:
    """Keeps these choices for the person alone; a view of the same name is replaced. `every` (`PERIODS`) has what a view of costs comes
    to mailed to the person after each such period of the present time zone, from the one on that goes on now. Raises `Invalid` naming the
    fields. Who may see the page, and whether it can do anything with the choices, is the page's to judge."""
    person = _person(actor, page)
    name = " ".join(name.split())
    choices = QueryDict(query[: 2 * LONGEST_QUERY], mutable=True)
    for each in OF_A_MOMENT:
        choices.pop(each, None)
    text = choices.urlencode(safe=",:!@")
    faults = []
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        faults.append(Fault("name", "is empty or too long", f"Give it 1 to {LONGEST_NAME} characters."))
    if len(text) > LONGEST_QUERY or len(query) > 2 * LONGEST_QUERY:
        faults.append(Fault("query", "is too long", "Use fewer filters."))
    if not faults and person.pinned_views.filter(page=page).exclude(name=name).count() >= MOST:
        faults.append(Fault("name", f"would be one of more than {MOST}", "Remove one first."))
    if every and (every not in PERIODS or page != "costs"):
        faults.append(Fault("every", f"{every[:20]!r} is no period of a report", f"Choose of: {', '.join(PERIODS)}."))
    if faults:
        raise Invalid("The view cannot be kept.", problems=faults)
    zone = timezone.get_current_timezone_name() if every else ""
    kept = {"query": text, "every": every, "zone": zone, "next_at": next_report(every, zone) if every else None}
    with transaction.atomic():
        before = person.pinned_views.filter(page=page, name=name).values_list("every", flat=True).first() or ""
        view = PinnedView.objects.update_or_create(person=person, page=page, name=name, defaults=kept)[0]
        _tell(actor, view, before)
    return view


def drop_view(actor: Actor, page: Page, view_id: str) -> str:
    """Throws one of the actor's own views away; gives its name. Raises `NotFound`."""
    try:
        view = _person(actor, page).pinned_views.filter(page=page, id=UUID(hex=view_id)).first()
    except ValueError:
        view = None
    if view is None:
        raise NotFound("view")
    before, view.every = view.every, ""
    with transaction.atomic():
        view.delete()
        _tell(actor, view, before)
    return view.name


def _tell(actor: Actor, view: PinnedView, before: str) -> None:
    """In the audit log, where a view is, or was, sent to somebody."""
    if view.every or before:
        facts = {"view": view.name, "every": view.every or "never", "query": view.query}
        record_change(actor, "report.schedule", "person", actor.name, facts)


def _person(actor: Actor, page: Page) -> Person:
    if actor.person is None:
        raise Forbidden(NEEDS[page], "Only a person keeps views.")
    return actor.person
