"""Letting a person in again."""

from __future__ import annotations

from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.changes import tell_rights_changed
from flows.access.rights import Right, require
from flows.models import Person


def reactivate_person(actor: Actor, person: Person) -> bool:
    """The person can sign in again, with the roles that they held; their keys stay ended. False where they could before. Raises
    `Forbidden`."""
    require(actor, Right.MANAGE_PEOPLE)
    with transaction.atomic():
        changed = Person.objects.filter(id=person.id, is_active=False).update(is_active=True)
        if changed:
            record_change(actor, "person.reactivate", "person", person.username)
            tell_rights_changed(person.id)
    return bool(changed)
