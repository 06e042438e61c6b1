"""Published flows as MCP tools: driven by the official client, over the application, with a real engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from approvals.actions.decide import decide
from flows.access.actor import Actor
from flows.models import Request, Run
from orchestrator.asgi import application
from tests.execution.test_chat import ASKS, TEXT, client_of, key_for
from tests.makers import make_person

pytestmark = pytest.mark.django_db(transaction=True)


@asynccontextmanager
async def session_of(secret: str, wait: int = 20) -> AsyncIterator[ClientSession]:
    headers = {"Authorization": f"Bearer {secret}", "Prefer": f"wait={wait}"}
    transport: Any = httpx.ASGITransport(app=application)  # type: ignore[arg-type]
    async with (
        httpx.AsyncClient(transport=transport, headers=headers, timeout=60) as http,
        streamable_http_client("http://localhost/mcp", http_client=http) as (incoming, outgoing, _),
        ClientSession(incoming, outgoing) as session,
    ):
        await session.initialize()
        yield session


async def approve_when_asked() -> None:
    approver = await sync_to_async(make_person)("approver")
    while (request := await Request.objects.filter(state="pending").afirst()) is None:
        await asyncio.sleep(0.05)
    await sync_to_async(decide)(Actor(person=approver), request.id, "approve", request.revision)


async def test_the_official_client_lists_a_flow_and_calls_it(drive: Any) -> None:
    secret = await key_for("runs:write", greet=TEXT)
    drive()
    async with session_of(secret) as session:
        tools = {tool.name: tool for tool in (await session.list_tools()).tools}
        result = await session.call_tool("greet", {"message": "Ann"})

    run = await Run.objects.aget()
    assert set(tools) == {"greet", "run_status"}
    assert tools["greet"].inputSchema["required"] == ["message"]
    assert (result.isError, result.content[0].text) == (False, "Hello Ann")  # type: ignore[union-attr]
    assert result.structuredContent == {
        "run": run.public_id,
        "url": f"http://localhost/runs/{run.public_id}",
        "state": "succeeded",
        "output": "Hello Ann",
    }
    assert (run.source, run.started_key_id is not None) == ("mcp", True)


async def test_an_approval_inside_is_waited_for_and_told_as_progress(drive: Any) -> None:
    secret = await key_for("runs:write", greet=ASKS)
    told: list[str | None] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append(message)

    drive()
    async with session_of(secret) as session, asyncio.TaskGroup() as tasks:
        tasks.create_task(approve_when_asked())
        result = await session.call_tool("greet", {"message": "Ann"}, progress_callback=hear)

    assert result.content[0].text == "approve"  # type: ignore[union-attr]
    assert told[-1] == "succeeded"
    assert told == sorted(set(told), key=told.index), "each state once"


async def test_the_official_client_of_chats_streams_past_an_approval(drive: Any) -> None:
    secret = await key_for("runs:write", greet=ASKS)
    drive()
    async with client_of(secret) as client, asyncio.TaskGroup() as tasks:
        tasks.create_task(approve_when_asked())
        stream = await client.chat.completions.create(
            model="flow/greet", messages=[{"role": "user", "content": "Ann"}], stream=True, extra_headers={"Prefer": "wait=20"}
        )
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    assert text == "approve"


async def test_who_does_not_wait_is_told_where_to_look_and_asks_later(drive: Any) -> None:
    secret = await key_for("runs:write", greet=ASKS)
    drive()
    async with session_of(secret, wait=2) as session:
        result = await session.call_tool("greet", {"message": "Ann"})
        structured: Any = result.structuredContent
        await approve_when_asked()
        while (status := await session.call_tool("run_status", {"run": structured["run"]})).structuredContent[
            "state"
        ] != "succeeded":  # type: ignore[index]
            await asyncio.sleep(0.05)

    assert (result.isError, structured["state"]) == (False, "waiting_approval")
    assert "waits for a person to decide" in result.content[0].text  # type: ignore[union-attr]
    assert status.content[0].text == "approve"  # type: ignore[union-attr]
    assert await Run.objects.acount() == 1


@pytest.mark.parametrize(
    ("scopes", "role", "tool", "given", "words"),
    [
        (["runs:read"], "operator", "greet", {"message": "Ann"}, "lacks the scope 'runs:write'"),
        (["runs:write"], "viewer", "greet", {"message": "Ann"}, "runs.start"),
        (["runs:write"], "operator", "other", {"message": "Ann"}, "There is no tool 'other'"),
        (["runs:write"], "operator", "greet", {"message": 3}, "message"),
        (["runs:write"], "operator", "run_status", {"run": "run_nonsense"}, "There is no run"),
    ],
)
async def test_rights_scopes_and_inputs_hold_as_at_any_door(
    scopes: list[str], role: str, tool: str, given: Any, words: str
) -> None:
    secret = await key_for(*scopes, role=role, greet=TEXT)
    async with session_of(secret) as session:
        result = await session.call_tool(tool, given)

    assert result.isError
    assert words in result.content[0].text  # type: ignore[union-attr]
    assert not await Run.objects.aexists()


async def test_nobody_gets_in_and_other_methods_are_named() -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=application), base_url="http://localhost") as client:  # type: ignore[arg-type]
        nobody = await client.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
        listening = await client.get("/mcp")

    assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, "Bearer")
    assert (listening.status_code, listening.headers["allow"]) == (405, "POST")
