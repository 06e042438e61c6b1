"""Pages for what went wrong: what happened, why, the request's number, and a way on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from flows.access.refusals import Fault, Forbidden, Refusal, TooManyAttempts
from flows.access.rights import INCLUDES, Right

TITLES = {
    400: "This cannot be done",
    404: "There is nothing here",
    409: "Something else happened first",
    422: "This cannot be used",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What the page says. `who` names those who can grant the missing right."""

    status: int
    title: str
    text: str
    report: str
    right: str = ""
    who: str = ""
    again: bool = False
    faults: tuple[Fault, ...] = ()


def page(request: HttpRequest, status: int, title: str, text: str, **more: Any) -> HttpResponse:
    number = getattr(request, "request_id", "none")
    report = f"{request.method} {request.path}: {status} {title}. Request {number}."
    problem = Problem(status, title, text, report, **more)
    return render(request, "pages/problem.html", {"problem": problem}, status=status)


def forbidden(request: HttpRequest, refusal: Forbidden) -> HttpResponse:
    """Names the right that is missing and who can grant it."""
    text = refusal.message or "You may see this, but not do what you asked for."
    return page(request, 403, "You may not do this", text, right=refusal.right, who="An owner. " + roles_with(refusal.right))


def roles_with(right: str) -> str:
    """The roles that include a right, in words."""
    roles = [role.capitalize() for role, rights in INCLUDES.items() if right in {str(each) for each in rights}]
    return f"Roles that include it: {', '.join(roles)}." if right in {str(each) for each in Right} else ""


def refused(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    """A refusal of a verb that the view did not answer itself."""
    if isinstance(refusal, TooManyAttempts):
        return page(request, 429, "Too many attempts", refusal.message, again=True)
    return page(
        request, refusal.status, TITLES.get(refusal.status, "This cannot be done"), refusal.message, faults=refusal.problems
    )


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return page(request, 404, TITLES[404], "The address is wrong, what it named was removed, or you may not see it.")


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return page(
        request, 403, "You may not do this", str(exception or "") or "The right to do this is missing. An owner can grant it."
    )


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return page(request, 400, "This request makes no sense", "The address or the form was not complete. Go back and try again.")


def failed(request: HttpRequest) -> HttpResponse:
    text = "This is our fault, and it was recorded under the number below. What you had done before is stored."
    return page(request, 500, "Something broke", text, again=request.method == "GET")


def stale_form(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form without a valid token: it was open while somebody signed in or out."""
    text = "The page was open for too long, or you signed in anew in another tab. Nothing was changed. Go back and load it again."
    return page(request, 403, "This form is out of date", text)
