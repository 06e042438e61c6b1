"""Forgetting all that one memory holds."""

from __future__ import annotations

from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.memory.actions.delete_memory import require_change
from flows.models import MemoryEntry


def clear_memory(actor: Actor, entry: MemoryEntry) -> int:
    """All entries of the memory in which `entry` stands are gone, with their history; gives their number. Raises `Forbidden`."""
    require_change(actor, entry)
    with transaction.atomic():
        rows = MemoryEntry.objects.select_for_update().filter(place=entry.place).order_by("name")
        names = [row.name for row in rows]
        record_change(actor, "memory.clear", "memory", entry.place, {"names": names[:100], "entries": len(names)})
        MemoryEntry.objects.filter(place=entry.place).delete()
    return len(names)
