"""A person puts right what a memory holds."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Conflict, Fault, Invalid, NotFound
from flows.engine.failures import InvalidOutput
from flows.engine.masking import MASK
from flows.engine.memories import HISTORY, LARGEST_VALUE
from flows.execution.jsontext import dump, load
from flows.memory.actions.delete_memory import require_change
from flows.models import MemoryChange, MemoryEntry
from flows.models.identifiers import new_id


class MemoryChanged(Conflict):
    """The entry was changed by somebody else meanwhile."""

    slug = "memory-changed"


def change_memory(
    actor: Actor, entry: MemoryEntry, value: Any, *, expires_at: datetime | None = None, revision: int | None = None
) -> MemoryEntry:
    """The entry holds `value` from now on, until `expires_at` (None: until it is changed). With `revision`, only where it is still that
    one. The audit log names the entry, not what it holds. Raises `Forbidden`, `Invalid`, `MemoryChanged` and `NotFound`."""
    require_change(actor, entry)
    faults = []
    try:
        text = dump(value)
    except InvalidOutput as failure:
        text = ""
        faults.append(Fault("value", failure.message))
    if MASK in text and entry.shown != load(entry.value):
        faults.append(
            Fault("value", f"still holds {MASK}", "Write all of it anew: what is hidden is not kept, or forget the entry.")
        )
    if value is None:
        faults.append(Fault("value", "is null", "Delete the entry instead."))
    if len(text.encode()) > LARGEST_VALUE:
        faults.append(Fault("value", "is too large", f"A memory keeps at most {LARGEST_VALUE:,} bytes of JSON under one name."))
    if expires_at is not None and expires_at <= timezone.now():
        faults.append(Fault("expires_at", "has passed", "Give a time to come, or delete the entry."))
    if faults:
        raise Invalid("The memory cannot be changed.", problems=faults)
    with transaction.atomic():
        found = MemoryEntry.objects.select_for_update().filter(id=entry.id).first()
        if found is None:
            raise NotFound("entry of a memory; it was forgotten or has expired")
        if revision is not None and found.revision != revision:
            raise MemoryChanged(f"{found.name} was changed meanwhile: it is at revision {found.revision}, not {revision}.")
        found.stamp, found.value, found.revision, found.expires_at = new_id(), text, found.revision + 1, expires_at
        found.untrusted, found.run_id, found.path, found.set_by, found.set_at = "", None, "", actor.person, timezone.now()
        found.save()
        MemoryChange.objects.create(entry=found, revision=found.revision, value=text, by=actor.person, at=found.set_at)
        found.changes.filter(revision__lte=found.revision - HISTORY).delete()
        record_change(actor, "memory.change", "memory", found.public_id, {"place": found.place, "name": found.name})
    return found
