"""Says that what somebody may do has changed, so that what they have open looks again at once."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.dispatch import Signal

rights_changed = Signal()
"""Sent after the commit with `person`: whose rights changed, as UUID, or None for everybody's."""


def tell_rights_changed(person: UUID | None) -> None:
    """Tells once the transaction of the change is committed; a change that did not happen is told to nobody."""
    transaction.on_commit(lambda: rights_changed.send(None, person=person))
