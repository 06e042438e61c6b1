"""Sessions with MCP servers: one a server, kept while it is used, closed once it rests, made anew where it broke."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from flows.access.egress import Egress
from flows.access.redaction import secret_named
from flows.engine.canonical import sha256_of
from flows.engine.failures import Failure
from flows.tools.base import ToolSettings

if TYPE_CHECKING:
    from mcp import ClientSession

REST = 60.0
"""Seconds without a call after which a session is closed, and the program behind it ends."""

MOST = 32
"""Sessions that one process keeps. With all of them in use a further server gets one for the single call."""


class ServerSettings(ToolSettings):
    """How a server is reached: `command` starts it as a child of the engine, or `url` is its address. Values of `env` and `header_env`
    are names of environment variables of this installation, those of `env_secret` and `header_secret` of secrets that are granted to it."""

    slug: str
    command: tuple[str, ...] = Field(default=(), strict=False)
    env: dict[str, str] = Field(default_factory=dict, description="variable of the server: variable of ours that holds its value")
    url: str = ""
    header_env: dict[str, str] = Field(default_factory=dict, description="header: environment variable that holds its value")
    env_secret: dict[str, str] = Field(default_factory=dict, description="variable of the server: secret that holds its value")
    header_secret: dict[str, str] = Field(default_factory=dict, description="header: secret that holds its value")

    @property
    def wanted(self) -> dict[str, str]:
        """The names of its secrets, by the variable or header that they stand in: it has one way, so it has the one or the other."""
        return self.env_secret if self.command else self.header_secret

    @model_validator(mode="after")
    def _one_way(self) -> ServerSettings:
        if bool(self.command) == bool(self.url):
            raise ValueError("a server has either a command or a url")
        return self


@asynccontextmanager
async def session_with(server: ServerSettings, given: Mapping[str, str], egress: Egress) -> AsyncIterator[ClientSession]:
    """A session with the server, initialized. `given` are the values of its secrets by where they stand."""
    # The package takes 0.3 s to import: only who talks to such a server pays it.
    from mcp import ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client
    from mcp.client.streamable_http import streamable_http_client

    if server.command:
        environment = {name: secret_named(ours) for name, ours in server.env.items()} | dict(given)
        parameters = StdioServerParameters(command=server.command[0], args=list(server.command[1:]), env=environment or None)
        with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: ASYNC230 the null device does not block
            async with stdio_client(parameters, errlog=nowhere) as (read, write), ClientSession(read, write) as session:
                await session.initialize()
                yield session
        return
    headers = {name: secret_named(ours) for name, ours in server.header_env.items()} | dict(given)
    async with (
        egress.client(headers=headers) as client,
        streamable_http_client(server.url, http_client=client) as (read, write, _),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        yield session


class Kept:
    """One session, opened and closed by a task of its own: what the library holds open must be closed by the task that opened it."""

    def __init__(self, server: ServerSettings, given: Mapping[str, str], egress: Egress) -> None:
        self.users = 0
        self.used_at = time.monotonic()
        self._over = asyncio.Event()
        self._opened: asyncio.Future[ClientSession] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._hold(server, given, egress), name=f"mcp {server.slug}")

    async def session(self) -> ClientSession:
        """The session, once it is open. Raises what opening it raised."""
        return await asyncio.shield(self._opened)

    @property
    def broken(self) -> bool:
        return self._task.done() or self._over.is_set()

    def close(self) -> None:
        """Has it closed; calls that are using it fail."""
        self._over.set()

    async def closed(self, patience: float) -> None:
        """Waits until it is closed, and breaks it off where that takes too long."""
        _, late = await asyncio.wait([self._task], timeout=patience)
        for task in late:
            task.cancel()
        await asyncio.wait(late, timeout=patience) if late else None

    async def _hold(self, server: ServerSettings, given: Mapping[str, str], egress: Egress) -> None:
        try:
            async with session_with(server, given, egress) as session:
                if not self._opened.done():
                    self._opened.set_result(session)
                await self._over.wait()
        except Exception as error:  # noqa: BLE001 whoever waits for the session is told; one that breaks later tells it to its calls
            if not self._opened.done():
                self._opened.set_exception(error)
        finally:
            if not self._opened.done():
                self._opened.cancel()
            elif not self._opened.cancelled():
                self._opened.exception()  # seen, though nobody may have waited


class Sessions:
    """The sessions of one process and loop."""

    def __init__(self, *, rest: float = REST, most: int = MOST) -> None:
        self._rest, self._most = rest, most
        self._kept: dict[str, Kept] = {}
        self._sweeping: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def use(self, server: ServerSettings, given: Mapping[str, str], egress: Egress) -> AsyncIterator[ClientSession]:
        """The server's session for one call. Where it breaks, or does not answer, no other call begins on it; those under way go on."""
        key = sha256_of({"server": server.model_dump(mode="json"), "given": dict(given)})
        kept = self._take(key, server, given, egress)
        kept.users += 1
        try:
            yield await kept.session()
        except Failure:  # a fact of ours, not of the session
            raise
        except BaseException:
            if self._kept.get(key) is kept:
                del self._kept[key]
            raise
        finally:
            kept.users -= 1
            kept.used_at = time.monotonic()
            if self._kept.get(key) is not kept and not kept.users:
                kept.close()
            self._sweep()

    async def aclose(self, patience: float = 2.0) -> None:
        """Closes all of them."""
        kept, self._kept = list(self._kept.values()), {}
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        for each in kept:
            each.close()
        await asyncio.gather(*(each.closed(patience) for each in kept))

    def _take(self, key: str, server: ServerSettings, given: Mapping[str, str], egress: Egress) -> Kept:
        found = self._kept.get(key)
        if found is not None and not found.broken:
            return found
        kept = Kept(server, given, egress)
        self._kept.pop(key, None)
        if len(self._kept) >= self._most:
            resting = min(
                (each for each in self._kept.items() if not each[1].users), key=lambda each: each[1].used_at, default=None
            )
            if resting is None:
                return kept  # for this call only
            self._kept.pop(resting[0]).close()
        self._kept[key] = kept
        return kept

    def _sweep(self) -> None:
        """Closes what has rested for long enough, and looks again when the next may have."""
        now = time.monotonic()
        for key, kept in list(self._kept.items()):
            if kept.broken or (not kept.users and now - kept.used_at >= self._rest):
                self._kept.pop(key).close()
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        if self._kept:
            self._sweeping = asyncio.get_running_loop().call_later(self._rest + 0.01, self._sweep)
