"""Giving a webhook a new secret."""

from __future__ import annotations

from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Conflict
from flows.access.rights import Right, require
from flows.models import Trigger
from flows.triggers.clock import database_now
from flows.triggers.secrets import new_salt, secret_of


class NoSecret(Conflict):
    """Only a webhook has a secret."""

    slug = "no-secret"


def rotate_secret(actor: Actor, trigger: Trigger) -> str:
    """The webhook's new secret, shown this once. The former one works for a day longer, any before it no more. Raises `Forbidden`,
    `NoSecret`."""
    require(actor, Right.EDIT_FLOWS, trigger.flow)
    if trigger.kind != "webhook":
        raise NoSecret
    with transaction.atomic():
        locked = Trigger.objects.select_for_update().get(id=trigger.id)
        locked.former_salt, locked.salt, locked.rotated_at = locked.salt, new_salt(), database_now()
        locked.save(update_fields=["former_salt", "salt", "rotated_at"])
        record_change(actor, "trigger.rotate", "trigger", locked.public_id, {"flow": trigger.flow.slug, "name": trigger.name})
    return secret_of(locked)
