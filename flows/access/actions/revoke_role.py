"""Taking a role from a person."""

from __future__ import annotations

from django.db import transaction

from flows.access.actions.grant_role import roles_of
from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.changes import tell_rights_changed
from flows.access.refusals import Conflict
from flows.access.rights import Right, require
from flows.models import Membership, Person, Role, Team


class LastOwner(Conflict):
    """This is the last owner. Make somebody else an owner first."""

    slug = "last-owner"


def revoke_role(actor: Actor, person: Person, role: str, team: Team | None = None) -> bool:
    """`person` no longer holds `role` in `team` (None: everywhere); False where they did not. Raises `Forbidden`, `LastOwner`."""
    require(actor, Right.MANAGE_PEOPLE)
    with transaction.atomic():
        owners = Membership.objects.select_for_update().filter(role=Role.OWNER, team=None, person__is_active=True)
        if role == Role.OWNER and team is None and [owner.person_id for owner in owners] == [person.id]:
            raise LastOwner
        before = roles_of(person)
        gone, _ = Membership.objects.filter(person=person, team=team, role=role).delete()
        if gone:
            data = {"role": role, "team": team.slug if team is not None else None, "before": before, "after": roles_of(person)}
            record_change(actor, "role.revoke", "person", person.username, data)
            tell_rights_changed(person.id)
    return bool(gone)
