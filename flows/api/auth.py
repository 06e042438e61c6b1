"""Who asks: an API key in the Authorization header, the signed-in session of a page (with its CSRF token), or whom a command names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from ninja.security import APIKeyCookie, HttpBearer
from ninja.utils import check_csrf

from flows.access.actor import Actor
from flows.access.installation import the_installation
from flows.access.keys import key_behind
from flows.access.refusals import Forbidden, NotSignedIn
from flows.access.signins import address_of
from flows.models import ApiKey, Person


class BearerKey(HttpBearer):
    """An API key. One that is not good is refused, whatever session comes with it."""

    def authenticate(self, request: HttpRequest, token: str) -> Actor:
        key = key_behind(token.strip())
        if key is None:
            raise NotSignedIn("This API key is unknown, expired or revoked.")
        timezone.activate(the_installation().tz)  # until the answer: a program has no browser that tells a zone
        return actor_at(request, key.person, key)


class PageSession(APIKeyCookie):
    """The session of a page. What changes something needs the CSRF token, too."""

    param_name = settings.SESSION_COOKIE_NAME

    def __call__(self, request: HttpRequest) -> Actor | None:
        if not request.user.is_authenticated:
            return None
        if check_csrf(request) is not None:
            raise Forbidden("csrf", "The CSRF token is missing or wrong. Send it as the header X-CSRFToken.")
        return actor_at(request, request.user)

    def authenticate(self, request: HttpRequest, key: str | None) -> Actor | None:
        raise NotImplementedError


def actor_at(request: HttpRequest, person: Person, key: ApiKey | None = None) -> Actor:
    """Who asks by this request, with its number and address, as the audit log keeps them."""
    return Actor(person=person, key=key, door="api", request=getattr(request, "request_id", ""), address=address_of(request))


def by_command(request: HttpRequest) -> Actor | None:
    """Whom a command of this machine names; nothing that is sent over the network can."""
    return getattr(request, "commanding", None)


DOORS: list[Callable[[HttpRequest], Any]] = [by_command, BearerKey(), PageSession()]


def actor_of(request: HttpRequest) -> Actor:
    """Who asks, as one of `DOORS` found out."""
    return cast(Actor, request.auth)  # type: ignore[attr-defined]
