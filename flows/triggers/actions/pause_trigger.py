"""Pausing a trigger, and letting it go on."""

from __future__ import annotations

from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.rights import Right, require
from flows.models import Trigger
from flows.triggers.clock import database_now
from flows.triggers.reads import schedule_of


def pause_trigger(actor: Actor, trigger: Trigger, *, paused: bool = True) -> Trigger:
    """A paused trigger starts nothing; fire times that pass meanwhile are not missed, they are not due. Twice changes nothing. Raises
    `Forbidden`."""
    require(actor, Right.CONTROL_RUNS, trigger.flow)
    with transaction.atomic():
        trigger = Trigger.objects.select_for_update(of=("self",)).select_related("flow", "owner").get(id=trigger.id)
        if (trigger.paused_at is not None) == paused:
            return trigger
        now = database_now()
        trigger.paused_at, trigger.paused_by = (now, actor.person) if paused else (None, None)
        if trigger.kind == "schedule":
            trigger.next_fire_at = None if paused else schedule_of(trigger).next_after(now)
        trigger.save(update_fields=["paused_at", "paused_by", "next_fire_at"])
        verb = "trigger.pause" if paused else "trigger.resume"
        record_change(actor, verb, "trigger", trigger.public_id, {"flow": trigger.flow.slug, "name": trigger.name})
    return trigger
