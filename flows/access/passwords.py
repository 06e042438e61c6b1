"""What a password must be: the rules of the setting `AUTH_PASSWORD_VALIDATORS`, as faults."""

from __future__ import annotations

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from flows.access.refusals import Fault
from flows.models import Person


def password_faults(password: str, person: Person, place: str = "password") -> list[Fault]:
    """What is wrong with `password` for this person, who need not be stored yet."""
    try:
        validate_password(password, person)
    except ValidationError as error:
        return [Fault(place, message.rstrip(".")[:1].lower() + message.rstrip(".")[1:]) for message in error.messages]
    return []
