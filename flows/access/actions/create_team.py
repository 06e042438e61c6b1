"""Adding a team."""

from __future__ import annotations

import re

from django.db import IntegrityError, transaction

from flows.access.actions.create_person import NameTaken
from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Fault, Invalid
from flows.access.rights import Right, require
from flows.models import Team

SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def create_team(actor: Actor, slug: str, name: str = "") -> Team:
    """A new team without members. Raises `Forbidden`, `Invalid`, `NameTaken`."""
    require(actor, Right.MANAGE_PEOPLE)
    if not SLUG.fullmatch(slug):
        fault = Fault("slug", "is no name of a team", "Use a-z, 0-9, - and _, at most 64 characters.")
        raise Invalid("The team cannot be added.", problems=[fault])
    try:
        with transaction.atomic():
            team = Team.objects.create(slug=slug, name=(name or slug)[:120])
            record_change(actor, "team.create", "team", slug, {"name": team.name})
    except IntegrityError:
        raise NameTaken("There is already a team of this name.") from None
    return team
