"""The versions of a route: each as it was, and what differs between two."""

from __future__ import annotations

from dataclasses import dataclass

from flows.access.refusals import NotFound
from flows.models import RouteVersion
from flows.runs.comparing import FieldChange, changes_between

MOST: int = 100  # versions that are listed


@dataclass(frozen=True, slots=True)
class Compared:
    """Two versions of one route, and the fields in which they differ."""

    before: RouteVersion
    after: RouteVersion
    changes: tuple[FieldChange, ...]


def versions_of(slug: str) -> list[RouteVersion]:
    """The newest versions of a route, the newest first."""
    return list(RouteVersion.objects.filter(route_id=slug).order_by("-number")[:MOST])


def version_of(slug: str, number: int) -> RouteVersion:
    """One version. Raises `NotFound`."""
    found = RouteVersion.objects.filter(route_id=slug, number=number).first() if 0 < number < 2**31 else None
    if found is None:
        raise NotFound(f"version {number} of the route {slug[:80]!r}")
    return found


def compared(slug: str, before: int | None = None, after: int | None = None) -> Compared:
    """What has to be done to the one to get the other; without a number they are the newest and the one before it. Raises `NotFound`."""
    known = RouteVersion.objects.filter(route_id=slug).order_by("-number").values_list("number", flat=True)
    if after is None:
        after = known.first() or 0
    if before is None:
        before = known.filter(number__lt=after).first() or after
    old, new = version_of(slug, before), version_of(slug, after)
    return Compared(old, new, tuple(changes_between(old.definition, new.definition)))
