"""Shutting a person out, and giving what waits for them to somebody else, in one act."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from approvals.models import Delegation, Docket
from approvals.rules import addressed
from flows.access.actions.deactivate_person import deactivate_person
from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Conflict, Fault, Invalid
from flows.access.rights import INCLUDES, Right, require
from flows.engine.states import OPEN_REQUEST_STATES
from flows.execution.doorbells import inbox_changed
from flows.execution.moves import announce, append_event, lock_run
from flows.models import Membership, Person, Request

DECIDING = sorted(role for role, rights in INCLUDES.items() if Right.DECIDE in rights)


class NeedsSuccessor(Conflict):
    """Requests wait for this person and for nobody else. Say who takes them over."""

    slug = "needs-successor"

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(
            f"{count} open request{'s wait' if count != 1 else ' waits'} for this person and for nobody else. Say who takes over."
        )

    def facts(self) -> dict[str, Any]:
        return {"requests": self.count}


def offboard_person(actor: Actor, person: Person, successor: Person | None = None) -> int:
    """`person` can no longer sign in and their keys are ended; the open requests that name them name `successor` instead, and so do
    those that nobody else could decide. Gives how many were handed over.

    Raises `Forbidden`, `LastOwner`, `NeedsSuccessor`, `Invalid`; then nothing has changed.
    """
    require(actor, Right.MANAGE_PEOPLE)
    if successor is not None and (successor.id == person.id or not successor.is_active):
        raise Invalid(
            "Nothing was changed.", problems=[Fault("successor", "cannot take over", "Name somebody else who is active.")]
        )
    with transaction.atomic():
        deactivate_person(actor, person)
        _leave_the_desk(actor, person, successor)
        theirs = requests_of(person)
        if successor is None:
            orphaned = [request for request in theirs if is_orphaned(request, person)]
            if orphaned:
                raise NeedsSuccessor(len(orphaned))
            return 0
        for request in theirs:
            _hand_over(actor, request, person, successor)
        if theirs:
            transaction.on_commit(inbox_changed)
    return len(theirs)


def requests_of(person: Person) -> list[Request]:
    """The open requests that name this person, or that nobody but this person could decide."""
    found = _open().filter(terms__approvers__people__contains=[person.username])
    teams = list(
        Membership.objects.filter(person=person, role__in=DECIDING, team__isnull=False).values_list("team__slug", flat=True)
    )
    shared = _open().exclude(id__in=found.values("id")).filter(Q(terms__approvers__teams__has_any_keys=teams)) if teams else []
    return [*found, *(request for request in shared if is_orphaned(request, person))]


def is_orphaned(request: Request, without: Person) -> bool:
    """Whether nobody who is active could decide on it once `without` is gone."""
    people, teams = addressed(request)
    if Person.objects.filter(username__in=people, is_active=True).exclude(id=without.id).exists():
        return False
    if not teams:
        return bool(people)
    deciding = Membership.objects.filter(role__in=DECIDING, person__is_active=True).exclude(person=without)
    return not deciding.filter(Q(team__slug__in=teams) | Q(team=None)).exists()


def _open() -> QuerySet[Request]:
    return Request.objects.filter(state__in=sorted(OPEN_REQUEST_STATES)).exclude(kind="test").order_by("id")


def _leave_the_desk(actor: Actor, person: Person, successor: Person | None) -> None:
    """What was assigned to the person is the successor's, what they had claimed is free, and nobody stands in for anybody any more."""
    Docket.objects.filter(assigned_to=person, request__in=_open().values("id")).update(assigned_to=successor)
    Docket.objects.filter(claimed_by=person).update(claimed_by=None, claimed_until=None)
    open_ones = Delegation.objects.filter(Q(giver=person) | Q(taker=person), ended_at=None).select_related(
        "giver", "taker", "request"
    )
    for each in open_ones.select_for_update(of=("self",)):
        data = {
            "to": each.taker.username,
            "request": each.request and each.request.public_id,
            "reason": f"{person.username} left",
        }
        record_change(actor, "approval.end_delegation", "person", each.giver.username, data)
    open_ones.update(ended_at=Now())
    transaction.on_commit(inbox_changed)


def _hand_over(actor: Actor, request: Request, person: Person, successor: Person) -> None:
    run = lock_run(request.run_id) if request.run_id is not None else None
    request = Request.objects.select_for_update(of=("self",)).get(id=request.id)
    if request.state not in OPEN_REQUEST_STATES:
        return
    people, _ = addressed(request)
    after = list(dict.fromkeys([*(name for name in people if name != person.username), successor.username]))
    approvers = {**(request.terms.get("approvers") or {}), "people": after}
    Request.objects.filter(id=request.id).update(terms={**request.terms, "approvers": approvers})
    facts = {"before": people, "after": after, "reason": f"{person.username} was deactivated"}
    record_change(actor, "approval.reassign", "request", request.public_id, facts)
    if run is not None:
        append_event(run, "request.reassigned", request.path, {"request": request.public_id, "to": successor.username})
        announce(run)
