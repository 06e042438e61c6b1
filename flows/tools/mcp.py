"""A tool of a server that speaks the Model Context Protocol: over stdio, or over streamable HTTP by the checked way out.

A server's tools are pinned: what they are called, say and take is kept as a hash when an owner takes them in. A call first asks the
server what the tool is now and is refused where that has changed, since a changed description is a changed instruction to every model
that reads it. Each call has a session of its own, so nothing of one run is there for the next.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, model_validator

from flows.access.egress import Egress
from flows.access.redaction import secret_named
from flows.engine.canonical import sha256_of
from flows.engine.failures import BadRequest, Failure, InvalidOutput, TimedOut, Unavailable
from flows.engine.problems import shorten
from flows.execution.jsontext import dump
from flows.tools.base import ToolCall, ToolContext, ToolSettings

if TYPE_CHECKING:
    from mcp import ClientSession

MOST_CHARACTERS = 1024 * 1024
MOST_TOOLS = 500
PATIENCE = 30.0
"""Seconds that a server may take to say what it has."""


class ServerSettings(ToolSettings):
    """How a server is reached: `command` starts it as a child of the engine, or `url` is its address. Values of `env` and `header_env`
    are names of environment variables of this installation, read at each call."""

    slug: str
    command: tuple[str, ...] = Field(default=(), strict=False)
    env: dict[str, str] = Field(default_factory=dict, description="variable of the server: variable of ours that holds its value")
    url: str = ""
    header_env: dict[str, str] = Field(default_factory=dict, description="header: environment variable that holds its value")

    @model_validator(mode="after")
    def _one_way(self) -> ServerSettings:
        if bool(self.command) == bool(self.url):
            raise ValueError("a server has either a command or a url")
        return self


class MCPSettings(ToolSettings):
    """`tool` is its name at the server. `pinned` is the hash of what an owner took in, `found` of what the server last showed (empty: it
    shows it no more), `changed` that itself where it is another."""

    server: ServerSettings
    tool: str
    pinned: str
    found: str = ""
    changed: dict[str, Any] | None = None


class ToolChanged(Failure):
    """The server has changed this tool since an owner took it in. Nothing was sent."""

    slug = "bad_request"
    answered = True


@dataclass(frozen=True, slots=True)
class Found:
    """A tool as its server shows it. `reads` is what the server says of it, which nobody has checked."""

    name: str
    description: str
    arguments: Mapping[str, Any]
    result: Mapping[str, Any]
    reads: bool

    @property
    def facts(self) -> dict[str, Any]:
        return {"name": self.name, "description": self.description, "arguments": dict(self.arguments)}

    @property
    def hash(self) -> str:
        return sha256_of(self.facts)


class MCPTool:
    """A call of a server's tool."""

    slug: ClassVar[str] = "mcp"
    label: ClassVar[str] = "MCP server"
    trusted: ClassVar[bool] = False
    Settings: ClassVar[type[ToolSettings]] = MCPSettings

    async def call(self, call: ToolCall, context: ToolContext) -> Any:
        """What the tool gives: its structured content, else its text. Raises `ToolChanged` where it is not what was pinned."""
        settings: MCPSettings = call.spec.settings
        name, sent = call.spec.slug, False
        try:
            async with asyncio.timeout(call.timeout), session_with(settings.server, context.egress) as session:
                _require_pinned(name, settings, await _listed(session))
                sent = True
                result = await session.call_tool(settings.tool, dict(call.arguments))
        except TimeoutError:
            raise TimedOut(f"{name} did not answer within {call.timeout:g} s.", sent=sent) from None
        except Failure:
            raise
        except Exception as error:  # noqa: BLE001 the edge of a library: whatever it raises becomes a fact of ours
            raise _failure(name, error, sent=sent) from None
        return _value(name, result)


async def discover(server: ServerSettings, egress: Egress) -> list[Found]:
    """The tools that the server shows now. Raises `Unavailable` and `TimedOut`."""
    try:
        async with asyncio.timeout(PATIENCE), session_with(server, egress) as session:
            return list((await _listed(session)).values())
    except TimeoutError:
        raise TimedOut(f"The server {server.slug} did not answer within {PATIENCE:g} s.") from None
    except Exception as error:  # noqa: BLE001 the edge of a library
        raise _failure(f"The server {server.slug}", error, sent=False) from None


@asynccontextmanager
async def session_with(server: ServerSettings, egress: Egress) -> AsyncIterator[ClientSession]:
    """A session with the server, initialized."""
    # The package takes 0.3 s to import: only who talks to such a server pays it.
    from mcp import ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client
    from mcp.client.streamable_http import streamable_http_client

    if server.command:
        environment = {name: secret_named(ours) for name, ours in server.env.items()}
        parameters = StdioServerParameters(command=server.command[0], args=list(server.command[1:]), env=environment or None)
        with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: ASYNC230 the null device does not block
            async with stdio_client(parameters, errlog=nowhere) as (read, write), ClientSession(read, write) as session:
                await session.initialize()
                yield session
        return
    headers = {name: secret_named(ours) for name, ours in server.header_env.items()}
    async with (
        egress.client(headers=headers) as client,
        streamable_http_client(server.url, http_client=client) as (read, write, _),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        yield session


async def _listed(session: ClientSession) -> dict[str, Found]:
    """The server's tools by name, of all its pages."""
    found: dict[str, Found] = {}
    cursor: str | None = None
    while True:
        page = await session.list_tools(cursor)
        for tool in page.tools:
            reads = bool(tool.annotations and tool.annotations.readOnlyHint)
            found[tool.name] = Found(tool.name, tool.description or "", tool.inputSchema, tool.outputSchema or {}, reads)
        cursor = page.nextCursor
        if not cursor or len(found) >= MOST_TOOLS:
            return found


def _require_pinned(name: str, settings: MCPSettings, listed: Mapping[str, Found]) -> None:
    tool = listed.get(settings.tool)
    if tool is None:
        raise ToolChanged(f"{name}: the server {settings.server.slug} has no tool {settings.tool!r} any more.")
    if tool.hash != settings.pinned:
        raise ToolChanged(
            f"{name}: the server {settings.server.slug} has changed what this tool is called, says or takes since an owner took it in. "
            "Nothing was sent. Look at the tool's page and take the change in, or leave it."
        )


def _failure(name: str, error: BaseException, *, sent: bool) -> Failure:
    """What a library's error, perhaps in groups, says."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, Failure):
        return error
    said = shorten(str(error) or type(error).__name__, 300)
    return Unavailable(f"{name} {'broke off' if sent else 'cannot be reached'}: {said}", sent=sent)


def _value(name: str, result: Any) -> Any:
    texts = [block.text if block.type == "text" else f"({block.type})" for block in result.content]
    if result.isError:
        failure = BadRequest(f"{name}: {shorten(' '.join(texts), 500)}")
        failure.answered = True
        raise failure
    value: Any = result.structuredContent if result.structuredContent is not None else "\n".join(texts)
    if len(dump(value)) > MOST_CHARACTERS:
        raise InvalidOutput(f"{name} answered more than {MOST_CHARACTERS // 1024} KiB.", sent=True)
    return value
