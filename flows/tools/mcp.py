"""A tool of a server that speaks the Model Context Protocol: over stdio, or over streamable HTTP by the checked way out.

A server's tools are pinned: what they are called, say and take is kept as a hash when an owner takes them in. A call first asks the
server what the tool is now and is refused where that has changed, since a changed description is a changed instruction to every model
that reads it. Calls of one server share a session (`flows/tools/mcp_sessions.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from flows.access.egress import Egress
from flows.access.granted import connection_holder
from flows.engine.canonical import sha256_of
from flows.engine.failures import BadRequest, Failure, InvalidOutput, TimedOut, Unavailable
from flows.engine.problems import shorten
from flows.execution.jsontext import dump
from flows.tools.base import ToolCall, ToolContext, ToolSettings
from flows.tools.granted import secrets_for
from flows.tools.mcp_sessions import ServerSettings, session_with

if TYPE_CHECKING:
    from mcp import ClientSession

MOST_CHARACTERS = 1024 * 1024
MOST_TOOLS = 500
PATIENCE = 30.0
"""Seconds that a server may take to say what it has."""


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
    arguments: ClassVar[Mapping[str, Any]] = {}
    Settings: ClassVar[type[ToolSettings]] = MCPSettings

    async def call(self, call: ToolCall, context: ToolContext) -> Any:
        """What the tool gives: its structured content, else its text. Raises `ToolChanged` where it is not what was pinned."""
        settings: MCPSettings = call.spec.settings
        given = await secrets_for(connection_holder(settings.server.slug), settings.server.wanted, context)
        sending = _Sending()
        try:
            async with asyncio.timeout(call.timeout):
                result = await self._called(call, given, context, sending)
        except TimeoutError:
            raise TimedOut(f"{call.spec.slug} did not answer within {call.timeout:g} s.", sent=sending.sent) from None
        return _value(call.spec.slug, result)

    async def _called(self, call: ToolCall, given: Mapping[str, str], context: ToolContext, sending: _Sending) -> Any:
        """The server's answer. A session that turns out to be broken before anything was sent is made anew, once."""
        settings: MCPSettings = call.spec.settings
        name, tries = call.spec.slug, 0
        while True:
            tries += 1
            try:
                async with context.sessions.use(settings.server, given, context.egress) as session:
                    _require_pinned(name, settings, await _listed(session))
                    sending.sent = True
                    return await session.call_tool(settings.tool, dict(call.arguments))
            except Failure:
                raise
            except Exception as error:  # noqa: BLE001 the edge of a library: whatever it raises becomes a fact of ours
                if sending.sent or tries > 1:
                    raise _failure(name, error, sent=sending.sent) from None


@dataclass(slots=True)
class _Sending:
    """Whether the call itself has left."""

    sent: bool = False


async def discover(server: ServerSettings, given: Mapping[str, str], egress: Egress) -> list[Found]:
    """The tools that the server shows now, in a session for this question alone. Raises `Unavailable` and `TimedOut`."""
    try:
        async with asyncio.timeout(PATIENCE), session_with(server, given, egress) as session:
            return list((await _listed(session)).values())
    except TimeoutError:
        raise TimedOut(f"The server {server.slug} did not answer within {PATIENCE:g} s.") from None
    except Exception as error:  # noqa: BLE001 the edge of a library
        raise _failure(f"The server {server.slug}", error, sent=False) from None


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
