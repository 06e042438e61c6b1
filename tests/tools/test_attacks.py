"""What somebody might try by way of a tool, each refused, or shown harmless, with a message that says what and why.

What an MCP server changes is in `test_mcp.py`, instructions and markup in an answer in `tests/execution/test_agents.py` and
`test_conversation.py`, each address and each step of the way out in `tests/access/test_egress.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from flows.access.addresses import EgressRefused
from flows.access.egress import Egress
from flows.engine.failures import InvalidOutput
from flows.engine.kinds import Catalogue
from flows.tools.base import ToolCall, ToolContext, ToolSpec
from flows.tools.http import HTTPSettings, HTTPTool
from tests.engine.flows import problems_of
from tests.servers.effect_server import EffectServer
from tests.servers.loopback import Asked, Connection, running

GIGABYTE = 1 << 30
PART = b" " * 65536


@dataclass
class EndlessServer(EffectServer):
    """Answers a gigabyte, and counts how much of it was taken."""

    given: int = 0

    async def handle(self, asked: Asked, connection: Connection, behave: dict[str, Any]) -> None:
        if asked.path != "/gigabyte":
            return await super().handle(asked, connection, behave)
        await connection.head(200, {"Content-Type": "application/json", "Content-Length": str(GIGABYTE)})
        while self.given < GIGABYTE:
            await connection.part(PART)
            self.given += len(PART)
        return None


@pytest.fixture
def server() -> Iterator[EndlessServer]:
    with running(EndlessServer()) as server:
        yield server


async def call(url: str, *allowed: str, resolve: Any = None) -> Any:
    spec = ToolSpec("pages.read", "http", "read", "freely", {}, HTTPSettings(url=url, method="GET"))
    context = ToolContext(Egress(lambda: frozenset(allowed), resolve=resolve))
    return await HTTPTool().call(ToolCall(spec, {}, "key", 10.0, uuid4()), context)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/x", "http://169.254.169.254/latest/meta-data", "http://[::1]/", "http://10.0.0.7/"]
)
async def test_a_tool_url_to_a_private_address(url: str) -> None:
    with pytest.raises(EgressRefused, match=r"is not on the public internet\. An owner must add"):
        await call(url)


async def test_a_redirect_to_a_private_address(server: EndlessServer) -> None:
    with running(EffectServer()) as inner:
        server.behaves({"behave": "redirect", "to": f"{inner.base}/echo"})

        with pytest.raises(EgressRefused, match=f"An owner must add '{inner.host}'"):
            await call(f"{server.base}/echo", server.host)

        assert not inner.asked


async def test_a_name_whose_addresses_change_to_a_private_one() -> None:
    asked = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    with pytest.raises(EgressRefused, match=r"rebind\.example:80 is at 127\.0\.0\.1, which is not on the public internet"):
        await call("http://rebind.example/", resolve=resolve)
    assert asked == ["rebind.example"]


async def test_an_answer_of_a_gigabyte(server: EndlessServer) -> None:
    with pytest.raises(InvalidOutput, match=r"pages\.read answered more than 1024 KiB"):
        await call(f"{server.base}/gigabyte", server.host)

    await asyncio.sleep(0)
    assert server.given < GIGABYTE // 8  # what the sockets hold, and no more


@pytest.mark.parametrize("reach", ["input.__class__", "input.to.__class__.__mro__", "().__class__.__bases__[0].__subclasses__()"])
def test_a_template_that_reaches_for_attributes(reach: str) -> None:
    steps = {"send": {"kind": "tool", "with": {"tool": "mail.send", "arguments": {"text": f"{{{{ {reach} }}}}"}}}}

    (problem, *_) = problems_of(steps, ["start -> send"], Catalogue(tools={"mail.send": {}}), input={"type": "object"})

    assert problem.startswith("steps.send.with.arguments.text: ")
    assert "begin with an underscore" in problem or "does not exist" in problem
