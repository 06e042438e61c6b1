"""Whether letters go anywhere."""

from __future__ import annotations

from django.conf import settings


def letters_are_sent() -> bool:
    """Whether a mail server is set up. Without one links are copied by hand, and nobody is told by mail."""
    return bool(settings.EMAIL_HOST)
