"""API keys: made once, shown once, kept as a hash.

A secret is 32 random bytes, so its plain SHA-256 cannot be guessed back; one look-up by that hash finds the key, and takes the
same work whether there is one or not.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from flows.access.installation import heed_from, with_installation
from flows.models import ApiKey

PREFIX = "ork_"
KEY_PATTERN = re.compile(r"\bork_[A-Za-z0-9_-]{20,}")
USE_IS_NOTED_EVERY = timedelta(minutes=1)


def new_secret() -> str:
    """A fresh secret of a key. It is shown to the person once and never stored."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def key_behind(secret: str) -> ApiKey | None:
    """The key of this secret with its person, if it may be used now; else None. Notes at most once a minute that it was used."""
    keys = with_installation(ApiKey.objects.all())
    key = (
        keys.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=Now()), digest=digest_of(secret))
        .filter(revoked_at__isnull=True, person__is_active=True)
        .select_related("person")
        .first()
    )
    if key is None:
        return None
    heed_from(key)
    now = timezone.now()
    if key.used_at is None or now - key.used_at > USE_IS_NOTED_EVERY:
        due = Q(used_at__isnull=True) | Q(used_at__lt=Now() - USE_IS_NOTED_EVERY)
        ApiKey.objects.filter(due, id=key.id).update(used_at=Now())
    return key
