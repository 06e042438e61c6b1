"""Giving a person another password."""

from __future__ import annotations

from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.passwords import password_faults
from flows.access.refusals import Fault, Forbidden, Invalid
from flows.access.rights import Right
from flows.models import Person, SignIn


def change_password(actor: Actor, current: str, fresh: str) -> Person:
    """One's own password, by whoever knows the one before; all other browsers are signed out. Raises `Forbidden`, `Invalid`."""
    person = actor.person
    if person is None or actor.key is not None:
        raise Forbidden(Right.MANAGE_PEOPLE, "A password is changed on its person's own page.")
    if not person.check_password(current):
        raise Invalid("The password stays as it is.", problems=[Fault("current", "is not your password")])
    return replace_password(actor, person, fresh)


def replace_password(actor: Actor, person: Person, fresh: str) -> Person:
    """Sets the password of somebody who has shown that they may. Raises `Invalid`."""
    faults = password_faults(fresh, person, "fresh")
    if faults:
        raise Invalid("The password stays as it is.", problems=faults)
    with transaction.atomic():
        person.set_password(fresh)
        person.save(update_fields=["password"])  # sessions are bound to it: all of them are over
        SignIn.objects.filter(person=person).delete()
        record_change(actor, "person.password", "person", person.username)
    return person
