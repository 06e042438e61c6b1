"""What every page's request carries and every page's answer says.

A request gets ``request_id``, ``actor`` (who acts, or None) and ``toast(text)``. A verb's refusal that leaves a view becomes a page,
or, for htmx, one sentence that the browser shows in a toast.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone

from flows.access.actor import Actor
from flows.access.audit import record_refusal
from flows.access.installation import the_installation
from flows.access.refusals import Forbidden, Refusal
from flows.access.signins import address_of, note_use
from orchestrator.pages import problems

log = logging.getLogger(__name__)

Answer = Callable[[HttpRequest], HttpResponse]

POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
FOREIGN = frozenset({"cross-site", "same-site"})


class PolicyMiddleware:
    """The content security policy: nothing from elsewhere, nothing inline. And no change that another site's page asks for."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if (
            request.method not in SAFE
            and request.headers.get("Sec-Fetch-Site") in FOREIGN
            and "Authorization" not in request.headers
        ):
            response: HttpResponse = HttpResponse("This came from another site's page and was refused.\n", "text/plain", 403)
        else:
            response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        response.headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
        return response


class PageMiddleware:
    """Who asks, in which time zone, and what becomes of refusals. Stands after the sign-in and htmx middlewares."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> HttpResponse:
        request.request_id = secrets.token_hex(6)
        request.actor = (
            Actor(person=request.user, request=request.request_id, address=address_of(request))
            if request.user.is_authenticated
            else None
        )
        if request.actor is not None:
            note_use(request.session.session_key, request.actor)
        toasts: list[str] = []
        request.toast = toasts.append
        with timezone.override(zone_of(request) or the_installation().tz):
            response = self.get_response(request)
        if toasts:
            deliver(request, response, toasts)
        response.headers["X-Request-ID"] = request.request_id
        if request.actor is not None and response.headers.get("Content-Type", "").startswith("text/html"):
            response.headers.setdefault("Cache-Control", "private, no-cache")
        return response

    def process_exception(self, request: Any, exception: Exception) -> HttpResponseBase | None:
        if isinstance(exception, Http404):
            return None  # Django answers it; nothing has gone wrong
        if not isinstance(exception, Refusal):
            log.error("request %s failed: %s %s", request.request_id, request.method, request.path)
            return None
        if request.actor is not None and isinstance(exception, Forbidden) and request.method not in SAFE:
            record_refusal(request.actor, exception, request.method, request.path)
        if request.htmx:
            return HttpResponse(exception.message, "text/plain; charset=utf-8", exception.status)
        if isinstance(exception, Forbidden):
            return problems.forbidden(request, exception)
        return problems.refused(request, exception)


def zone_of(request: HttpRequest) -> ZoneInfo | None:
    """The reader's time zone: the one that they chose, else the one that their browser tells; both are cookies."""
    return zone_named((request.COOKIES.get("zone") or request.COOKIES.get("tz", "")).replace("%2F", "/"))


def zone_named(name: str) -> ZoneInfo | None:
    """The zone of this name; None where there is none."""
    try:
        return ZoneInfo(name) if name and len(name) < 64 else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def deliver(request: Any, response: HttpResponse, toasts: list[str]) -> None:
    """Says what happened: at once where htmx asked, else on the next full page."""
    if request.htmx:
        events = json.loads(response.headers.get("HX-Trigger") or "{}")
        response.headers["HX-Trigger"] = json.dumps({**events, "toast": {"text": toasts[-1]}})
    else:
        request.session["toasts"] = [*request.session.get("toasts", []), *toasts]
        request.session.save()
