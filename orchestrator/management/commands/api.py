"""``manage.py api METHOD ADDRESS``: any operation of the API, for what has no command of its own."""

from __future__ import annotations

import io
import json
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.http import HttpResponse
from django.urls import resolve
from django.utils import timezone

from flows.access.actor import Actor
from flows.access.installation import look_up
from flows.api.problems import MethodProblemMiddleware
from orchestrator.management.speaking import actor_named, text_given

PREFIX = "/api/v1"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class CommandRequest(WSGIRequest):
    """A request that comes from a command, in the name of `commanding`; addresses in its answer are those of `SITE_URL`."""

    def __init__(self, commanding: Actor, method: str, address: str, body: bytes, revision: str | None) -> None:
        place, site = urlsplit(address), urlsplit(settings.SITE_URL)
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": place.path,
            "QUERY_STRING": place.query,
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(body)),
            "SERVER_NAME": site.hostname or "localhost",
            "SERVER_PORT": str(site.port or 80),
            "wsgi.url_scheme": site.scheme or "http",
            "wsgi.input": io.BytesIO(body),
        }
        if revision is not None:
            environ["HTTP_IF_MATCH"] = revision
        super().__init__(environ)
        self.commanding = commanding
        self._host = site.netloc

    def get_host(self) -> str:
        return self._host


class Command(BaseCommand):
    help = "Do any operation of the API by its rules, with one's own rights; GET /openapi.json lists them."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("method", type=str.upper, choices=METHODS)
        parser.add_argument("address", help=f"behind {PREFIX}, such as '/runs?state=failed'")
        parser.add_argument("body", nargs="?", help="JSON, or @FILE: what that file holds")
        parser.add_argument("--if-match", dest="revision", help="the revision that was read, where the operation asks for it")
        parser.add_argument("--as", dest="username", required=True, metavar="USERNAME", help="the person that does it")

    def handle(
        self, *args: Any, method: str, address: str, body: str | None, revision: str | None, username: str, **options: Any
    ) -> None:
        place = f"{PREFIX}/{address.removeprefix(PREFIX).lstrip('/')}"
        given = text_given(body).encode() if body is not None else b""
        request = CommandRequest(actor_named(username), method, place, given, revision)
        found = resolve(request.path_info)
        with timezone.override(look_up().tz):
            response = MethodProblemMiddleware(lambda asked: found.func(asked, *found.args, **found.kwargs))(request)
        if response.status_code >= 400:
            raise CommandError(refusal_in(response))
        text = b"".join(response).decode()
        if text:
            self.stdout.write(readable(text))


def readable(text: str) -> str:
    """JSON over several lines; any other text as it is."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text


def refusal_in(response: HttpResponse) -> str:
    """The lines of a refusal: each problem with its place and remedy, or the sentence where there are none."""
    told = json.loads(response.content)
    problems = [": ".join(each[name] for name in ("place", "message") if each.get(name)) for each in told.get("problems", [])]
    mends = [each.get("mend", "") for each in told.get("problems", [])]
    lines = [f"{line}. {mend}" if mend else line for line, mend in zip(problems, mends, strict=True)]
    return "\n".join([told.get("detail") or told.get("title") or str(response.status_code), *lines])
