"""Assigning a request to one person, who alone decides on it then."""

from __future__ import annotations

from django.db import transaction

from approvals.actions.opened import locked_open
from approvals.models import Docket
from approvals.notices.notify import tell_about
from approvals.notices.wording import facts_of, subject_of
from approvals.standing import could_decide, require_decision
from approvals.trail import record, refusals_recorded
from approvals.voting import quorum_of
from flows.access.actor import Actor
from flows.access.refusals import Fault, Forbidden, Invalid
from flows.access.rights import Right, require
from flows.execution.doorbells import inbox_changed
from flows.models import Person, Request


def assign(actor: Actor, request: Request, to: str | None) -> Docket:
    """Assigns the request to the person of this username; None lets everybody decide again who may.

    Whoever may decide may assign, and so may an owner of the flow's team. Raises `Forbidden`, `Invalid` where `to` may not decide
    on it, or where it takes several votes, and `AlreadyDecided`.
    """
    with refusals_recorded(actor, request.id, "assign"):
        _require_right(actor, request)
        person = person_named(to, "to") if to is not None else None
        with transaction.atomic():
            request, docket = locked_open(request)
            if person is not None and quorum_of(request) > 1:
                fault = Fault("to", f"it takes {quorum_of(request)} votes", "Claim it, or ask somebody, instead.")
                raise Invalid("This request cannot be one person's alone.", problems=[fault])
            if person is not None and not could_decide(person, request):
                fault = Fault("to", f"{person.username} may not decide on it", "Name somebody who may, or delegate it.")
                raise Invalid("It cannot be assigned to them.", problems=[fault])
            before, docket.assigned_to = docket.assigned_to, person
            Docket.objects.filter(request=request).update(assigned_to=person)
            record(actor, "assign", request, **{"from": before and before.username, "to": person and person.username})
            if person is not None and person != actor.person:
                key = f"assigned:{request.id.hex}:{person.username}"
                subject = subject_of(request, "Assigned to you")
                tell_about(request, "assigned", key, subject, people=[person], facts=facts_of(request), channels=False)
            transaction.on_commit(inbox_changed)
    return docket


def _require_right(actor: Actor, request: Request) -> None:
    try:
        require_decision(actor, request)
    except Forbidden:
        require(actor, Right.MANAGE_FLOWS, request)


def person_named(username: str, place: str) -> Person:
    """Raises `Invalid` naming the field where there is no such person."""
    found = Person.objects.filter(username=str(username).strip()[:64], is_active=True).first()
    if found is None:
        raise Invalid("There is no such person.", problems=[Fault(place, f"nobody is called {str(username)[:64]!r}")])
    return found
