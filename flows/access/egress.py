"""The one outbound HTTP client. Tools, models, MCP and webhooks reach the world through it and through nothing else.

It speaks http(s) only; resolves a name once and connects to exactly the address that it checked; refuses every address that is
not on the public internet unless an owner allowed its ``host:port``; checks each redirect anew, at most three, and drops
credentials when the host changes; ignores the proxy environment; bounds bytes and time.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpcore
import httpx

from flows.access.addresses import (
    METADATA_NAMES,
    EgressRefused,
    allowed_name,
    is_reachable,
    literal_address,
    normal_host,
    refuse_host,
)
from flows.access.wire import Idle, Origin, Stream, connect

__all__ = [
    "Answer",
    "ConnectTimeout",
    "Egress",
    "EgressRefused",
    "Exchange",
    "HTTPError",
    "HTTPTimeout",
    "Headers",
    "TooLarge",
    "TooManyRedirects",
    "current_exchange",
    "observed",
    "refusing_transport",
]

# What callers need to name, so that this module stays the only one that imports a client.
Headers = httpx.Headers
HTTPError = httpx.HTTPError
HTTPTimeout = httpx.TimeoutException
ConnectTimeout = httpx.ConnectTimeout
TooManyRedirects = httpx.TooManyRedirects

MOST_REDIRECTS = 3
MOST_BYTES = 16 * 1024 * 1024  # of one answer, where the caller says nothing
KEEP = 5000  # idle connections
KEEP_SECONDS = 30.0
RESOLVED_SECONDS = 5.0
LAST_EVENT = b"[DONE]"  # after it a stream of server-sent events may still have its terminator to come
CONNECT_SECONDS = 10.0
HARMLESS_HEADERS = frozenset(
    {"accept", "accept-encoding", "accept-language", "content-length", "content-type", "host", "user-agent"}
)

Resolve = Callable[[str, int], "asyncio.Future[list[str]]"]


class TooLarge(httpx.TransportError):
    """The answer is larger than the caller takes."""


@dataclass(slots=True)
class Exchange:
    """What really went over the wire on behalf of one call: the facts by which a failure is judged."""

    limit: int | None = None  # requests that this call may make
    requests: int = 0
    sent: bool = False  # bytes of a request left for a connection: it may have reached the other side
    status: int | None = None
    headers: httpx.Headers = field(default_factory=httpx.Headers)
    complete: bool = False  # the newest answer was read to its end
    tail: bytes = b""  # its last bytes
    refused: EgressRefused | None = None


def current_exchange() -> Exchange | None:
    """The facts that are being collected for this task, for a provider that has no wire to fill them in itself."""
    return _exchange.get()


_exchange: ContextVar[Exchange | None] = ContextVar("exchange", default=None)


@contextmanager
def observed(limit: int | None = None) -> Iterator[Exchange]:
    """Collects what this task sends meanwhile. With a limit, a further request is refused before it leaves."""
    exchange = Exchange(limit)
    token = _exchange.set(exchange)
    try:
        yield exchange
    finally:
        _exchange.reset(token)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: its body is in memory and no larger than was asked for."""

    status: int
    headers: httpx.Headers
    content: bytes
    url: str


class Egress:
    """The door to the world of one process. `allowed` gives the ``host:port`` entries that an owner allowed, asked at each
    connection.

    `resolve` replaces the system's resolver, in tests.
    """

    def __init__(self, allowed: Callable[[], frozenset[str]], *, resolve: Resolve | None = None) -> None:
        self.transport = CheckedTransport(allowed, resolve)
        self._client: httpx.AsyncClient | None = None

    def client(
        self, *, follow_redirects: bool = False, timeout: float | httpx.Timeout | None = None, **options: Any
    ) -> httpx.AsyncClient:
        """An httpx client over the checked transport, for libraries that bring their own requests. Closing it keeps the
        transport.
        """
        headers = {"Accept-Encoding": "identity", **(options.pop("headers", None) or {})}
        return CheckedClient(
            transport=self.transport,
            trust_env=False,
            follow_redirects=follow_redirects,
            max_redirects=MOST_REDIRECTS,
            timeout=timeout,
            headers=headers,
            cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),  # none is kept: calls know nothing of each other
            **options,
        )

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        content: bytes | None = None,
        timeout: float = 30.0,  # noqa: ASYNC109 it is carried out here
        max_bytes: int = 1024 * 1024,
        follow_redirects: bool = True,
        fresh: bool = False,
    ) -> Answer:
        """One request and its whole answer.

        `timeout` (seconds) bounds everything, redirects and a dripping body included; `fresh` never reuses a connection, so that
        a request cannot be lost on one that the other side is just closing. Raises `EgressRefused`, `TooLarge`, `TimeoutError`
        and httpx's transport errors.
        """
        if self._client is None:
            self._client = self.client()
        request = self._client.build_request(method, url, headers=headers, params=params, json=json, content=content)
        request.extensions = {**request.extensions, "max_bytes": max_bytes, "fresh": fresh}
        async with asyncio.timeout(timeout):
            response = await self._client.send(request, stream=True, follow_redirects=follow_redirects)
            try:
                body = await response.aread()
            finally:
                await response.aclose()
        return Answer(response.status_code, response.headers, body, str(response.url))

    async def addresses(self, host: str, port: int) -> list[str]:
        """The checked addresses of a service that speaks another protocol: its client connects to one of them and to nothing else.
        Raises `EgressRefused`, and httpx's `ConnectError` for a name that nobody knows."""
        return await self.transport.addresses_of((False, normal_host(host), port))

    async def aclose(self) -> None:
        """Closes the connections that wait for a next request."""
        await self.transport.close_idle()


