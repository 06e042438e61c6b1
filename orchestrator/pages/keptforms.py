"""A form that was sent after its sign-in had expired: what was typed is kept and shown again after signing in, to be sent once more.

Nothing is sent by itself. Passwords and files are not kept; nor is what htmx sends, for then the page with the form is still there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

KEPT = "kept_form"
MOST = 64_000  # characters of one form
TO_SIGN_IN = "/login?next="


class KeptFormsMiddleware:
    """Keeps such a form in the session, and leads from the door to it. Stands after the page middleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> HttpResponse:
        response = self.get_response(request)
        if request.method != "POST":
            return response
        if request.actor is not None:
            if request.session.get(KEPT, {}).get("path") == request.get_full_path():
                del request.session[KEPT]
        elif response.headers.get("Location", "").startswith(TO_SIGN_IN) and not request.htmx:
            fields = [(name, value) for name in request.POST for value in request.POST.getlist(name) if _may_be_kept(name)]
            if sum(len(name) + len(value) for name, value in fields) <= MOST:
                request.session[KEPT] = {"path": request.get_full_path(), "fields": fields}
                response.headers["Location"] = TO_SIGN_IN + reverse("kept-form")
        return response


def _may_be_kept(name: str) -> bool:
    return name != "csrfmiddlewaretoken" and "password" not in name


@never_cache
@require_safe
@login_required
def kept_form(request: HttpRequest) -> HttpResponse:
    """What was typed, to be looked at and sent; without such a form the first page."""
    kept = request.session.get(KEPT)
    if kept is None:
        return redirect("home")
    fields = [(name, name.replace("_", " ").replace("-", " ").capitalize(), value) for name, value in kept["fields"]]
    return render(request, "pages/kept_form.html", {"path": kept["path"], "fields": fields})
