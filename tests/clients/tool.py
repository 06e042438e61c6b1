"""The official MCP client on a flow: ``python tool.py ADDRESS KEY TOOL ARGUMENTS``. Prints a line of JSON with the tools' names, one for
each sign of progress as it comes, and one with the result."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import httpx
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client


async def main(address: str, key: str, tool: str, arguments: str) -> None:
    async def hear(progress: float, total: float | None, message: str | None) -> None:
        say(progress=message)

    async with (
        httpx.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=60) as http,
        streamable_http_client(address, http_client=http) as (incoming, outgoing, _),
        ClientSession(incoming, outgoing) as session,
    ):
        await session.initialize()
        say(tools=[each.name for each in (await session.list_tools()).tools])
        result = await session.call_tool(tool, json.loads(arguments), progress_callback=hear)
        say(failed=result.isError, result=result.structuredContent)


def say(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
