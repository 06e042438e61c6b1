"""Ending an API key."""

from __future__ import annotations

from django.db import transaction
from django.db.models.functions import Now

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.changes import tell_rights_changed
from flows.access.rights import Right, require
from flows.models import ApiKey


def revoke_key(actor: Actor, key: ApiKey) -> bool:
    """The key is refused from now on; False where it was already. One's own needs no right. Raises `Forbidden`."""
    if actor.person is None or actor.person.id != key.person_id:
        require(actor, Right.MANAGE_KEYS)
    with transaction.atomic():
        changed = ApiKey.objects.filter(id=key.id, revoked_at__isnull=True).update(revoked_at=Now())
        if changed:
            record_change(actor, "key.revoke", "key", key.hint, {"person": key.person.username, "label": key.label})
            tell_rights_changed(key.person_id)
    return bool(changed)
