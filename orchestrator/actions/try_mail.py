"""Trying whether letters arrive."""

from __future__ import annotations

import smtplib

from django.conf import settings
from django.core.mail import get_connection, send_mail
from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.installation import look_up
from flows.access.letters import letters_are_sent
from flows.access.redaction import redacted
from flows.access.refusals import Fault, Invalid
from flows.access.rights import Right, require

TEXT = "This letter was sent to see whether letters arrive. There is nothing to do.\n"


def try_mail(actor: Actor) -> str:
    """Sends a letter to the actor's own address. Gives what the mail server said where it did not take it; empty where it did.

    Raises `Forbidden`, and `Invalid` where the actor has no address, or no server is set up.
    """
    require(actor, Right.MANAGE_SETTINGS)
    if not letters_are_sent():
        raise Invalid(
            "No mail server is set up.", problems=[Fault("EMAIL_HOST", "is not set", "Set it where the product starts.")]
        )
    address = actor.person.email if actor.person is not None else ""
    if not address:
        raise Invalid("There is nobody to write to.", problems=[Fault("email", "is missing", "Enter your address on your page.")])
    with transaction.atomic():
        record_change(actor, "mail.try", "mail", address)
    try:
        with get_connection(timeout=settings.EMAIL_TIMEOUT) as connection:
            send_mail(f"A test from {look_up().name}", TEXT, None, [address], connection=connection)
    except (OSError, smtplib.SMTPException) as error:
        return redacted(f"{type(error).__name__}: {error}")[:500]
    return ""
