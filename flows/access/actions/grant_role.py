"""Giving a person a role."""

from __future__ import annotations

from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.changes import tell_rights_changed
from flows.access.refusals import Fault, Invalid
from flows.access.rights import Right, require
from flows.models import Membership, Person, Role, Team


def grant_role(actor: Actor, person: Person, role: str, team: Team | None = None) -> Membership:
    """`person` holds `role` from now on, in `team` or, without one, everywhere. Granting twice changes nothing.

    Raises `Forbidden`, and `Invalid` naming the roles that there are.
    """
    require(actor, Right.MANAGE_PEOPLE)
    if role not in Role.values:
        raise Invalid(
            "There is no such role.", problems=[Fault("role", f"{role[:40]!r} is unknown", f"Use {', '.join(Role.values)}.")]
        )
    with transaction.atomic():
        before = roles_of(person)
        membership, fresh = Membership.objects.get_or_create(person=person, team=team, role=role)
        if fresh:
            data = {"role": role, "team": team.slug if team is not None else None, "before": before, "after": roles_of(person)}
            record_change(actor, "role.grant", "person", person.username, data)
            tell_rights_changed(person.id)
    return membership


def roles_of(person: Person) -> list[str]:
    """The roles that somebody holds, as the audit log writes them: ``owner``, ``approver in finance``."""
    held = Membership.objects.filter(person=person).order_by("role", "team__slug").values_list("role", "team__slug")
    return [f"{role} in {team}" if team else role for role, team in held]
