"""People, teams, invitations and keys over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from ninja import Query, Router, Schema, Status
from pydantic import Field

from approvals.actions.offboard_person import offboard_person
from approvals.actions.remove_team import remove_team
from flows.access.actions.change_person import change_person
from flows.access.actions.create_key import create_key
from flows.access.actions.create_team import create_team
from flows.access.actions.grant_role import grant_role
from flows.access.actions.invite_person import invite_person, withdraw_invitation
from flows.access.actions.reactivate_person import reactivate_person
from flows.access.actions.revoke_key import revoke_key
from flows.access.actions.revoke_role import revoke_role
from flows.access.actor import Actor
from flows.access.refusals import Fault, Invalid
from flows.access.rights import Right, require, require_scope
from flows.api.auth import actor_of
from flows.api.problems import ProblemDocument
from flows.api.shapes import Time
from flows.models import ApiKey, Invitation, Person, Team
from orchestrator.people.reads import (
    Wanted,
    held_by,
    invitation_named,
    invitations_open,
    key_named,
    keys_listed,
    people_listed,
    person_named,
    team_named,
    teams_listed,
)

router = Router(tags=["people"])

REFUSALS = {403: ProblemDocument, 404: ProblemDocument, 409: ProblemDocument, 422: ProblemDocument}


class RoleShape(Schema, extra="forbid"):
    role: str = Field(description="viewer, operator, approver, builder, owner or auditor")
    team: str | None = Field(None, description="slug of the team in which it is held; null: everywhere")


class PersonShape(Schema):
    username: str
    name: str
    email: str
    active: bool
    roles: list[RoleShape]
    seen_at: Time | None


class PeopleList(Schema):
    items: list[PersonShape]


class PersonChange(Schema, extra="forbid"):
    name: str | None = None
    email: str | None = None


class RoleChange(RoleShape):
    on: bool = Field(True, description="false: the role is taken away")


class Deactivation(Schema, extra="forbid"):
    on: bool = Field(True, description="false: the person may sign in again")
    successor: str | None = Field(None, description="who takes over the open requests that wait for this person")


class Deactivated(Schema):
    person: PersonShape
    handed_over: int = Field(description="open requests that the successor has now")


class InvitationIn(Schema, extra="forbid"):
    roles: list[RoleShape]
    email: str = ""
    name: str = ""
    days: int = Field(7, ge=1, le=30)


class InvitationShape(Schema):
    id: str
    email: str
    name: str
    roles: list[RoleShape]
    by: str | None
    expires_at: Time
    link: str | None = Field(None, description="in the answer that made it, this once")


class InvitationList(Schema):
    items: list[InvitationShape]


class TeamIn(Schema, extra="forbid"):
    slug: str
    name: str = ""


class Member(Schema):
    person: str
    role: str


class TeamShape(Schema):
    slug: str
    name: str
    members: list[Member]


class TeamList(Schema):
    items: list[TeamShape]


class KeyIn(Schema, extra="forbid"):
    scopes: list[str]
    person: str | None = Field(None, description="whom it acts as; you, where it is left out")
    label: str = ""
    expires_at: Time | None = None


class KeyShape(Schema):
    id: str
    hint: str = Field(description="how its secret begins")
    label: str
    person: str
    scopes: list[str]
    created_at: Time
    used_at: Time | None
    expires_at: Time | None
    revoked_at: Time | None
    secret: str | None = Field(None, description="in the answer that made it, this once")


class KeyList(Schema):
    items: list[KeyShape]


@router.get("/people", response={200: PeopleList, 403: ProblemDocument})
def list_people(
    request: HttpRequest, q: str = Query(""), role: str = Query(""), team: str = Query(""), state: str = Query("active")
) -> Any:
    """People by username, at most 500. `state`: active, deactivated or all. Needs the right `people.manage`."""
    text, role, team = (value.replace("\x00", "")[:120] for value in (q, role, team))
    return {"items": [person_shape(each) for each in people_listed(actor_of(request), Wanted(text, role, team, state))]}


@router.get("/people/{username}", response={200: PersonShape, 403: ProblemDocument, 404: ProblemDocument})
def get_person(request: HttpRequest, username: str) -> Any:
    """One person."""
    return person_shape(managed(request, username))


@router.patch("/people/{username}", response={200: PersonShape} | REFUSALS)
def patch_person(request: HttpRequest, username: str, body: PersonChange) -> Any:
    """Sets what the body names."""
    return person_shape(change_person(actor_of(request), managed(request, username), name=body.name, email=body.email))


@router.post("/people/{username}/roles", response={200: PersonShape} | REFUSALS)
def post_role(request: HttpRequest, username: str, body: RoleChange) -> Any:
    """Gives a role, or, with `on` false, takes it away. The last owner stays one (409)."""
    person = managed(request, username)
    team = team_named(body.team) if body.team is not None else None
    change = grant_role if body.on else revoke_role
    change(actor_of(request), person, body.role, team)
    return person_shape(person)


@router.post("/people/{username}/deactivation", response={200: Deactivated} | REFUSALS)
def post_deactivation(request: HttpRequest, username: str, body: Deactivation | None = None) -> Any:
    """Shuts the person out and hands the open requests over that name them, in one act; or, with `on` false, lets them in again."""
    person, wanted = managed(request, username), body or Deactivation(on=True, successor=None)
    if not wanted.on:
        reactivate_person(actor_of(request), person)
        return {"person": person_shape(Person.objects.get(id=person.id)), "handed_over": 0}
    successor = None
    if wanted.successor is not None:
        successor = Person.objects.filter(username=wanted.successor[:64].replace("\x00", "")).first()
        if successor is None:
            raise Invalid("Nothing was changed.", problems=[Fault("successor", "is nobody", "Name a person by username.")])
    count = offboard_person(actor_of(request), person, successor)
    return {"person": person_shape(Person.objects.get(id=person.id)), "handed_over": count}


@router.get("/invitations", response={200: InvitationList, 403: ProblemDocument})
def list_invitations(request: HttpRequest) -> Any:
    """The invitations that are open, the newest first; at most 500."""
    return {"items": [_invitation(each) for each in invitations_open(actor_of(request))[:500]]}


@router.post("/invitations", response={201: InvitationShape, 403: ProblemDocument, 422: ProblemDocument})
def post_invitation(request: HttpRequest, body: InvitationIn) -> Any:
    """Invites somebody. The answer has the link, this once; no mail is sent."""
    wanted = [(each.role, each.team) for each in body.roles]
    lasts = timedelta(days=body.days)
    invitation, secret = invite_person(actor_of(request), wanted, email=body.email, name=body.name, lasts=lasts)
    link = request.build_absolute_uri(reverse("invitation", args=[secret]))
    return Status(201, _invitation(invitation) | {"link": link})


@router.delete("/invitations/{invitation_id}", response={204: None, 403: ProblemDocument, 404: ProblemDocument})
def delete_invitation(request: HttpRequest, invitation_id: str) -> Any:
    """Withdraws an invitation: its link opens nothing any more."""
    withdraw_invitation(actor_of(request), invitation_named(actor_of(request), invitation_id))
    return Status(204, None)


@router.get("/teams", response={200: TeamList, 403: ProblemDocument})
def list_teams(request: HttpRequest) -> Any:
    """Teams by name with their people, at most 500."""
    return {"items": [team_shape(each) for each in teams_listed(actor_of(request))]}


@router.post("/teams", response={201: TeamShape, 403: ProblemDocument, 409: ProblemDocument, 422: ProblemDocument})
def post_team(request: HttpRequest, body: TeamIn) -> Any:
    """Adds a team."""
    return Status(201, team_shape(create_team(actor_of(request), body.slug, body.name)))


@router.delete("/teams/{slug}", response={204: None} | REFUSALS)
def delete_team(
    request: HttpRequest, slug: str, to: str = Query("", description="the team that gets its flows; empty: everybody")
) -> Any:
    """Removes a team. Where something still names it, nothing is changed and `problems` says what (409)."""
    require(actor_of(request), Right.MANAGE_PEOPLE)
    remove_team(actor_of(request), team_named(slug), team_named(to) if to else None)
    return Status(204, None)


@router.get("/keys", response={200: KeyList, 403: ProblemDocument})
def list_keys(request: HttpRequest, state: str = Query("active"), person: str = Query("")) -> Any:
    """Your keys, or everybody's with the right `keys.manage`; the newest first, at most 500. `state`: active, revoked or all."""
    return {"items": [key_shape(each) for each in keys_listed(actor_of(request), state, person)]}


