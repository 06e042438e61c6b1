"""In which standing somebody decides: as an approver, in the place of one who handed it over, or not at all."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from approvals.models import Delegation, Docket
from approvals.questions import ASKED_OF, is_question
from approvals.rules import SelfApproval, addressed, is_approver, is_own, wanted
from flows.access.actor import Actor
from flows.access.refusals import Forbidden
from flows.access.rights import Right, require_scope
from flows.models import Person, Request


@dataclass(frozen=True, slots=True)
class Standing:
    """Who decides, and for whom, where another's mandate is used."""

    person: Person
    on_behalf_of: Person | None = None

    @property
    def mandate(self) -> Person:
        """Whose vote it is: one mandate counts once."""
        return self.on_behalf_of or self.person


def require_decision(actor: Actor, request: Request, hands: Collection[int] | None = None) -> Standing:
    """The actor's standing, if they may decide on `request` now. Raises `Forbidden` or `SelfApproval`.

    `request.run.flow` should be loaded; `hands` are those who had a hand in its run, where they have been read with it.
    """
    require_scope(actor, Right.DECIDE)
    person = actor.person
    if person is None:
        raise Forbidden(Right.DECIDE, "Only a person can decide.")
    standing = Standing(person)
    if not is_approver(actor, request):
        standing = _in_anothers_place(actor, person, request)
    if not is_question(request) and any(is_own(each, request, hands) for each in {person, standing.mandate}):
        raise SelfApproval
    return _as_assigned(standing, request)


def _in_anothers_place(actor: Actor, person: Person, request: Request) -> Standing:
    refusal = Forbidden(ASKED_OF.get(request.kind, Right.DECIDE), f"This request is for {' or '.join(wanted(request))}.")
    if is_question(request) or not may_stand_in(actor, request):
        raise refusal
    own = None
    for delegation in delegations_to(person).filter(Q(request__isnull=True) | Q(request=request)).select_related("giver"):
        if is_approver(Actor(person=delegation.giver), request):
            if not is_own(delegation.giver, request):
                return Standing(person, delegation.giver)
            own = delegation
    if own is not None:
        raise SelfApproval(f"{own.giver} started or wrote this, so nobody decides on it in their place.")
    raise refusal


def _as_assigned(standing: Standing, request: Request) -> Standing:
    """The standing in which a request is decided that may be assigned to one person. Raises `Forbidden` for everybody else."""
    docket = docket_of(request)
    if docket is None or docket.assigned_to is None or docket.assigned_to in (standing.person, standing.mandate):
        return standing
    handed = delegations_to(standing.person).filter(Q(request__isnull=True) | Q(request=request), giver=docket.assigned_to)
    if handed.exists():
        return Standing(standing.person, docket.assigned_to)
    raise Forbidden(Right.DECIDE, f"This request is assigned to {docket.assigned_to}.")


def docket_of(request: Request) -> Docket | None:
    """What approvals keep about the request, as it was loaded with it, or by a query."""
    if "docket" in request._state.fields_cache:
        docket: Docket | None = request._state.fields_cache["docket"]
        return docket
    return Docket.objects.filter(request=request).select_related("assigned_to", "claimed_by").first()


def may_stand_in(actor: Actor, request: Request) -> bool:
    """Whether somebody holds the right to decide where this request belongs, so that it can be handed to them."""
    person = actor.person
    if person is None or not person.is_active:
        return False
    flow = request.asking_flow
    if actor.holdings.allow(Right.DECIDE, flow.team_id if flow is not None else None):
        return True
    _, teams = addressed(request)
    return any(actor.holdings.team_slugs[team] in teams for team in actor.holdings.teams(Right.DECIDE))


def delegations_to(person: Person | OuterRef) -> QuerySet[Delegation]:
    """What is handed to this person now."""
    in_force = Delegation.objects.filter(taker=person, ended_at__isnull=True, giver__is_active=True)
    return in_force.filter(Q(until__isnull=True) | Q(until__gt=Now()))


def with_hands(people: QuerySet[Person]) -> QuerySet[Person]:
    """The same people, each read together with whether anything is handed to them now, which spares `handed_to` a query where
    nothing is."""
    return people.annotate(handed=Exists(delegations_to(OuterRef("pk"))))


def handed_to(actor: Actor) -> list[Delegation]:
    """What is handed to this actor, read once for the life of the value, like what they hold: for lists and badges."""
    kept: list[Delegation] | None = actor.__dict__.get("_handed")
    if kept is None:
        asked = actor.person is not None and getattr(actor.person, "handed", True)
        kept = list(delegations_to(actor.person).select_related("giver")) if asked and actor.person is not None else []
        actor.__dict__["_handed"] = kept
    return kept


def could_decide(person: Person, request: Request) -> bool:
    """Whether this person, by their own right and as things stand, could decide on the request."""
    return is_approver(Actor(person=person), request) and (is_question(request) or not is_own(person, request))
