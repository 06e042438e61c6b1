"""Forgetting one entry of a memory."""

from __future__ import annotations

from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import NotFound
from flows.access.rights import Right, require
from flows.memory.reads import may_change
from flows.models import MemoryEntry


def delete_memory(actor: Actor, entry: MemoryEntry) -> None:
    """The entry and its history are gone; the audit log names it, not what it held. What runs were told before stays in their record.
    Raises `Forbidden`, and `NotFound` where somebody else was faster."""
    require_change(actor, entry)
    with transaction.atomic():
        found = MemoryEntry.objects.select_for_update().filter(id=entry.id).first()
        if found is None:
            raise NotFound("entry of a memory; it was forgotten or has expired")
        record_change(actor, "memory.delete", "memory", found.public_id, {"place": found.place, "name": found.name})
        found.delete()


def require_change(actor: Actor, entry: MemoryEntry) -> None:
    """Passes where the actor may change the entry. Raises `Forbidden`."""
    if not may_change(actor, entry):
        require(actor, Right.CONTROL_RUNS, entry.flow if entry.flow is not None else entry.team)
