"""A link by which somebody sets a new password, made by whoever manages people."""

from __future__ import annotations

from django.contrib.auth.tokens import default_token_generator
from django.db import transaction
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.rights import Right, require
from flows.models import Person


def make_password_link(actor: Actor, person: Person) -> tuple[str, str]:
    """Whose link it is, and its secret, of which nothing is kept; it works once, for three days. Raises `Forbidden`."""
    require(actor, Right.MANAGE_PEOPLE)
    with transaction.atomic():
        record_change(actor, "person.resetlink", "person", person.username)
    return urlsafe_base64_encode(force_bytes(person.pk)), default_token_generator.make_token(person)
