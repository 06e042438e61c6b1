"""Making an API key."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from flows.access.actor import SCOPES, Actor
from flows.access.audit import record_change
from flows.access.keys import digest_of, new_secret
from flows.access.refusals import Fault, Forbidden, Invalid
from flows.access.rights import Right, require, require_scope
from flows.models import ApiKey, Person


def create_key(
    actor: Actor, person: Person, scopes: Iterable[str], *, label: str = "", expires_at: datetime | None = None
) -> tuple[ApiKey, str]:
    """A key that acts as `person`, and its secret, which is not kept: show it once.

    Everybody makes keys for themselves; for others it takes the right to manage keys. A key makes no key that may do more than
    itself. Raises `Forbidden`, and `Invalid` naming the scopes that there are.
    """
    if actor.person is None or actor.person.id != person.id:
        require(actor, Right.MANAGE_KEYS)
    elif actor.key is not None:
        require_scope(actor, Right.MANAGE_KEYS)
    wanted = sorted(set(scopes))
    unknown = [scope for scope in wanted if scope not in SCOPES]
    if unknown or not wanted:
        what = f"{', '.join(unknown)[:120]} is unknown" if unknown else "is empty"
        raise Invalid("The key cannot be made.", problems=[Fault("scopes", what, f"Choose of: {', '.join(SCOPES)}.")])
    if expires_at is not None and expires_at <= timezone.now():
        raise Invalid("The key cannot be made.", problems=[Fault("expires_at", "is over already", "Give a time to come.")])
    if not person.is_active:
        raise Forbidden(Right.MANAGE_KEYS, "This person is deactivated.")
    secret = new_secret()
    with transaction.atomic():
        key = ApiKey.objects.create(
            person=person, label=label[:120], digest=digest_of(secret), hint=secret[:12], scopes=wanted, expires_at=expires_at
        )
        data = {
            "person": person.username,
            "label": key.label,
            "scopes": wanted,
            "expires_at": expires_at and expires_at.isoformat(),
        }
        record_change(actor, "key.create", "key", key.hint, data)
    return key, secret
