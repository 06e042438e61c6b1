"""Becoming a person by an invitation."""

from __future__ import annotations

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from flows.access.actions.create_person import create_person
from flows.access.actions.grant_role import grant_role
from flows.access.actor import system
from flows.access.keys import digest_of
from flows.access.refusals import Conflict
from flows.models import Invitation, Person, Team

INVITATION = system("invitation", door="page")


class InvitationOver(Conflict):
    """This invitation was used, withdrawn or is over. Ask an owner for a new one."""

    slug = "invitation-over"


def accept_invitation(secret: str, username: str, password: str, name: str = "") -> Person:
    """The new person, with the roles of the invitation behind `secret`. Of two who open the same link one is first.

    A team that was removed since gives no role. Raises `InvitationOver`, `Invalid`, `NameTaken`; then the invitation stays good.
    """
    with transaction.atomic():
        invitation = Invitation.objects.select_for_update().filter(digest=digest_of(secret)).first()
        if invitation is None or not is_open(invitation):
            raise InvitationOver
        person = create_person(INVITATION, username, password=password, name=name or invitation.name, email=invitation.email)
        teams = {team.slug: team for team in Team.objects.filter(slug__in=[each["team"] for each in invitation.roles])}
        for each in invitation.roles:
            if each["team"] is None or each["team"] in teams:
                grant_role(INVITATION, person, each["role"], teams.get(each["team"]))
        Invitation.objects.filter(id=invitation.id).update(accepted_at=Now(), person=person)
    return person


def is_open(invitation: Invitation) -> bool:
    """Whether its link can still be used."""
    return invitation.accepted_at is None and invitation.withdrawn_at is None and invitation.expires_at > timezone.now()
