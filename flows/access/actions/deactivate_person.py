"""Shutting a person out."""

from __future__ import annotations

from django.db import transaction
from django.db.models.functions import Now

from flows.access.actions.revoke_role import LastOwner
from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.changes import tell_rights_changed
from flows.access.rights import Right, require
from flows.models import ApiKey, Membership, Person, Role


def deactivate_person(actor: Actor, person: Person) -> bool:
    """The person can no longer sign in, and their keys are ended; False where they could not before.

    Raises `Forbidden`, and `LastOwner` where nobody would be left to let people in.
    """
    require(actor, Right.MANAGE_PEOPLE)
    with transaction.atomic():
        owners = Membership.objects.select_for_update().filter(role=Role.OWNER, team=None, person__is_active=True)
        if [owner.person_id for owner in owners] == [person.id]:
            raise LastOwner
        changed = Person.objects.filter(id=person.id, is_active=True).update(is_active=False)
        if changed:
            ApiKey.objects.filter(person=person, revoked_at__isnull=True).update(revoked_at=Now())
            record_change(actor, "person.deactivate", "person", person.username)
            tell_rights_changed(person.id)
    return bool(changed)
