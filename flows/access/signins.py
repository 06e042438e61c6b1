"""In which browsers a person is signed in, and since when; kept in step with Django's sessions by its signals."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Count, Max, QuerySet
from django.db.models.functions import Now
from django.dispatch import receiver
from django.http import HttpRequest

from flows.access.actor import Actor, system
from flows.access.audit import record_change
from flows.access.rights import Right, require
from flows.models import Person, SignIn

NOTED_EVERY = 60.0  # seconds
MOST_NOTED = 10_000  # sessions that one process remembers
MOST_LISTED = 500  # people

_noted: dict[str, float] = {}


def sign_ins_of(person: Person) -> QuerySet[SignIn]:
    """The browsers in which this person is signed in now, the last used first."""
    return _alive().filter(person=person).order_by("-seen_at", "-id")


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody who is signed in: in how many browsers, and when one of them was last used."""

    person: Person
    browsers: int
    seen_at: datetime


def people_signed_in(actor: Actor) -> list[SignedIn]:
    """Who is signed in now, the last seen first; at most `MOST_LISTED`. Two queries. Raises `Forbidden`."""
    require(actor, Right.MANAGE_PEOPLE)
    counted = _alive().filter(person__is_active=True).values("person_id").annotate(browsers=Count("id"), last=Max("seen_at"))
    found = list(counted.order_by("-last", "person_id")[:MOST_LISTED])
    people = Person.objects.in_bulk([each["person_id"] for each in found])
    return [SignedIn(people[each["person_id"]], each["browsers"], each["last"]) for each in found]


def _alive() -> QuerySet[SignIn]:
    """The sign-ins whose sessions go on."""
    return SignIn.objects.filter(session_key__in=Session.objects.filter(expire_date__gt=Now()).values("session_key"))


def note_use(session_key: str | None, actor: Actor) -> None:
    """Notes, to the minute, that the browser of this session was used. Mostly it costs a look into memory."""
    now = time.monotonic()
    if session_key is None or actor.person is None or now - _noted.get(session_key, -NOTED_EVERY) < NOTED_EVERY:
        return
    remember(session_key)
    due = Now() - timedelta(seconds=NOTED_EVERY)
    if SignIn.objects.filter(session_key=session_key, seen_at__lt=due).update(seen_at=Now(), address=actor.address[:64]):
        Person.objects.filter(id=actor.person.id).update(seen_at=Now())


def remember(session_key: str) -> None:
    if len(_noted) >= MOST_NOTED:
        _noted.clear()
    _noted[session_key] = time.monotonic()


def address_of(request: HttpRequest) -> str:
    """The network address that asks: as the server sees it, since whoever asks can write what they like into a header."""
    return str(request.META.get("REMOTE_ADDR") or "")


@receiver(user_logged_in)
def begun(request: Any, user: Person, **_: Any) -> None:
    """Keeps a row of the new session, and a line in the audit log."""
    if request.session.session_key is None:
        request.session.save()
    key, address = str(request.session.session_key), address_of(request)
    agent = str(request.META.get("HTTP_USER_AGENT") or "").replace("\x00", "")[:200]
    remember(key)
    with transaction.atomic():
        SignIn.objects.update_or_create(session_key=key, defaults={"person": user, "address": address[:64], "agent": agent})
        Person.objects.filter(id=user.pk).update(seen_at=Now())
        actor = Actor(person=user, request=getattr(request, "request_id", ""), address=address)
        record_change(actor, "signin", "person", user.username, {"agent": agent})


@receiver(user_logged_out)
def ended(request: Any, user: Person | None, **_: Any) -> None:
    if user is None:
        return
    with transaction.atomic():
        SignIn.objects.filter(session_key=request.session.session_key).delete()
        actor = Actor(person=user, request=getattr(request, "request_id", ""), address=address_of(request))
        record_change(actor, "signout", "person", user.username)


def record_failed_sign_in(username: str, address: str, request: str = "") -> None:
    """Writes down that a password was wrong. A name that is nobody's is not kept: it may be a password in the wrong field."""
    person = Person.objects.filter(username=username).first()
    door = system("sign-in", door="page")
    with transaction.atomic():
        actor = Actor(person=None, part=door.part, door="page", request=request, address=address)
        record_change(actor, "signin.refused", "person", person.username if person is not None else "(nobody's name)")
