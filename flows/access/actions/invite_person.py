"""Inviting a person, and taking an invitation back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.keys import digest_of
from flows.access.links import LASTS, new_link_secret
from flows.access.refusals import Fault, Invalid
from flows.access.rights import Right, require
from flows.models import Invitation, Role, Team

LONGEST = timedelta(days=30)

Wanted = tuple[str, str | None]
"""A role and the slug of the team in which it is held; None for everywhere."""


def invite_person(
    actor: Actor, roles: Iterable[Wanted], *, email: str = "", name: str = "", lasts: timedelta = LASTS
) -> tuple[Invitation, str]:
    """An invitation and the secret that its link ends in, which is not kept: show it once, or send it.

    Whoever opens the link first becomes a person with these roles. Raises `Forbidden`, and `Invalid` naming the roles and teams that
    there are.
    """
    require(actor, Right.MANAGE_PEOPLE)
    wanted = list(dict.fromkeys((role, team or None) for role, team in roles))
    faults = list(_faults(wanted, email, lasts))
    if faults:
        raise Invalid("The invitation cannot be made.", problems=faults)
    secret = new_link_secret()
    with transaction.atomic():
        invitation = Invitation.objects.create(
            digest=digest_of(secret),
            email=email,
            name=name[:120],
            roles=[{"role": role, "team": team} for role, team in wanted],
            by=actor.person,
            expires_at=timezone.now() + lasts,
        )
        data = {"email": email, "name": invitation.name, "roles": invitation.roles}
        record_change(actor, "person.invite", "invitation", invitation.public_id, data)
    return invitation, secret


def withdraw_invitation(actor: Actor, invitation: Invitation) -> bool:
    """Its link opens nothing any more; False where it did not before. Raises `Forbidden`."""
    require(actor, Right.MANAGE_PEOPLE)
    with transaction.atomic():
        changed = Invitation.objects.filter(id=invitation.id, accepted_at=None, withdrawn_at=None).update(withdrawn_at=Now())
        if changed:
            record_change(actor, "person.uninvite", "invitation", invitation.public_id, {"email": invitation.email})
    return bool(changed)


def _faults(wanted: list[Wanted], email: str, lasts: timedelta) -> Iterable[Fault]:
    if not wanted:
        yield Fault("roles", "is empty", "Give at least one role; it can be changed later.")
    for role, team in wanted:
        if role not in Role.values:
            yield Fault("roles", f"{role[:40]!r} is unknown", f"Use {', '.join(Role.values)}.")
        if team is not None and not Team.objects.filter(slug=team[:64].replace("\x00", "")).exists():
            yield Fault("roles", f"there is no team {team[:64]!r}")
    if email:
        try:
            validate_email(email)
        except ValidationError:
            yield Fault("email", "is no e-mail address")
    if not timedelta(0) < lasts <= LONGEST:
        yield Fault("days", "is out of bounds", f"Use 1 to {LONGEST.days} days.")
