"""People, teams and keys as they are looked at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, Prefetch, Q, QuerySet
from django.db.models.functions import Now

from approvals.models import Delegation
from flows.access.actor import Actor
from flows.access.refusals import NotFound
from flows.access.rights import INCLUDES, Right, require, require_scope
from flows.models import ApiKey, Invitation, Membership, Person, Role, SignIn, Team
from flows.models.identifiers import UnknownIdentifier, parsed

MOST = 500  # rows of one list


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the address of a list of people asks for."""

    text: str = ""
    role: str = ""
    team: str = ""
    state: str = "active"  # active | deactivated | all


def people_listed(actor: Actor, wanted: Wanted) -> list[Person]:
    """The matching people by username, with what they hold; at most `MOST`. Raises `Forbidden`."""
    require(actor, Right.MANAGE_PEOPLE)
    held = Membership.objects.select_related("team").order_by("team__slug", "role")
    found = Person.objects.prefetch_related(Prefetch("memberships", held)).order_by("username")
    if wanted.state != "all":
        found = found.filter(is_active=wanted.state != "deactivated")
    if wanted.text:
        found = found.filter(
            Q(username__icontains=wanted.text) | Q(name__icontains=wanted.text) | Q(email__icontains=wanted.text)
        )
    if wanted.role:
        found = found.filter(memberships__role=wanted.role).distinct()
    if wanted.team:
        found = found.filter(memberships__team__slug=wanted.team).distinct()
    return list(found[:MOST])


def away(people: Iterable[Person]) -> dict[UUID, Delegation]:
    """Who of these lets somebody else decide everything for them now, and whom until when: one query."""
    given = Delegation.objects.filter(giver__in=list(people), request__isnull=True, ended_at__isnull=True, until__gt=Now())
    return {each.giver_id: each for each in given.select_related("taker").order_by("id")}


def person_named(actor: Actor, username: str) -> Person:
    """The person of this username: oneself, or anybody for whoever manages people. Raises `Forbidden`, `NotFound`."""
    if actor.person is None or actor.person.username != username or actor.key is not None:
        require(actor, Right.MANAGE_PEOPLE)
    found = Person.objects.filter(username=username.replace("\x00", "")[:64]).first()
    if found is None:
        raise NotFound(f"person {username[:64]!r}")
    return found


def held_by(person: Person) -> list[Membership]:
    return list(person.memberships.select_related("team").order_by("team__slug", "role"))


def invitations_open(actor: Actor) -> QuerySet[Invitation]:
    """The invitations that were neither used nor withdrawn, the newest first. Raises `Forbidden`."""
    require(actor, Right.MANAGE_PEOPLE)
    return Invitation.objects.filter(accepted_at=None, withdrawn_at=None).select_related("by").order_by("-id")


def invitation_named(actor: Actor, public_id: str) -> Invitation:
    """Raises `Forbidden`, `NotFound`."""
    require(actor, Right.MANAGE_PEOPLE)
    found = Invitation.objects.filter(id=_uuid("inv", public_id, "invitation")).first()
    if found is None:
        raise NotFound("invitation")
    return found


def teams_listed(actor: Actor) -> list[Team]:
    """All teams by name, each with `members` and `flow_count`. Raises `Forbidden`."""
    require(actor, Right.MANAGE_PEOPLE)
    held = Membership.objects.select_related("person").filter(person__is_active=True).order_by("person__username", "role")
    counted = Team.objects.annotate(flow_count=Count("flows", distinct=True))
    return list(counted.prefetch_related(Prefetch("memberships", held)).order_by("name")[:MOST])


def team_named(slug: str) -> Team:
    """Raises `NotFound`."""
    found = Team.objects.filter(slug=slug.replace("\x00", "")[:64]).first()
    if found is None:
        raise NotFound(f"team {slug[:64]!r}")
    return found


def keys_listed(actor: Actor, state: str = "active", person: str = "") -> list[ApiKey]:
    """One's own keys, and everybody's for whoever manages keys; the newest first, at most `MOST`. Raises `Forbidden`."""
    if actor.key is not None:
        require_scope(actor, Right.MANAGE_KEYS)
    found = ApiKey.objects.select_related("person").order_by("-id")
    if not actor.may(Right.MANAGE_KEYS):
        found = found.filter(person=actor.person)
    if person:
        found = found.filter(person__username=person[:64].replace("\x00", ""))
    if state != "all":
        found = found.filter(revoked_at__isnull=state != "revoked")
    return list(found[:MOST])


def key_named(actor: Actor, public_id: str) -> ApiKey:
    """Raises `NotFound` for another's key, unless one manages keys."""
    found = ApiKey.objects.filter(id=_uuid("key", public_id, "key")).select_related("person").first()
    mine = found is not None and actor.person is not None and found.person_id == actor.person.id
    if found is None or not (mine or actor.holdings.allow(Right.MANAGE_KEYS)):
        raise NotFound("key")
    return found


def sign_in_named(person: Person, public_id: str) -> SignIn:
    """Raises `NotFound`."""
    found = SignIn.objects.filter(person=person, id=_uuid("sig", public_id, "sign-in")).select_related("person").first()
    if found is None:
        raise NotFound("sign-in")
    return found


def matrix() -> list[tuple[Right, list[bool]]]:
    """Each right, and which role includes it, in the roles' order."""
    return [(right, [right in INCLUDES[role] for role in Role.values]) for right in Right]


def role_words(held: Iterable[Membership]) -> list[str]:
    """Roles as they are shown: ``Approver (finance)``, ``Owner``."""
    return [
        f"{Role(each.role).label} ({each.team.slug})" if each.team is not None else str(Role(each.role).label) for each in held
    ]


def _uuid(prefix: str, public_id: str, what: str) -> UUID:
    try:
        return parsed(prefix, public_id)
    except UnknownIdentifier:
        raise NotFound(what) from None
