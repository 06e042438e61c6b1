"""Changing what is known of a person."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Fault, Invalid
from flows.access.rights import Right, require, require_scope
from flows.models import Person


def change_person(actor: Actor, person: Person, *, name: str | None = None, email: str | None = None) -> Person:
    """Sets what is given; one's own needs no right. Raises `Forbidden`, `Invalid`."""
    if actor.person is None or actor.person.id != person.id:
        require(actor, Right.MANAGE_PEOPLE)
    else:
        require_scope(actor, Right.MANAGE_PEOPLE)
    given = {field: value.replace("\x00", "").strip() for field, value in (("name", name), ("email", email)) if value is not None}
    faults = []
    if "name" in given and not 0 < len(given["name"]) <= 120:
        faults.append(Fault("name", "is empty or too long", "Use 1 to 120 characters."))
    if given.get("email"):
        try:
            validate_email(given["email"])
        except ValidationError:
            faults.append(Fault("email", "is no e-mail address"))
    if faults:
        raise Invalid("The person cannot be changed.", problems=faults)
    with transaction.atomic():
        locked = Person.objects.select_for_update().get(id=person.id)
        before = {field: getattr(locked, field) for field in given}
        if before != given:
            Person.objects.filter(id=person.id).update(**given)
            record_change(actor, "person.change", "person", person.username, {"before": before, "after": given})
    return Person.objects.get(id=person.id)
