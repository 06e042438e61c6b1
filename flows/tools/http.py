"""A tool that is an HTTP service: one fixed address of the catalogue, the arguments as JSON body, query or path segments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal
from urllib.parse import quote, urlsplit

import orjson
from pydantic import Field, field_validator, model_validator

from flows.access.egress import Answer, Exchange, HTTPError, HTTPTimeout, TooLarge, TooManyRedirects, observed
from flows.access.redaction import secret_named
from flows.access.waits import retry_after
from flows.engine.evaluation import ExpressionError
from flows.engine.failures import BadKey, BadRequest, Failure, InvalidOutput, RateLimited, TimedOut, Unavailable
from flows.engine.problems import shorten
from flows.engine.templates import parse_template
from flows.tools.base import ToolCall, ToolContext, ToolSettings
from flows.tools.granted import secrets_for

MOST_BYTES = 1024 * 1024
PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
METHODS_WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE"})


class HTTPSettings(ToolSettings):
    """How the service is called. Values of `header_env` are names of environment variables, read at each call. `body` and `gives` are
    templates: of what is sent, and of what the call gives."""

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    url: str = Field(title="Address", description="http or https; {name} in its path takes that argument")
    headers: dict[str, str] = Field(default_factory=dict, description="name: value, one a line")
    header_env: dict[str, str] = Field(
        default_factory=dict,
        title="Headers from the environment",
        description="name: environment variable that holds its value, one a line",
    )
    header_secret: dict[str, str] = Field(
        default_factory=dict,
        title="Headers from secrets",
        description="name: secret that holds its value, granted to this tool; one a line",
    )
    query: tuple[str, ...] = Field(
        default=(), title="In the query", description="arguments that go into the query instead of the body"
    )
    body: Any = Field(
        default=None,
        title="What is sent",
        description="JSON in which {{ arguments.name }} stands for an argument; without it the arguments themselves are sent",
    )
    gives: Any = Field(
        default=None,
        title="What is taken of the answer",
        description="JSON, such as {{ answer.items[0].id }}; without it the whole answer",
    )
    idempotency_header: str = Field(
        default="", title="Header that carries the key", description="by which the service knows a repetition"
    )
    expected: tuple[int, ...] = Field(default=(), title="Statuses that mean success", description="without any, 200 to 299")
    response: Literal["json", "text"] = Field(default="json", title="It answers with")
    find: str = Field(
        default="",
        title="Where to look a call up",
        description="address that tells what became of {key}: 404 means nothing happened",
    )

    @field_validator("url", "find")
    @classmethod
    def _fixed_host(cls, value: str) -> str:
        if not value:
            return value
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an http or https address with a host")
        if "{" in parts.netloc or "{" in parts.query:
            raise ValueError("may have {name} in its path only: where a call goes is never an argument")
        if parts.username or parts.password:
            raise ValueError("must hold no password; use header_env")
        return value

    @field_validator("body", "gives")
    @classmethod
    def _readable(cls, value: Any) -> Any:
        errors: list[ExpressionError] = []
        parse_template(value, errors)
        if errors:
            raise ValueError(str(errors[0]))
        return value

    @model_validator(mode="after")
    def _url_given(self) -> HTTPSettings:
        if not self.url:
            raise ValueError("url must not be empty")
        if self.body is not None and self.method in METHODS_WITHOUT_BODY:
            raise ValueError(f"{self.method} sends no body; take body away, or choose another method")
        return self


class HTTPTool:
    """An HTTP request."""

    slug: ClassVar[str] = "http"
    label: ClassVar[str] = "HTTP service"
    trusted: ClassVar[bool] = False
    arguments: ClassVar[Mapping[str, Any]] = {}
    Settings: ClassVar[type[ToolSettings]] = HTTPSettings

    async def call(self, call: ToolCall, context: ToolContext) -> Any:
        """The service's answer: JSON, or text. Raises `Failure`s; those without a definite answer say whether it was sent."""
        settings: HTTPSettings = call.spec.settings
        url, rest = _address(settings.url, call.arguments)
        headers = _headers(settings) | await secrets_for(call.spec.slug, settings.header_secret, context)
        if settings.idempotency_header:
            headers[settings.idempotency_header] = call.idempotency_key
        in_query = set(rest) if settings.method in METHODS_WITHOUT_BODY else set(settings.query)
        params = {name: _query_value(value) for name, value in rest.items() if name in in_query and value is not None}
        body = {name: value for name, value in rest.items() if name not in in_query}
        content = None
        if settings.method not in METHODS_WITHOUT_BODY:
            headers.setdefault("Content-Type", "application/json")
            content = orjson.dumps(_rendered(call.spec.slug, settings.body, "arguments", call.arguments, body))
        answer = await _exchange(call, context, settings.method, url, headers=headers, params=params or None, content=content)
        return _result(call.spec.slug, settings, answer)

    async def find(self, call: ToolCall, context: ToolContext) -> tuple[bool, Any]:
        """What became of an earlier call with the same key: (True, its result), or (False, None) if nothing happened."""
        settings: HTTPSettings = call.spec.settings
        if not settings.find:
            raise BadRequest(f"{call.spec.slug} has no `find` address to ask what became of a call.")
        url, _ = _address(settings.find, {"key": call.idempotency_key})
        headers = _headers(settings) | await secrets_for(call.spec.slug, settings.header_secret, context)
        answer = await _exchange(call, context, "GET", url, headers=headers, params=None, content=None)
        if answer.status == 404:
            return False, None
        return True, _result(call.spec.slug, settings, answer)


