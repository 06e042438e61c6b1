"""Oneself over HTTP, the browsers in which people are signed in, the rules of that, and links for new passwords.

How one is told of things is at ``/notices/preference``, who decides while one is away at ``/delegations``, one's keys at ``/keys``.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from ninja import Router, Schema, Status
from pydantic import Field

from flows.access.actions.change_person import change_person
from flows.access.actions.end_sign_in import end_sign_in, end_sign_ins
from flows.access.actions.make_password_link import make_password_link
from flows.access.rights import Right, require_scope
from flows.access.signins import SignedIn, people_signed_in, sign_ins_of
from flows.api.auth import actor_of
from flows.api.problems import ProblemDocument
from flows.api.shapes import Time
from flows.models import Person, SignIn
from orchestrator.people.api import REFUSALS, PersonChange, PersonShape, managed, person_shape
from orchestrator.people.entering import rules
from orchestrator.people.reads import sign_in_named

router = Router(tags=["people"])


class SignInShape(Schema):
    id: str
    browser: str = Field(description="as it calls itself")
    address: str = Field(description="of the network, when it was last used")
    at: Time
    seen_at: Time


class SignInList(Schema):
    items: list[SignInShape]


class RuleShape(Schema):
    what: str
    words: str
    variable: str = Field(description="the environment variable that says so; empty where none does")


class SignedInShape(Schema):
    person: str
    name: str
    browsers: int = Field(description="in which they are signed in")
    seen_at: Time = Field(description="when one of them was last used")


class SignInsShape(Schema):
    rules: list[RuleShape]
    items: list[SignedInShape]


class PasswordLink(Schema):
    link: str = Field(description="works once, for three days; in this answer alone")


@router.get("/me", response={200: PersonShape, 403: ProblemDocument})
def get_me(request: HttpRequest) -> Any:
    """You, as the key's person."""
    return person_shape(_myself(request))


@router.patch("/me", response={200: PersonShape} | REFUSALS)
def patch_me(request: HttpRequest, body: PersonChange) -> Any:
    """Sets your name and address, where the body names them."""
    return person_shape(change_person(actor_of(request), _myself(request), name=body.name, email=body.email))


@router.get("/me/sign-ins", response={200: SignInList, 403: ProblemDocument})
def list_my_sign_ins(request: HttpRequest) -> Any:
    """The browsers in which you are signed in, the last used first."""
    return {"items": [_sign_in(each) for each in sign_ins_of(_myself(request))]}


@router.delete("/me/sign-ins/{sign_in_id}", response={204: None} | REFUSALS)
def delete_my_sign_in(request: HttpRequest, sign_in_id: str) -> Any:
    """Signs one of your browsers out."""
    end_sign_in(actor_of(request), sign_in_named(_myself(request), sign_in_id))
    return Status(204, None)


@router.get("/sign-ins", response={200: SignInsShape, 403: ProblemDocument})
def get_sign_ins(request: HttpRequest) -> Any:
    """By what rules people come in, and who is signed in now, the last seen first; at most 500. Needs the right `people.manage`."""
    return sign_ins_shape(people_signed_in(actor_of(request)))


@router.get("/people/{username}/sign-ins", response={200: SignInList, 403: ProblemDocument, 404: ProblemDocument})
def list_sign_ins(request: HttpRequest, username: str) -> Any:
    """The browsers in which this person is signed in, the last used first."""
    return {"items": [_sign_in(each) for each in sign_ins_of(managed(request, username))]}


@router.delete("/people/{username}/sign-ins/{sign_in_id}", response={204: None} | REFUSALS)
def delete_sign_in(request: HttpRequest, username: str, sign_in_id: str) -> Any:
    """Signs one of this person's browsers out."""
    end_sign_in(actor_of(request), sign_in_named(managed(request, username), sign_in_id))
    return Status(204, None)


@router.delete("/people/{username}/sign-ins", response={204: None} | REFUSALS)
def delete_sign_ins(request: HttpRequest, username: str) -> Any:
    """Signs all of this person's browsers out."""
    end_sign_ins(actor_of(request), managed(request, username))
    return Status(204, None)


@router.post("/people/{username}/password-link", response={201: PasswordLink} | REFUSALS)
def post_password_link(request: HttpRequest, username: str) -> Any:
    """A link by which this person sets a new password."""
    parts = make_password_link(actor_of(request), managed(request, username))
    return Status(201, {"link": request.build_absolute_uri(reverse("password-reset", args=parts))})


def sign_ins_shape(found: list[SignedIn]) -> dict[str, Any]:
    """The rules, and who is signed in, as `SignInsShape`."""
    items = [
        {"person": each.person.username, "name": each.person.name, "browsers": each.browsers, "seen_at": each.seen_at}
        for each in found
    ]
    return {"rules": [asdict(rule) for rule in rules()], "items": items}


def _myself(request: HttpRequest) -> Person:
    actor = actor_of(request)
    require_scope(actor, Right.MANAGE_PEOPLE)
    assert actor.person is not None, "every door of the API is a person's"
    return actor.person


def _sign_in(each: SignIn) -> dict[str, Any]:
    return {
        "id": each.public_id,
        "browser": each.agent,
        "address": each.address,
        "at": each.at,
        "seen_at": each.seen_at,
    }
