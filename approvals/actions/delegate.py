"""Handing one's mandate to somebody else: for one request, or for all until a date."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models.functions import Now

from approvals.actions.assign import person_named
from approvals.actions.opened import locked_open
from approvals.models import Delegation
from approvals.notices.notify import notify, tell_about
from approvals.notices.wording import facts_of, subject_of
from approvals.rules import is_own
from approvals.standing import may_stand_in, require_decision
from approvals.trail import record, refusals_recorded
from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Conflict, Fault, Forbidden, Invalid, NotFound
from flows.access.rights import Right, require_scope
from flows.execution.doorbells import inbox_changed
from flows.models import Person, Request
from flows.triggers.clock import database_now


class AlreadyDelegated(Conflict):
    """This is handed over already."""

    slug = "already-delegated"


def delegate_request(actor: Actor, request: Request, to: str) -> Delegation:
    """Lets the person `to` decide on this request in the actor's place. What was handed to the actor cannot be handed on.

    Raises `Forbidden` and `SelfApproval` where the actor may not decide on it, `Invalid` where `to` lacks the right or has a hand in
    it, `AlreadyDelegated` and `AlreadyDecided`.
    """
    with refusals_recorded(actor, request.id, "delegate"):
        standing = require_decision(actor, request)
        if standing.on_behalf_of is not None:
            raise Forbidden(Right.DECIDE, f"This is {standing.on_behalf_of}’s to hand over, not yours.")
        taker = person_named(to, "to")
        _refuse_oneself(standing.person, taker)
        with transaction.atomic():
            request, _ = locked_open(request)
            if not may_stand_in(Actor(person=taker), request):
                raise _without_right(taker)
            if is_own(taker, request):
                fault = Fault("to", f"{taker.username} started it or wrote it", "Name somebody else.")
                raise Invalid("Nobody decides on what they started.", problems=[fault])
            if Delegation.objects.filter(giver=standing.person, taker=taker, request=request, ended_at__isnull=True).exists():
                raise AlreadyDelegated
            made = Delegation.objects.create(giver=standing.person, taker=taker, request=request)
            record(actor, "delegate", request, to=taker.username)
            key, subject = f"delegated:{made.id.hex}", subject_of(request, f"{standing.person} asks you to decide")
            tell_about(request, "assigned", key, subject, people=[taker], facts=facts_of(request), channels=False)
            transaction.on_commit(inbox_changed)
    return made


def delegate_all(actor: Actor, to: str, until: datetime) -> Delegation:
    """Lets the person `to` decide on everything in the actor's place until then: out of office. The newest one counts.

    Raises `Forbidden`, and `Invalid` where `to` lacks the right, or `until` is past or more than a year away.
    """
    require_scope(actor, Right.DECIDE)
    giver = actor.person
    if giver is None or not _decides_somewhere(actor):
        raise Forbidden(Right.DECIDE)
    taker = person_named(to, "to")
    _refuse_oneself(giver, taker)
    if not _decides_somewhere(Actor(person=taker)):
        raise _without_right(taker)
    left = (until - database_now()).total_seconds()
    if not 0 < left <= 366 * 86400:
        raise Invalid("The time cannot be used.", problems=[Fault("until", "must lie ahead, within a year")])
    with transaction.atomic():
        Person.objects.select_for_update().get(id=giver.id)
        Delegation.objects.filter(giver=giver, request__isnull=True, ended_at__isnull=True).update(ended_at=Now())
        made = Delegation.objects.create(giver=giver, taker=taker, until=until)
        data = {"to": taker.username, "until": until.isoformat()}
        record_change(actor, "approval.delegate_all", "person", giver.username, data)
        subject = f"{giver} hands their approvals to you until {until:%d %b %Y %H:%M} UTC"
        notify("assigned", f"delegated:{made.id.hex}", subject, "/approvals", people=[taker], channels=False)
        transaction.on_commit(inbox_changed)
    return made


def end_delegation(actor: Actor, delegation: Delegation) -> Delegation:
    """Takes a mandate back. Raises `NotFound` where it is not the actor's."""
    if actor.person is None or delegation.giver_id != actor.person.id:
        raise NotFound("delegation")
    with transaction.atomic():
        if Delegation.objects.filter(id=delegation.id, ended_at__isnull=True).update(ended_at=Now()):
            data = {"to": delegation.taker.username, "request": delegation.request and delegation.request.public_id}
            record_change(actor, "approval.end_delegation", "person", actor.person.username, data)
        transaction.on_commit(inbox_changed)
    delegation.refresh_from_db()
    return delegation


def _decides_somewhere(actor: Actor) -> bool:
    return Right.DECIDE in actor.holdings.everywhere or bool(actor.holdings.teams(Right.DECIDE))


def _refuse_oneself(giver: Person, taker: Person) -> None:
    if giver == taker:
        raise Invalid("This changes nothing.", problems=[Fault("to", "is yourself", "Name somebody else.")])


def _without_right(taker: Person) -> Invalid:
    fault = Fault(
        "to", f"{taker.username} lacks the right {Right.DECIDE!s} there", "Name an approver, or ask an owner to grant it."
    )
    return Invalid("They may not decide.", problems=[fault])