async def _exchange(
    call: ToolCall, context: ToolContext, method: str, url: str, *, headers: dict[str, str], params: Any, content: bytes | None
) -> Answer:
    """One request, its faults as `Failure`s.

    A request that changes something follows no redirect. One that may not be repeated uses a fresh connection, so that it cannot
    be lost on one that the service is just closing.
    """
    name, safe = call.spec.slug, method in ("GET", "HEAD")
    with observed(limit=None if safe else 1) as exchange:
        try:
            return await context.egress.request(
                method,
                url,
                headers=headers,
                params=params,
                content=content,
                timeout=call.timeout,
                max_bytes=MOST_BYTES,
                follow_redirects=safe,
                fresh=call.spec.repeat == "never",
            )
        except TooLarge:
            raise InvalidOutput(f"{name} answered more than {MOST_BYTES // 1024} KiB.", sent=True) from None
        except TimeoutError:
            raise TimedOut(f"{name} did not answer within {call.timeout:g} s.", sent=exchange.sent) from None
        except HTTPError as error:
            raise _broken(name, error, exchange) from None


def _broken(name: str, error: HTTPError, exchange: Exchange) -> Failure:
    if isinstance(error, TooManyRedirects):
        return BadRequest(f"{name} redirects too often.", sent=True)
    if isinstance(error, HTTPTimeout):
        return TimedOut(f"{name} did not answer in time.", sent=exchange.sent)
    if not exchange.sent:
        return Unavailable(f"{name} cannot be reached.")
    return Unavailable(f"{name} broke the connection before its answer was complete.", sent=True)


def _result(name: str, settings: HTTPSettings, answer: Answer) -> Any:
    if answer.status in settings.expected or (not settings.expected and 200 <= answer.status < 300):
        found = _parsed(name, settings, answer)
        return _rendered(name, settings.gives, "answer", found, found)
    failure = _failure(name, answer)
    failure.answered = answer.status < 500 and answer.status != 408  # it says itself that it did nothing
    raise failure


def _failure(name: str, answer: Answer) -> Failure:
    wait = retry_after(answer.headers)
    said = shorten(answer.content.decode("utf-8", "replace"), 200)
    message = f"{name} answered {answer.status}{f': {said}' if said else ''}"
    if answer.status == 429:
        return RateLimited(message, retry_after=wait)  # it says that it did nothing: trying again repeats nothing
    if answer.status == 408:
        return TimedOut(message, sent=True, retry_after=wait)
    if answer.status >= 500:
        return Unavailable(message, sent=True, retry_after=wait)
    if answer.status in (401, 403):
        return BadKey(message, sent=True)
    return BadRequest(message, sent=True)


def _parsed(name: str, settings: HTTPSettings, answer: Answer) -> Any:
    text = answer.content.decode("utf-8", "replace")
    if settings.response == "text":
        return text
    if not text.strip():
        return None
    try:
        return orjson.loads(answer.content)
    except ValueError:
        raise InvalidOutput(f"{name} did not answer with JSON.", sent=True) from None


def _rendered(tool: str, template: Any, name: str, value: Any, otherwise: Any) -> Any:
    """What the template makes of this value, `otherwise` where there is none. Raises `BadRequest` for arguments and `InvalidOutput` for
    an answer that it does not fit."""
    if template is None:
        return otherwise
    try:
        return parse_template(template).render({name: value})
    except ExpressionError as error:
        if name == "answer":
            raise InvalidOutput(f"{tool} answered what `gives` does not fit: {error}", sent=True) from None
        raise BadRequest(f"{tool}: {error}") from None


def _address(url: str, arguments: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The address with its path's places filled, and the arguments that are left."""
    rest = dict(arguments)
    used: dict[str, str] = {}
    for name in PLACEHOLDER.findall(url):
        value = rest.pop(name, None)
        if name not in used:
            used[name] = _segment(name, value)
    return PLACEHOLDER.sub(lambda found: used[found[1]], url), rest


def _segment(name: str, value: Any) -> str:
    text = (
        value
        if isinstance(value, str)
        else ""
        if value is None or isinstance(value, (dict, list))
        else orjson.dumps(value).decode()
    )
    if text in ("", ".", ".."):
        raise BadRequest(f"arguments.{name}: {shorten(repr(value), 40)} cannot be a part of an address.")
    return quote(text, safe="")


def _query_value(value: Any) -> Any:
    if isinstance(value, list) and all(isinstance(item, (str, int, float)) for item in value):
        return [_query_value(item) for item in value]
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _headers(settings: HTTPSettings) -> dict[str, str]:
    headers = dict(settings.headers)
    for name, variable in settings.header_env.items():
        value = secret_named(variable)
        if not value:
            raise BadKey(f"The environment variable {variable}, which holds the header {name}, is not set.")
        headers[name] = value
    return headers
