"""The secrets of webhooks, and what is signed with them (the Standard Webhooks scheme, specification version 1).

A sender signs ``<id>.<timestamp>.<body>`` with HMAC-SHA256 and sends three headers: ``webhook-id`` (unique to what it sends),
``webhook-timestamp`` (seconds since 1970) and ``webhook-signature`` (``v1,`` and the signature in base64; several stand apart by
blanks). Nothing of a secret is stored: it is derived from the installation's signing key and a random salt, so that it can be made
anew by drawing another salt, and a copy of the database signs nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from datetime import datetime, timedelta

from django.conf import settings

from flows.models import Trigger

FORMER_WORKS_FOR = timedelta(days=1)
PREFIX = "whsec_"


def new_salt() -> str:
    return secrets.token_hex(16)


def secret_of(trigger: Trigger) -> str:
    """The secret as its sender keeps it: ``whsec_`` and the key in base64."""
    return PREFIX + base64.b64encode(_key(trigger, trigger.salt)).decode()


def signature(key: bytes, delivery_id: str, timestamp: str, body: bytes) -> str:
    """The signature of one delivery, as the header has it."""
    signed = b".".join((delivery_id.encode(), timestamp.encode(), body))
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def key_of(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(PREFIX))


def is_signed(trigger: Trigger, delivery_id: str, timestamp: str, body: bytes, header: str, now: datetime) -> bool:
    """Whether one of the signatures in `header` is made with the trigger's secret, or with its former one in its last day."""
    salts = [trigger.salt]
    if trigger.former_salt and trigger.rotated_at is not None and now - trigger.rotated_at < FORMER_WORKS_FOR:
        salts.append(trigger.former_salt)
    given = [each.encode("utf-8", "replace") for each in header.split()[:5]]
    good = False
    for salt in salts:
        wanted = signature(_key(trigger, salt), delivery_id, timestamp, body).encode()
        for each in given:
            good |= hmac.compare_digest(wanted, each)
    return good


def _key(trigger: Trigger, salt: str) -> bytes:
    return hmac.new(settings.SECRET_KEY.encode(), f"webhook:{trigger.id.hex}:{salt}".encode(), hashlib.sha256).digest()
