"""The types of the API: money is text in plain decimal notation, times are RFC 3339, identifiers carry their prefix. What a subject's
addresses take and give is in its own file here, beside the functions that make it of rows."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

from pydantic import PlainSerializer


def money_text(amount: Decimal) -> str:
    """An amount in plain decimal notation, without zeros that say nothing: ``0.0421``, never ``4.21E-2``."""
    text = format(amount, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def time_text(moment: datetime) -> str:
    """A time by RFC 3339 in UTC: ``2025-07-15T07:14:00.123456Z``."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


Money = Annotated[Decimal, PlainSerializer(money_text, return_type=str)]


Time = Annotated[datetime, PlainSerializer(time_text, return_type=str)]
