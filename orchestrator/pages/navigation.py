"""The places of the navigation. A place is shown where its page exists and this person may use it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

from django.urls import Resolver404, resolve

from flows.access.actor import Actor
from flows.access.rights import Right


@dataclass(frozen=True, slots=True)
class Place:
    """One line of the navigation; `key` goes there after a g."""

    slug: str
    label: str
    url: str
    right: Right | None = None
    key: str = ""
    on_phone: bool = False
    begins_group: bool = False
    current: bool = False
    also: tuple[str, ...] = ()  # addresses that lie in it, too

    @property
    def icon(self) -> str:
        return self.slug


PLACES = (
    Place("home", "Home", "/", key="h", on_phone=True),
    Place("approvals", "Approvals", "/approvals", Right.SEE_REQUESTS, "a", on_phone=True),
    Place("runs", "Runs", "/runs", Right.SEE_RUNS, "r", on_phone=True),
    Place("flows", "Flows", "/flows", Right.SEE_FLOWS, "f", also=("/templates",)),
    Place("costs", "Costs", "/costs", Right.SEE_COSTS, "c", on_phone=True, also=("/prices",)),
    Place("budgets", "Budgets", "/budgets", Right.SEE_COSTS, "b"),
    Place("models", "Models", "/models", Right.SEE_FLOWS, "m", begins_group=True, also=("/routes",)),
    Place("tools", "Tools", "/tools", Right.SEE_FLOWS, also=("/connections", "/secrets")),
    Place("knowledge", "Knowledge", "/knowledge", Right.SEE_FLOWS),
    Place("memory", "Memory", "/memory", Right.SEE_RUNS),
    Place("triggers", "Triggers", "/triggers", Right.SEE_FLOWS),
    Place("audit", "Audit log", "/audit", Right.SEE_AUDIT, "u"),
    Place("settings", "Settings", "/settings", Right.MANAGE_PEOPLE),
)


def places_for(actor: Actor, path: str) -> Iterator[Place]:
    """The places of this person; the one that `path` lies in is current."""
    for place in PLACES:
        if exists(place.url) and (place.right is None or anywhere(actor, place.right)):
            yield replace(place, current=any(lies_in(path, url) for url in (place.url, *place.also)))


def lies_in(path: str, url: str) -> bool:
    return path == url or (url != "/" and path.startswith(f"{url}/"))


def anywhere(actor: Actor, right: Right) -> bool:
    """Whether the right is held everywhere or in some team."""
    return actor.holdings.allow(right) or bool(actor.holdings.teams(right))


@cache
def exists(url: str) -> bool:
    try:
        resolve(url)
    except Resolver404:
        return False
    return True
