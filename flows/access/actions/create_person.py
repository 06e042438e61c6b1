"""Adding a person."""

from __future__ import annotations

import re

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.passwords import password_faults
from flows.access.refusals import Conflict, Fault, Invalid
from flows.access.rights import Right, require
from flows.models import Person

USERNAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


class NameTaken(Conflict):
    """There is already a person of this name."""

    slug = "name-taken"


def create_person(actor: Actor, username: str, *, password: str | None = None, name: str = "", email: str = "") -> Person:
    """A new person without any role. Without a password they act only through keys.

    Raises `Forbidden`, `Invalid`, `NameTaken`.
    """
    require(actor, Right.MANAGE_PEOPLE)
    problems = []
    if not USERNAME.fullmatch(username):
        problems.append(Fault("username", "is no username", "Use a-z, 0-9, - and _, at most 64 characters."))
    if password is not None:
        problems += password_faults(password, Person(username=username, name=name, email=email))
    if email:
        try:
            validate_email(email)
        except ValidationError:
            problems.append(Fault("email", "is no e-mail address"))
    if len(name) > 120:
        problems.append(Fault("name", "is too long", "Use at most 120 characters."))
    if problems:
        raise Invalid("The person cannot be added.", problems=problems)
    try:
        with transaction.atomic():
            person = Person.objects.create_person(username, password, name=name)
            if email:
                person.email = email
                person.save(update_fields=["email"])
            record_change(actor, "person.create", "person", username, {"name": person.name})
    except IntegrityError:
        raise NameTaken from None
    return person
