"""Making the first account of an empty installation."""

from __future__ import annotations

from django.db import connection, transaction

from flows.access.actions.create_person import create_person
from flows.access.actions.grant_role import grant_role
from flows.access.actor import system
from flows.access.refusals import Conflict, Fault, Invalid
from flows.models import Person, Role
from orchestrator import welcome

WELCOME = system("welcome", door="page")
LOCK = 7_236_411  # of nothing else


class NotEmpty(Conflict):
    """There are people already. Sign in, or ask an owner for an account."""

    slug = "not-empty"


def make_first_owner(token: str, username: str, password: str, name: str = "") -> Person:
    """The first person, as an owner everywhere, by whoever holds the printed token. Raises `Invalid`, `NotEmpty`."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])  # of two at once, one is first
        if Person.objects.exists():
            raise NotEmpty
        if not welcome.is_token(token):
            fault = Fault("token", "is not the one that was printed last", "Look at the terminal where Orchestrator was started.")
            raise Invalid("The owner cannot be made.", problems=[fault])
        person = create_person(WELCOME, username, password=password, name=name)
        grant_role(WELCOME, person, Role.OWNER, None)
    welcome.void_token()
    return person
