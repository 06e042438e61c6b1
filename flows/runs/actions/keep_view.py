"""Keeping the filters of a list for oneself, and throwing them away."""

from __future__ import annotations

from uuid import UUID

from django.http import QueryDict

from flows.access.actor import Actor
from flows.access.refusals import Fault, Forbidden, Invalid, NotFound
from flows.access.rights import Right
from flows.models import Person, PinnedView

PAGE = "runs"
MOST = 30  # views of one person
OF_A_MOMENT = ("after", "before", "rows", "cursor", "csrfmiddlewaretoken")


def keep_view(actor: Actor, name: str, query: str) -> PinnedView:
    """Keeps a list's choices under a name; one of the same name is replaced. Raises `Invalid` naming the field."""
    person = _person(actor)
    name = " ".join(name.split())
    choices = QueryDict(query[:2000], mutable=True)
    for each in OF_A_MOMENT:
        choices.pop(each, None)
    text = choices.urlencode(safe=",:!@")
    if not name or len(name) > 60 or not name.isprintable():
        raise Invalid("The view cannot be kept.", problems=[Fault("name", "is empty or too long", "Give it 1 to 60 characters.")])
    if len(text) > 1000:
        raise Invalid("The view cannot be kept.", problems=[Fault("query", "is too long", "Use fewer filters.")])
    if person.pinned_views.filter(page=PAGE).exclude(name=name).count() >= MOST:
        raise Invalid(
            "The view cannot be kept.", problems=[Fault("name", f"would be one of more than {MOST}", "Remove one first.")]
        )
    return PinnedView.objects.update_or_create(person=person, page=PAGE, name=name, defaults={"query": text})[0]


def drop_view(actor: Actor, view_id: str) -> str:
    """Throws one of the actor's own views away; gives its name. Raises `NotFound`."""
    try:
        view = _person(actor).pinned_views.filter(page=PAGE, id=UUID(hex=view_id)).first()
    except ValueError:
        view = None
    if view is None:
        raise NotFound("view")
    view.delete()
    return view.name


def _person(actor: Actor) -> Person:
    if actor.person is None:
        raise Forbidden(Right.SEE_RUNS, "Only a person keeps views.")
    return actor.person
