"""The types of the API: money is text in plain decimal notation, times are RFC 3339, identifiers carry their prefix. What a subject's
addresses take and give is in its own file here, beside the functions that make it of rows."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, PlainSerializer

FIRST_YEAR, LAST_YEAR = 1970, 2200
"""Between these, the latter left out, lie the times that are taken."""


def money_text(amount: Decimal) -> str:
    """An amount in plain decimal notation, without zeros that say nothing: ``0.0421``, never ``4.21E-2``."""
    text = format(amount, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def time_text(moment: datetime) -> str:
    """A time by RFC 3339 in UTC: ``2025-07-15T07:14:00.123456Z``."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def in_utc(moment: datetime) -> datetime:
    """A given time in UTC, since PostgreSQL knows fewer offsets than people may write; one without an offset is in UTC. Raises ValueError
    for a year of no ledger."""
    if not FIRST_YEAR <= moment.year < LAST_YEAR:
        raise ValueError(f"must be between the years {FIRST_YEAR} and {LAST_YEAR}, such as 2030-01-31T00:00:00Z")
    return moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


Money = Annotated[Decimal, PlainSerializer(money_text, return_type=str)]
Time = Annotated[datetime, PlainSerializer(time_text, return_type=str)]
Moment = Annotated[datetime, AfterValidator(in_utc)]
"""A time that is given to the API."""
