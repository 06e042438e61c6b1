"""Identifiers: UUIDv7 in the database, so that they sort by time; prefixed text (``run_0192…``) wherever people see them."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import fastuuid


class UnknownIdentifier(ValueError):
    """The text is no identifier of this kind."""


def new_id() -> UUID:
    """A fresh UUIDv7 (RFC 9562, section 5.7)."""
    return UUID(int=fastuuid.uuid7().int)


def keys_of(identifier: UUID) -> Callable[[str], UUID]:
    """Gives each name its UUIDv5 (RFC 9562, section 5.5) in the namespace of `identifier`: the same one in every process."""
    namespace = fastuuid.UUID(bytes=identifier.bytes)
    return lambda name: UUID(int=fastuuid.uuid5(namespace, name.encode()).int)


def first_id(moment: datetime) -> UUID:
    """The smallest UUIDv7 of the millisecond of this moment."""
    return UUID(int=min(max(int(moment.timestamp() * 1000), 0), 2**48 - 1) << 80)


def shown(prefix: str, identifier: UUID) -> str:
    """The public form: prefix, underscore, 32 hexadecimal digits."""
    return f"{prefix}_{identifier.hex}"


def parsed(prefix: str, text: str) -> UUID:
    """The identifier behind its public form. Raises `UnknownIdentifier` for anything else."""
    head, _, digits = text.partition("_")
    if head != prefix or len(digits) != 32:
        raise UnknownIdentifier(f"{text[:60]!r} is no identifier of the form {prefix}_…")
    try:
        return UUID(hex=digits)
    except ValueError:
        raise UnknownIdentifier(f"{text[:60]!r} is no identifier of the form {prefix}_…") from None
