"""The record of who changed what. A row is inserted in the change's own transaction, so neither exists without the other."""

from __future__ import annotations

import itertools
import re
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now

from flows.access.actor import Actor
from flows.access.keys import KEY_PATTERN
from flows.access.redaction import redacted
from flows.access.refusals import Refusal
from flows.models import AuditRow

SECRET_WORDS = frozenset(
    {"password", "passwd", "secret", "secrets", "token", "authorization", "cookie", "credential", "credentials", "apikey"}
)
SECRET_PAIRS = frozenset({("api", "key"), ("private", "key"), ("access", "key"), ("signing", "key")})
REMOVED = "[removed]"
LONGEST = 2000  # characters of a text that are kept
REFUSAL = "refusal"
MOST_REFUSALS = 60


def record_change(actor: Actor, action: str, subject_kind: str, subject: str, data: dict[str, Any] | None = None) -> AuditRow:
    """Writes one row of the audit log. `data` is JSON; what looks like a secret is removed first.

    Raises RuntimeError outside a transaction: a change that could be recorded without happening would be no record.
    """
    if not connection.in_atomic_block:
        raise RuntimeError(f"record_change({action!r}) must run in the transaction of the change that it records")
    return AuditRow.objects.create(
        actor=actor.person,
        actor_name=actor.name,
        key=actor.key,
        door=actor.door,
        action=action,
        subject_kind=subject_kind,
        subject=subject[:160],
        data=without_secrets(data or {}),
        request=actor.request,
        address=actor.address[:64],
    )


def record_refusal(actor: Actor, refusal: Refusal, method: str, path: str) -> None:
    """Writes down that somebody was not allowed what they tried, unless the verb did. Of one who keeps trying at most `MOST_REFUSALS`
    rows a minute."""
    if refusal.recorded:
        return
    recent = AuditRow.objects.filter(action=REFUSAL, actor=actor.person, at__gte=Now() - timedelta(minutes=1))
    if recent.count() >= MOST_REFUSALS:
        return
    with transaction.atomic():
        data = {"method": method, "why": refusal.message, **refusal.facts()}
        record_change(actor, REFUSAL, "address", path, data)


def without_secrets(value: Any) -> Any:
    """The same JSON value, with what stands under a secret's name removed, our own keys cut out of texts, long texts cut."""
    if isinstance(value, dict):
        return {str(key): REMOVED if names_a_secret(str(key)) else without_secrets(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_secrets(item) for item in value]
    if isinstance(value, str):
        text = KEY_PATTERN.sub(REMOVED, redacted(value)).replace("\x00", "")
        return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    return value


def names_a_secret(name: str) -> bool:
    """Whether a key such as ``api_key``, ``X-Auth-Token`` or ``clientSecret`` stands for a secret; ``max_tokens`` does not."""
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]
    return any(word in SECRET_WORDS for word in words) or any(pair in SECRET_PAIRS for pair in itertools.pairwise(words))
