"""Sessions with MCP servers: kept while they are used, bounded, made anew where they broke, closed when they rest."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from flows.access.egress import Egress
from flows.engine.failures import Unavailable
from flows.tools.base import ToolCall, ToolContext, ToolSpec
from flows.tools.mcp import MCPSettings, MCPTool, discover
from flows.tools.mcp_sessions import ServerSettings, Sessions

OWN = """
import os
from mcp.server.fastmcp import FastMCP

server = FastMCP("own")

@server.tool()
def who() -> int:
    return os.getpid()

@server.tool()
def die() -> int:
    os._exit(1)

server.run()
"""


@pytest.fixture
def server(tmp_path: Path) -> ServerSettings:
    program = tmp_path / "own.py"
    program.write_text(textwrap.dedent(OWN))
    return ServerSettings(slug="own", command=(sys.executable, str(program)))


@pytest.fixture
async def sessions() -> AsyncIterator[Sessions]:
    sessions = Sessions(rest=0.5, most=1)
    yield sessions
    await sessions.aclose()


async def call(sessions: Sessions, server: ServerSettings, name: str = "who") -> Any:
    egress = Egress(frozenset)
    pinned = {each.name: each.hash for each in await discover(server, {}, egress)}
    spec = ToolSpec(f"own.{name}", "mcp", "write", "never", {}, MCPSettings(server=server, tool=name, pinned=pinned[name]))
    given = await MCPTool().call(ToolCall(spec, {}, "key", 30.0, uuid4()), ToolContext(egress, sessions=sessions))
    return given["result"]


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def until_gone(pid: int) -> None:
    async with asyncio.timeout(30):
        while is_there(pid):
            await asyncio.sleep(0.02)


async def test_calls_share_a_session_until_it_rests(server: ServerSettings) -> None:
    sessions = Sessions(rest=60)
    first = await call(sessions, server)
    again, side_by_side = await asyncio.gather(call(sessions, server), call(sessions, server))
    assert first == again == side_by_side
    await sessions.aclose()
    await until_gone(first)

    sessions = Sessions(rest=0.2)
    resting = await call(sessions, server)
    await until_gone(resting)
    assert await call(sessions, server) != resting
    await sessions.aclose()


async def test_one_whose_server_died_meanwhile_is_made_anew(server: ServerSettings) -> None:
    sessions = Sessions(rest=60)
    first = await call(sessions, server)
    os.kill(first, signal.SIGKILL)
    await until_gone(first)

    second = await call(sessions, server)

    assert second != first
    await sessions.aclose()


async def test_one_that_dies_in_a_call_may_have_acted(server: ServerSettings) -> None:
    sessions = Sessions(rest=60)

    with pytest.raises(Unavailable, match=r"own\.die broke off") as found:
        await call(sessions, server, "die")

    assert found.value.sent
    assert await call(sessions, server)
    await sessions.aclose()


async def test_another_server_takes_the_place_of_one_that_rests(server: ServerSettings, sessions: Sessions) -> None:
    other = server.model_copy(update={"slug": "other"})

    first = await call(sessions, server)
    second = await call(sessions, other)

    assert first != second
    await until_gone(first)
