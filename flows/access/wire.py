"""A byte stream to a checked address, and connections that wait for their next request: what the outbound client is made of.

httpcore's own pool looks at every connection for every request, which with a thousand open streams costs more than the request
itself; this one keeps idle connections in one stack an origin. The HTTP/1.1 connection is httpcore's.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Iterable
from typing import Any

import httpcore

Origin = tuple[bool, str, int]  # TLS, host, port
READ_AHEAD = 256 * 1024


class Stream(httpcore.AsyncNetworkStream):
    """httpcore's byte stream over an asyncio connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 httpcore's signature
        try:
            if timeout is None:
                return await self._reader.read(max_bytes)
            async with asyncio.timeout(timeout):
                return await self._reader.read(max_bytes)
        except TimeoutError:
            raise httpcore.ReadTimeout("No answer in time.") from None
        except (OSError, ssl.SSLError) as error:
            raise httpcore.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        if not buffer:
            return
        try:
            self._writer.write(buffer)
            if timeout is None:
                await self._writer.drain()
            else:
                async with asyncio.timeout(timeout):
                    await self._writer.drain()
        except TimeoutError:
            raise httpcore.WriteTimeout("The request was not taken in time.") from None
        except (OSError, ssl.SSLError) as error:
            raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        self._writer.close()

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # an idle connection that can be read was closed by the other side
            return self._reader.at_eof() or self._writer.is_closing() or bool(self._reader.exception())
        names = {"ssl_object": "ssl_object", "client_addr": "sockname", "server_addr": "peername", "socket": "socket"}
        return self._writer.get_extra_info(names[info]) if info in names else None


async def connect(
    addresses: Iterable[str],
    port: int,
    *,
    context: ssl.SSLContext | None,
    name: str,
    timeout: float | None,  # noqa: ASYNC109 it is carried out here
) -> Stream:
    """A stream to the first of these addresses that answers. With a TLS context the certificate must be that of `name`.

    `timeout` (seconds) bounds all of it. Raises httpcore's `ConnectTimeout` and `ConnectError`.
    """
    failed: Exception | None = None
    try:
        async with asyncio.timeout(timeout):
            for address in addresses:
                try:
                    reader, writer = await asyncio.open_connection(
                        address, port, ssl=context, server_hostname=name if context else None, limit=READ_AHEAD
                    )
                except (OSError, ssl.SSLError) as error:
                    failed = error
                else:
                    return Stream(reader, writer)
    except TimeoutError:
        raise httpcore.ConnectTimeout(f"{name}:{port} could not be reached in time.") from None
    raise httpcore.ConnectError(f"{name}:{port} could not be reached: {failed}.") from failed


class Idle:
    """Connections that wait for their next request, newest first, a stack an origin."""

    def __init__(self, keep: int, expiry: float) -> None:
        self._keep = keep  # connections in all
        self._expiry = expiry  # seconds
        self._stacks: dict[Origin, deque[tuple[float, httpcore.AsyncHTTP11Connection]]] = {}
        self._count = 0

    def take(self, origin: Origin) -> httpcore.AsyncHTTP11Connection | None:
        """A connection that can be used at once, or None."""
        stack = self._stacks.get(origin)
        while stack:
            _, connection = stack.pop()
            self._count -= 1
            if connection.is_idle() and not connection.has_expired():
                return connection
            _drop(connection)
        return None

    def give(self, origin: Origin, connection: httpcore.AsyncHTTP11Connection) -> None:
        """Keeps the connection if it can serve another request."""
        if not connection.is_idle() or self._count >= self._keep:
            _drop(connection)
            return
        now = time.monotonic()
        stack = self._stacks.setdefault(origin, deque())
        while stack and now - stack[0][0] > self._expiry:
            _drop(stack.popleft()[1])
            self._count -= 1
        stack.append((now, connection))
        self._count += 1

    def clear(self) -> list[httpcore.AsyncHTTP11Connection]:
        """All that waited; none waits any more."""
        waiting = [connection for stack in self._stacks.values() for _, connection in stack]
        self._stacks.clear()
        self._count = 0
        return waiting


_closing: set[asyncio.Task[None]] = set()


def _drop(connection: httpcore.AsyncHTTP11Connection) -> None:
    """Closes a connection without waiting for it."""
    task = asyncio.ensure_future(connection.aclose())
    _closing.add(task)
    task.add_done_callback(_closing.discard)