@router.post("/keys", response={201: KeyShape} | REFUSALS)
def post_key(request: HttpRequest, body: KeyIn) -> Any:
    """Makes a key. The answer has its secret, this once."""
    actor = actor_of(request)
    person = actor.person if body.person is None else _whose(actor, body.person)
    assert person is not None, "every door of the API is a person's"
    key, secret = create_key(actor, person, body.scopes, label=body.label, expires_at=body.expires_at)
    return Status(201, key_shape(key) | {"secret": secret})


@router.delete("/keys/{key_id}", response={204: None, 403: ProblemDocument, 404: ProblemDocument})
def delete_key(request: HttpRequest, key_id: str) -> Any:
    """Ends a key."""
    actor = actor_of(request)
    if actor.key is not None:
        require_scope(actor, Right.MANAGE_KEYS)
    revoke_key(actor, key_named(actor, key_id))
    return Status(204, None)


def managed(request: HttpRequest, username: str) -> Person:
    """The person of this name, for whoever manages people. Raises `Forbidden`, `NotFound`."""
    require(actor_of(request), Right.MANAGE_PEOPLE)
    return person_named(actor_of(request), username)


def _whose(actor: Actor, username: str) -> Person:
    if actor.person is None or actor.person.username != username:
        require(actor, Right.MANAGE_KEYS)
    found = Person.objects.filter(username=username[:64].replace("\x00", "")).first()
    if found is None:
        raise Invalid("The key cannot be made.", problems=[Fault("person", "is nobody", "Name a person by username.")])
    return found


def person_shape(person: Person) -> dict[str, Any]:
    return {
        "username": person.username,
        "name": person.name,
        "email": person.email,
        "active": person.is_active,
        "roles": [{"role": each.role, "team": each.team.slug if each.team is not None else None} for each in _held(person)],
        "seen_at": person.seen_at,
    }


def _held(person: Person) -> Any:
    prefetched = getattr(person, "_prefetched_objects_cache", {})
    return person.memberships.all() if "memberships" in prefetched else held_by(person)


def _invitation(invitation: Invitation) -> dict[str, Any]:
    return {
        "id": invitation.public_id,
        "email": invitation.email,
        "name": invitation.name,
        "roles": invitation.roles,
        "by": invitation.by.username if invitation.by is not None else None,
        "expires_at": invitation.expires_at,
    }


def team_shape(team: Team) -> dict[str, Any]:
    """A team as `TeamShape`."""
    members = [{"person": each.person.username, "role": each.role} for each in team.memberships.all()]
    return {"slug": team.slug, "name": team.name, "members": members}


def key_shape(key: ApiKey) -> dict[str, Any]:
    """A key as `KeyShape`, without its secret."""
    times = ("created_at", "used_at", "expires_at", "revoked_at")
    about = {"id": key.public_id, "hint": key.hint, "label": key.label, "person": key.person.username, "scopes": key.scopes}
    return about | {name: getattr(key, name) for name in times}
