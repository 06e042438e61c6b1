"""Letters about people: invitations and new passwords, by Django's mail."""

from __future__ import annotations

import logging
import smtplib

from django.core.mail import send_mail

from flows.access.installation import look_up
from flows.models import Invitation

log = logging.getLogger(__name__)


def mail_invitation(invitation: Invitation, link: str) -> str | None:
    """Sends the link; None, or why it could not be sent, in the server's words."""
    name = look_up().name
    by = invitation.by or "An owner"
    text = f"{by} invites you to {name}.\n\n{link}\n\nThe link works once, until {invitation.expires_at:%Y-%m-%d %H:%M} UTC.\n"
    try:
        send_mail(f"You are invited to {name}", text, None, [invitation.email])
    except (OSError, smtplib.SMTPException) as error:
        log.warning("an invitation could not be sent: %s", type(error).__name__)
        return str(error)[:300]
    return None
