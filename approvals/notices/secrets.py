"""The secrets of outgoing webhooks: derived, like those of incoming ones, so that a copy of the database signs nothing."""

from __future__ import annotations

import base64
import hashlib
import hmac

from django.conf import settings
from django.utils import timezone

from approvals.models import Channel
from flows.triggers.secrets import FORMER_WORKS_FOR, PREFIX


def secret_of(channel: Channel) -> str:
    """The secret as the receiver keeps it."""
    return PREFIX + _derived(channel, channel.salt)


def key_of(channel: Channel) -> list[str]:
    """The keys to sign with, in base64: the newest, and for a day the one before, so that receivers can change over."""
    salts = [channel.salt]
    if channel.former_salt and channel.rotated_at is not None and timezone.now() - channel.rotated_at < FORMER_WORKS_FOR:
        salts.append(channel.former_salt)
    return [_derived(channel, salt) for salt in salts]


def _derived(channel: Channel, salt: str) -> str:
    key = hmac.new(settings.SECRET_KEY.encode(), f"channel:{channel.id.hex}:{salt}".encode(), hashlib.sha256).digest()
    return base64.b64encode(key).decode()
