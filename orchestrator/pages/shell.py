"""What the shell around every page shows: a context processor that does its work when the template asks."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.http import HttpRequest

from approvals.reads import waiting_for
from flows.access.actor import Actor
from flows.access.installation import Known, look_up, the_installation
from flows.access.rights import Right
from flows.execution.errands import Underway, errand_of
from flows.execution.killswitch import switch_for
from flows.models import KillSwitch, Person
from orchestrator.pages.navigation import Place, anywhere, places_for

THEMES, DENSITIES, NAVS = ("system", "light", "dark"), ("default", "compact", "roomy"), ("open", "collapsed")
TIMES, KEYS, MOTIONS = ("relative", "absolute"), ("on", "off"), ("system", "reduced")
STARTS = {"home": "/", "approvals": "/approvals", "runs": "/runs", "flows": "/flows", "costs": "/costs"}
"""The pages on which somebody may begin who signs in without having asked for one."""


def shell(request: HttpRequest) -> dict[str, Any]:
    return {"shell": Shell(request)}


class Shell:
    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    @property
    def actor(self) -> Actor | None:
        return getattr(self._request, "actor", None)

    @property
    def signed_in(self) -> bool:
        return self.actor is not None

    @property
    def person(self) -> Person | None:
        return self.actor.person if self.actor is not None else None

    @cached_property
    def installation(self) -> Known:
        """What it is called and how its money is labelled: known with whoever is signed in, else asked for."""
        return the_installation() if self.signed_in else look_up()

    @property
    def initials(self) -> str:
        words = str(self.person or "").replace("-", " ").split()
        return "".join(word[0] for word in (words if len(words) < 3 else (words[0], words[-1]))).upper()

    @cached_property
    def places(self) -> list[Place]:
        return list(places_for(self.actor, self._request.path)) if self.actor is not None else []

    @cached_property
    def waiting(self) -> int:
        """How many requests wait for this person; a view that has counted them says so."""
        counted: int | None = getattr(self._request, "waiting", None)
        if counted is not None:
            return counted
        return waiting_for(self.actor) if self.actor is not None and self.live else 0

    @cached_property
    def switch(self) -> KillSwitch | None:
        """The kill switch, for whoever is signed in."""
        return switch_for(self.person) if self.actor is not None else None

    @property
    def errand(self) -> Underway | None:
        """The long work that this person waits for, or that ended just now."""
        return errand_of(self.person)

    @property
    def may_throw_switch(self) -> bool:
        return self.actor is not None and self.actor.may(Right.THROW_SWITCH)

    @property
    def rights_mark(self) -> str:
        """Of the rights that this page was rendered for: its socket says it, and hears when they are others by then."""
        return self.actor.holdings.mark if self.actor is not None else ""

    @property
    def live(self) -> bool:
        """Whether the page opens a socket: only somebody who may see something has a use for one."""
        return self.actor is not None and anywhere(self.actor, Right.SEE_REQUESTS)

    @cached_property
    def toasts(self) -> list[str]:
        """What happened before this page was asked for; said once."""
        session = getattr(self._request, "session", None)
        return list(session.pop("toasts", [])) if session is not None and "toasts" in session else []

    @property
    def theme(self) -> str:
        return self._cookie("theme", THEMES)

    @property
    def density(self) -> str:
        return self._cookie("density", DENSITIES)

    @property
    def nav_state(self) -> str:
        return self._cookie("nav", NAVS)

    @property
    def times(self) -> str:
        return self._cookie("times", TIMES)

    @property
    def keys(self) -> str:
        """Whether single keys do something."""
        return self._cookie("keys", KEYS)

    @property
    def motion(self) -> str:
        """Whether things move as the system says, or not at all."""
        return self._cookie("motion", MOTIONS)

    @property
    def start(self) -> str:
        return self._cookie("start", tuple(STARTS))

    @property
    def start_address(self) -> str:
        return STARTS[self.start]

    @property
    def starts(self) -> list[tuple[str, str]]:
        return [(slug, slug.capitalize()) for slug in STARTS]

    @property
    def zone(self) -> str:
        """The time zone that the reader chose; empty where their browser tells it."""
        return self._request.COOKIES.get("zone", "")[:64]

    def _cookie(self, name: str, allowed: tuple[str, ...]) -> str:
        """A choice of looks that the browser keeps; the first of those allowed where it keeps none."""
        value = self._request.COOKIES.get(name, "")
        return value if value in allowed else allowed[0]
