"""Removing a trigger."""

from __future__ import annotations

from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.rights import Right, require
from flows.models import Trigger


def remove_trigger(actor: Actor, trigger: Trigger) -> None:
    """The trigger and the list of its firings are gone; its runs stay. Raises `Forbidden`."""
    require(actor, Right.EDIT_FLOWS, trigger.flow)
    with transaction.atomic():
        data = {"flow": trigger.flow.slug, "kind": trigger.kind, "name": trigger.name, "before": trigger.settings}
        record_change(actor, "trigger.remove", "trigger", trigger.public_id, data)
        Trigger.objects.filter(id=trigger.id).delete()
