"""Lists in pages by key: a page begins after the last row of the one before, however many rows there are."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet
from pydantic import Field

from flows.access.refusals import Fault, Invalid

Row = TypeVar("Row", bound=Model)

MOST = 200
After = Annotated[str | None, Field(description="`next` of the page before", max_length=200)]
Limit = Annotated[int, Field(ge=1, le=MOST, description="rows of a page")]


def newest_first(rows: QuerySet[Row], after: str | None, limit: int) -> tuple[list[Row], str | None]:
    """One page of rows that are ordered by falling identifier, and the cursor of the next."""
    return _page(rows.filter(id__lt=_cursor(after)) if after else rows, limit)


def oldest_first(rows: QuerySet[Row], after: str | None, limit: int) -> tuple[list[Row], str | None]:
    """One page of rows that are ordered by rising identifier, and the cursor of the next."""
    return _page(rows.filter(id__gt=_cursor(after)) if after else rows, limit)


def _page(rows: QuerySet[Row], limit: int) -> tuple[list[Row], str | None]:
    found = list(rows[: limit + 1])
    more = len(found) > limit
    return found[:limit], _key(found[limit - 1]).hex if more else None


def _key(row: Any) -> UUID:
    return row.id


def _cursor(text: str) -> UUID:
    try:
        return UUID(hex=text)
    except ValueError:
        raise Invalid("The cursor cannot be used.", problems=[Fault("after", "is no cursor", "Use `next` of a page.")]) from None
