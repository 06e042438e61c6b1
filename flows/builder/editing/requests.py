"""What the builder's script sends and gets: JSON, with refusals as JSON, too."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from django.http import HttpResponse, JsonResponse

from flows.access.refusals import Fault, Invalid, NotSignedIn, Refusal
from flows.engine.problems import Place

MOST = 3 << 20  # bytes of a body: a document of 1 MiB with what JSON adds


def answering(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A view whose refusals are JSON: `{"slug", "message", "problems", …}` with their status; 401 for whom nobody knows."""

    @wraps(view)
    def answered(request: Any, *args: Any, **names: Any) -> HttpResponse:
        try:
            if request.actor is None:
                raise NotSignedIn("Your session has ended. Sign in in another tab; nothing is lost.")
            return view(request, *args, **names)
        except Refusal as refusal:
            return refused(refusal)

    return answered


def refused(refusal: Refusal, **more: Any) -> JsonResponse:
    problems = [{"path": fault.place, "message": fault.message, "mend": fault.mend} for fault in refusal.problems]
    return JsonResponse(
        {"slug": refusal.slug, "message": refusal.message, "problems": problems, **refusal.facts(), **more}, status=refusal.status
    )


def body_of(request: Any) -> dict[str, Any]:
    """The JSON object of a request. Raises `Invalid`."""
    try:
        if len(request.body) > MOST:
            raise ValueError("it is larger than 3 MiB")
        value = json.loads(request.body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Invalid("The request cannot be read.", problems=[Fault("", f"is no JSON: {str(error)[:120]}")]) from None
    if not isinstance(value, dict):
        raise Invalid("The request cannot be read.", problems=[Fault("", "must be an object")])
    return value


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON value")


def place_in(body: Mapping[str, Any]) -> Place:
    """The place of the step that a request is about: `[]` for the flow, else `["steps", "<key>", …]`. Raises `Invalid`."""
    place = body.get("place", [])
    if not isinstance(place, list) or len(place) > 40 or not all(isinstance(part, str) for part in place):
        raise Invalid("The request cannot be read.", problems=[Fault("place", "must be a list of keys")])
    return tuple(place)


def text_in(body: Mapping[str, Any], name: str) -> str:
    """A text of a request. Raises `Invalid`."""
    value = body.get(name)
    if not isinstance(value, str):
        raise Invalid("The request cannot be read.", problems=[Fault(name, "must be a text")])
    return value