class _Closed(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise EgressRefused("This library does not use the checked transport and cannot be used.")


def refusing_transport() -> httpx.AsyncBaseTransport:
    """A way out that leads nowhere, for libraries that would make a client of their own."""
    return _Closed()


class CheckedClient(httpx.AsyncClient):
    """httpx's client, which on a redirect to another host takes nothing along that could be a credential."""

    def _redirect_headers(self, request: httpx.Request, url: httpx.URL, method: str) -> httpx.Headers:
        headers = super()._redirect_headers(request, url, method)
        if (url.scheme, url.host, url.port) == (request.url.scheme, request.url.host, request.url.port):
            return headers
        return httpx.Headers([(name, value) for name, value in headers.items() if name.lower() in HARMLESS_HEADERS])


class CheckedTransport(httpx.AsyncBaseTransport):
    """Sends requests to checked addresses only, over connections that are kept and reused."""

    def __init__(self, allowed: Callable[[], frozenset[str]], resolve: Resolve | None = None) -> None:
        self._allowed = allowed
        self._resolve = resolve or _system_addresses
        self._idle = Idle(KEEP, KEEP_SECONDS)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._resolved: dict[tuple[str, int], tuple[float, list[str]]] = {}
        self._resolving: dict[tuple[str, int], asyncio.Future[list[str]]] = {}
        self._context: ssl.SSLContext | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._enter_loop()
        exchange = _exchange.get() or Exchange()
        self._count(exchange)
        try:
            origin = checked_origin(request.url)
            addresses = await self._addresses(origin)
        except EgressRefused as refused:
            exchange.refused = refused
            raise
        exchange.status, exchange.headers, exchange.complete, exchange.tail = None, httpx.Headers(), False, b""
        connection: httpcore.AsyncHTTP11Connection | None = None
        try:
            connection = await self._connection(origin, addresses, request.extensions)
            exchange.sent = True
            response = await connection.handle_async_request(_core_request(request))
        except BaseException as error:
            if connection is not None:
                await connection.aclose()
            raise _translated(error, request) from error
        headers = httpx.Headers(response.headers)
        exchange.status, exchange.headers = response.status, headers
        body = _Body(self, origin, connection, response, request, exchange)
        if headers.get("content-encoding", "identity").lower() not in ("", "identity"):
            await body.aclose()
            raise httpx.DecodingError("The answer is compressed, though it was asked not to be.", request=request)
        return httpx.Response(
            response.status, headers=response.headers, stream=body, extensions=response.extensions, request=request
        )

    async def aclose(self) -> None:
        """Does nothing: many clients share this transport. See `close_idle`."""

    async def close_idle(self) -> None:
        if self._loop is asyncio.get_running_loop():
            for connection in self._idle.clear():
                await connection.aclose()

    def done(self, origin: Origin, connection: httpcore.AsyncHTTP11Connection) -> None:
        """Takes a connection back whose answer was read or given up."""
        if self._loop is asyncio.get_running_loop():
            self._idle.give(origin, connection)

    async def addresses_of(self, origin: Origin) -> list[str]:
        """The addresses of this origin, each of them checked."""
        self._enter_loop()
        return await self._addresses(origin)

    def _enter_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # connections belong to the loop that made them
            self._loop = loop
            self._idle.clear()
            self._resolving.clear()

    def _count(self, exchange: Exchange) -> None:
        if exchange.limit is not None and exchange.requests >= exchange.limit:
            raise EgressRefused("A second request for one call was stopped: each call sends exactly one.")
        exchange.requests += 1

    async def _connection(
        self, origin: Origin, addresses: list[str], extensions: Mapping[str, Any]
    ) -> httpcore.AsyncHTTP11Connection:
        connection = None if extensions.get("fresh") else self._idle.take(origin)
        if connection is not None:
            return connection
        tls, host, port = origin
        timeout = (extensions.get("timeout") or {}).get("connect") or CONNECT_SECONDS
        stream: Stream = await connect(addresses, port, context=self._tls() if tls else None, name=host, timeout=timeout)
        scheme = b"https" if tls else b"http"
        return httpcore.AsyncHTTP11Connection(httpcore.Origin(scheme, host.encode(), port), stream, KEEP_SECONDS)

    async def _addresses(self, origin: Origin) -> list[str]:
        _, host, port = origin
        allowed = allowed_name(host, port) in self._allowed()
        literal = literal_address(host)
        if literal is not None:
            if not allowed and not is_reachable(literal):
                raise refuse_host(host, port)
            return [str(literal)]
        if not allowed and host in METADATA_NAMES:
            raise refuse_host(host, port)
        addresses = await self._lookup(host, port)
        for address in addresses:
            found = literal_address(address)
            if not allowed and (found is None or not is_reachable(found)):
                raise refuse_host(host, port, address)
        return addresses

    async def _lookup(self, host: str, port: int) -> list[str]:
        """The host's addresses; one look-up serves all that wait for it, and those of the next seconds."""
        key = (host, port)
        known = self._resolved.get(key)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        waiting = self._resolving.get(key)
        if waiting is None:
            waiting = asyncio.ensure_future(self._resolve(host, port))
            self._resolving[key] = waiting
            waiting.add_done_callback(lambda done: self._looked_up(key, done))
        try:
            return await asyncio.shield(waiting)
        except OSError as error:
            raise httpx.ConnectError(f"{host} is not known: {error}.") from error

    def _looked_up(self, key: tuple[str, int], done: asyncio.Future[list[str]]) -> None:
        self._resolving.pop(key, None)
        if done.cancelled() or done.exception() is not None:
            return
        now = time.monotonic()
        if len(self._resolved) > 1000:
            self._resolved = {known: entry for known, entry in self._resolved.items() if entry[0] > now}
        self._resolved[key] = (now + RESOLVED_SECONDS, done.result())

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = httpx.create_ssl_context(trust_env=False)
        return self._context


def checked_origin(url: httpx.URL) -> Origin:
    """Where a request goes. Raises `EgressRefused` for what is not http(s) or has no host."""
    if url.scheme not in ("http", "https"):
        raise EgressRefused(f"Only http and https addresses can be reached, not {url.scheme or 'an empty scheme'!r}.")
    host = normal_host(url.raw_host.decode("ascii"))
    if not host:
        raise EgressRefused("The address has no host.")
    tls = url.scheme == "https"
    return tls, host, url.port or (443 if tls else 80)


class _Body(httpx.AsyncByteStream):
    """The body of an answer, counted; at its end the connection goes back."""

    def __init__(
        self,
        transport: CheckedTransport,
        origin: Origin,
        connection: httpcore.AsyncHTTP11Connection,
        response: httpcore.Response,
        request: httpx.Request,
        exchange: Exchange,
    ) -> None:
        self._transport = transport
        self._origin = origin
        self._connection = connection
        self._response = response
        self._request = request
        self._exchange = exchange
        self._left: int = request.extensions.get("max_bytes", MOST_BYTES)
        self._parts = response.stream.__aiter__()  # type: ignore[union-attr]
        self._closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        exchange = self._exchange
        try:
            part: bytes = await self._parts.__anext__()
        except StopAsyncIteration:
            exchange.complete = True
            raise
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise _translated(error, self._request) from error
        self._left -= len(part)
        if self._left < 0:
            raise TooLarge("The answer is larger than what is taken.", request=self._request)
        exchange.tail = (exchange.tail + part)[-64:] if len(part) < 64 else part[-64:]
        return part

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        if not self._exchange.complete and self._exchange.tail.rstrip().endswith(LAST_EVENT):
            await self._finish()
        await self._response.aclose()
        self._transport.done(self._origin, self._connection)

    async def _finish(self) -> None:
        """Reads the few bytes behind the last event of a stream, without which the connection could not be used again."""
        with suppress(TimeoutError, httpcore.NetworkError, httpcore.ProtocolError, StopAsyncIteration):
            async with asyncio.timeout(0.05):
                for _ in range(4):
                    await self._parts.__anext__()


TRANSLATIONS: tuple[tuple[type[Exception], type[httpx.TransportError]], ...] = (
    (httpcore.ConnectTimeout, httpx.ConnectTimeout),
    (httpcore.ReadTimeout, httpx.ReadTimeout),
    (httpcore.WriteTimeout, httpx.WriteTimeout),
    (httpcore.ConnectError, httpx.ConnectError),
    (httpcore.ReadError, httpx.ReadError),
    (httpcore.WriteError, httpx.WriteError),
    (httpcore.RemoteProtocolError, httpx.RemoteProtocolError),
    (httpcore.LocalProtocolError, httpx.LocalProtocolError),
    (httpcore.ConnectionNotAvailable, httpx.ConnectError),
)


def _translated(error: BaseException, request: httpx.Request) -> BaseException:
    """httpx's error for httpcore's; any other as it is."""
    for ours, theirs in TRANSLATIONS:
        if isinstance(error, ours):
            return theirs(str(error), request=request)
    return error


def _core_request(request: httpx.Request) -> httpcore.Request:
    url = httpcore.URL(
        scheme=request.url.raw_scheme, host=request.url.raw_host, port=request.url.port, target=request.url.raw_path
    )
    return httpcore.Request(
        method=request.method, url=url, headers=request.headers.raw, content=request.stream, extensions=request.extensions
    )


async def _system_addresses(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
