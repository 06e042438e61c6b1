"""A bound on request bodies before anything reads them: what is larger is refused at once, not stored and then refused."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class _TooLarge(Exception):
    pass


def bounded(application: Application) -> Application:
    """The same application, which never reads more than `UPLOAD_LIMIT` bytes of a body; what is larger is answered with 413."""

    async def bounded_application(scope: Scope, receive: Receive, send: Send) -> None:
        most = settings.UPLOAD_LIMIT
        declared = next((value for name, value in scope.get("headers", []) if name == b"content-length"), b"0")
        if declared.isdigit() and int(declared) > most:
            await _refuse(scope, send, most)
            return
        taken, begun = 0, False

        async def receive_bounded() -> dict[str, Any]:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > most:
                raise _TooLarge
            return message

        async def send_noting(message: dict[str, Any]) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await application(scope, receive_bounded, send_noting)
        except _TooLarge:
            if not begun:
                await _refuse(scope, send, most)

    return bounded_application


async def _refuse(scope: Scope, send: Send, most: int) -> None:
    """A page for whoever sent a form, a problem document for programs."""
    accepted = next((value for name, value in scope.get("headers", []) if name == b"accept"), b"")
    if b"text/html" in accepted:
        body, kind = render_to_string("too_large.html", {"most": most}).encode(), b"text/html; charset=utf-8"
    else:
        body, kind = json.dumps(_problem(most)).encode(), b"application/problem+json"
    headers = [
        (b"content-type", kind),
        (b"content-length", str(len(body)).encode()),
        (b"content-security-policy", b"default-src 'self'"),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _problem(most: int) -> dict[str, Any]:
    return {
        "type": "/problems/too-large",
        "title": "Too large",
        "status": 413,
        "detail": f"The request is larger than {most:,} bytes.",
        "problems": [],
    }
