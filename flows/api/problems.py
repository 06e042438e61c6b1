"""Errors as problem documents (RFC 9457): what is wrong, where, and how to mend it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from ninja import NinjaAPI, Schema
from ninja.errors import AuthenticationError, HttpError, ValidationError
from pydantic import Field

from flows.access.actor import Actor
from flows.access.audit import record_refusal
from flows.access.refusals import Fault, Forbidden, Invalid, NotFound, NotSignedIn, Refusal, TooLarge, TooManyAttempts
from flows.engine.problems import path_text

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
log = logging.getLogger(__name__)

TITLES = {
    400: "The request cannot be read",
    401: "Sign in first",
    403: "Not allowed",
    404: "Not found",
    405: "Not this way",
    409: "Something else was first",
    413: "Too large",
    422: "Something needs mending",
    429: "Too many requests",
    500: "Something went wrong here",
}


class ProblemPart(Schema):
    """One fault: where it stands, what is wrong, how to mend it."""

    place: str
    message: str
    mend: str = ""


class ProblemDocument(Schema):
    """An error (RFC 9457). `type` names the kind of problem; further members depend on it."""

    type: str = Field(examples=["/problems/stale-revision"])
    title: str
    status: int
    detail: str
    problems: list[ProblemPart] = []


def problem(
    status: int, slug: str, detail: str, problems: Iterable[Fault] = (), facts: dict[str, Any] | None = None
) -> HttpResponse:
    """The answer for an error."""
    body = {
        "type": f"/problems/{slug}",
        "title": TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "problems": [{"place": fault.place, "message": fault.message, "mend": fault.mend} for fault in problems],
    }
    response = JsonResponse((facts or {}) | body, status=status, content_type="application/problem+json")
    if status == 401:
        response["WWW-Authenticate"] = "Bearer"
    response["Cache-Control"] = "no-store"
    return response


def refused(refusal: Refusal) -> HttpResponse:
    response = problem(refusal.status, refusal.slug, refusal.message, refusal.problems, refusal.facts())
    if isinstance(refusal, TooManyAttempts):
        response["Retry-After"] = str(refusal.seconds)
    return response


class MethodProblemMiddleware:
    """Makes the API's answer to a method that an address does not have a problem document: ninja gives bare text past its handlers."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code != 405 or not request.path.startswith("/api/"):
            return response
        allowed = response.headers.get("Allow", "")
        answer = problem(405, "method-not-allowed", f"{request.method} does not work here. Use {allowed or 'another method'}.")
        answer["Allow"] = allowed
        return answer


def answer_with_problems(api: NinjaAPI) -> None:
    """From now on every error of this API is a problem document."""

    @api.exception_handler(Refusal)
    def on_refusal(request: HttpRequest, error: Refusal) -> HttpResponse:
        actor = getattr(request, "auth", None)
        if isinstance(error, Forbidden) and isinstance(actor, Actor) and request.method not in SAFE:
            record_refusal(actor, error, str(request.method), request.path)
        return refused(error)

    @api.exception_handler(AuthenticationError)
    def on_nobody(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
        return refused(NotSignedIn())

    @api.exception_handler(ValidationError)
    def on_invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
        return refused(Invalid(problems=[_fault(found) for found in error.errors]))

    @api.exception_handler(RequestDataTooBig)
    def on_too_big(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
        return refused(TooLarge(f"The request is larger than {settings.UPLOAD_LIMIT:,} bytes."))

    @api.exception_handler(Http404)
    def on_missing(request: HttpRequest, error: Http404) -> HttpResponse:
        return refused(NotFound())

    @api.exception_handler(HttpError)
    def on_http(request: HttpRequest, error: HttpError) -> HttpResponse:
        if error.status_code == 400:
            return problem(400, "unreadable", "The body is not JSON. Send a JSON object.")
        return problem(error.status_code, "refused", str(error))

    @api.exception_handler(Exception)
    def on_anything(request: HttpRequest, error: Exception) -> HttpResponse:
        log.error("%s %s failed", request.method, request.path, exc_info=error)
        return problem(500, "internal", "This is our fault. It has been logged; try again later.")


def _fault(found: dict[str, Any]) -> Fault:
    """A fault of the request as pydantic found it: `loc` begins with where it was read (body, query, path)."""
    loc = list(found.get("loc", ()))
    place = loc[2:] if loc[:1] == ["body"] else loc[1:]
    message = str(found.get("msg", "is wrong"))
    mend = ""
    if found.get("type") == "extra_forbidden":
        message, mend = "is unknown", "Remove it."
    elif found.get("type") == "missing":
        message, mend = "is missing", "Add it."
    return Fault(path_text(place) or str(loc[0] if loc else ""), message, mend)
