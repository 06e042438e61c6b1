"""Links that let somebody in once: what they end in is random, and only its hash is kept."""

from __future__ import annotations

import secrets
from datetime import timedelta

from flows.access.keys import digest_of
from flows.models import Invitation

LASTS = timedelta(days=7)


def new_link_secret() -> str:
    return secrets.token_urlsafe(24)


def invitation_behind(secret: str) -> Invitation | None:
    """The invitation of this link, used or not; None where there is none."""
    return Invitation.objects.filter(digest=digest_of(secret)).select_related("by").first()
