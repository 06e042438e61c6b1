"""Published flows as tools of the Model Context Protocol, over streamable HTTP at ``/mcp``.

A tool is a published flow: its name is the slug, its input schema the flow's. Calling one starts a run with the rights and limits of
any run and answers with what it gives. The answer waits for the run, at most a minute, or as long as ``Prefer: wait=SECONDS`` says, up
to ten; a run that has not ended by then, because a person decides or because it is long, goes on. The result then says so, names the
run and its page, and the tool `run_status` tells later what became of it. While it waits, whoever sent a progress token hears of each
state of the run.

Each request stands by itself: no session is kept, so any process answers any of them.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import anyio
from channels.db import database_sync_to_async

from flows.access.actor import Actor
from flows.access.keys import key_behind
from flows.access.masking import mask_of
from flows.access.querysets import flows_for, runs_for
from flows.access.refusals import NotFound, NotSignedIn, Refusal
from flows.access.rights import Right, require_scope
from flows.api.chat import MOST_PATIENCE, PATIENCE, POLL
from flows.engine.document import FlowDocument
from flows.engine.states import TERMINAL_STATES
from flows.models import Flow, Run
from flows.models.identifiers import UnknownIdentifier, parsed
from flows.runs.actions.start_run import start_run
from flows.runs.documents import document_of

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

STATUS = "run_status"
MOST_TOOLS = 1000
ABOUT_STATUS = "What became of a run that a tool started: its state and, once it has succeeded, its output."
STATUS_INPUT = {
    "type": "object",
    "properties": {"run": {"type": "string", "description": "the run's identifier, run_…"}},
    "required": ["run"],
    "additionalProperties": False,
}

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def mcp_door(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application at ``/mcp``. Whoever sends no good API key gets 401."""
    from mcp.server.streamable_http import StreamableHTTPServerTransport  # 50 MB that only who comes by this door needs

    if scope["method"] != "POST":  # no session is kept, so there is nothing to listen to and nothing to end
        await _answer(send, 405, "method-not-allowed", "Send messages by POST.", (b"allow", b"POST"))
        return
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    try:
        actor = await database_sync_to_async(_actor)(headers.get("authorization", ""), scope)
    except Refusal as refusal:
        await _answer(send, refusal.status, refusal.slug, refusal.message, (b"www-authenticate", b"Bearer"))
        return
    address = f"{scope.get('scheme', 'http')}://{headers.get('host', 'localhost')}"
    server = _server(Door(actor, address, _patience(headers.get("prefer", ""))))
    transport = StreamableHTTPServerTransport(mcp_session_id=None)

    async def serve(*, task_status: anyio.abc.TaskStatus[None]) -> None:
        async with transport.connect() as (incoming, outgoing):
            task_status.started()
            await server.run(incoming, outgoing, server.create_initialization_options(), stateless=True)

    async with anyio.create_task_group() as tasks:
        await tasks.start(serve)
        await transport.handle_request(scope, receive, send)  # type: ignore[arg-type]
        await transport.terminate()
        tasks.cancel_scope.cancel()


class Door:
    """What one caller may do here."""

    def __init__(self, actor: Actor, address: str, patience: float) -> None:
        self.actor = actor
        self.address = address  # of this installation, as the caller wrote it
        self.patience = patience  # seconds

    def tools(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Name, description and input schema of each tool that this caller may call. Raises `Forbidden`."""
        require_scope(self.actor, Right.START_RUNS)
        flows = flows_for(self.actor).filter(published__isnull=False, archived_at=None, paused_at=None).select_related("team")
        mine = [flow for flow in flows.defer("draft").order_by("slug")[:MOST_TOOLS] if self._may_start(flow)]
        listed = [(flow.slug, document_of(flow.published_id)) for flow in mine if flow.published_id is not None]
        return [
            *((slug, about(document), schema_of(document)) for slug, document in listed),
            (STATUS, ABOUT_STATUS, STATUS_INPUT),
        ]

    def start(self, slug: str, given: dict[str, Any]) -> Run:
        """Raises what `start_run` does."""
        if not flows_for(self.actor).filter(slug=slug.replace("\x00", "")[:80]).exists():
            raise NotFound(f"tool {slug[:80]!r}")
        return start_run(self.actor, slug, given, source="mcp")

    def run(self, public_id: str) -> Run:
        """The run, as it is now. Raises `NotFound`, `Forbidden`."""
        require_scope(self.actor, Right.SEE_RUNS)
        try:
            found = runs_for(self.actor).filter(id=parsed("run", public_id)).defer("input").first()
        except UnknownIdentifier:
            found = None
        if found is None:
            raise NotFound("run")
        return found

    def said(self, run: Run) -> tuple[str, dict[str, Any], bool]:
        """What a run has to say: as text, as an object, and whether it is an error."""
        url = f"{self.address}/runs/{run.public_id}"
        about: dict[str, Any] = {"run": run.public_id, "url": url, "state": run.status}
        if run.status == "succeeded":
            output = self._output(run)
            return (
                output if isinstance(output, str) else json.dumps(output, ensure_ascii=False),
                about | {"output": output},
                False,
            )
        if run.status in TERMINAL_STATES:
            return f"Run #{run.number} ended as {run.status.replace('_', ' ')}. See {url}", about, True
        waits = "waits for a person to decide" if run.status == "waiting_approval" else "has not ended yet"
        text = f"Run #{run.number} {waits}. It goes on by itself; follow it at {url} or ask {STATUS} for {run.public_id}."
        return text, about, False

    def _output(self, run: Run) -> Any:
        """The output, as it is for whoever called the flow, without what is hidden for everybody else."""
        own = self.actor.key is not None and run.started_key_id == self.actor.key.id and run.source == "mcp"
        return json.loads(run.output or "null") if own else mask_of(run).read(run.output)

    def _may_start(self, flow: Flow) -> bool:
        return self.actor.may(Right.START_RUNS, flow.team_id)


def about(document: FlowDocument) -> str:
    """What a tool is for, in its author's words."""
    return f"{document.name}. {document.description or ''}".strip()


def schema_of(document: FlowDocument) -> dict[str, Any]:
    """The flow's input schema as the protocol wants it: an object's."""
    schema = dict(document.input or {})
    return schema if schema.get("type") == "object" else {"type": "object", **schema}


def _server(door: Door) -> Server[Any, Any]:
    from mcp import types
    from mcp.server.lowlevel import Server

    server: Server[Any, Any] = Server("orchestrator", instructions="Each tool is a published flow; calling it starts a run.")

    @server.list_tools()  # type: ignore[no-untyped-call]
    async def list_tools() -> list[types.Tool]:
        listed = await database_sync_to_async(door.tools)()
        return [types.Tool(name=name, description=text, inputSchema=schema) for name, text, schema in listed]

    @server.call_tool(validate_input=False)  # `start_run` does, and says where and how to mend it
    async def call_tool(name: str, arguments: dict[str, Any]) -> types.CallToolResult:
        try:
            if name == STATUS:
                run = await database_sync_to_async(door.run)(str(arguments.get("run", "")))
            else:
                run = await database_sync_to_async(door.start)(name, arguments)
                run = await _ended(server, door, run)
        except Refusal as refusal:
            return types.CallToolResult(content=[types.TextContent(type="text", text=str(refusal))], isError=True)
        text, structured, failed = await database_sync_to_async(door.said)(run)
        content: list[types.ContentBlock] = [types.TextContent(type="text", text=text)]
        return types.CallToolResult(content=content, structuredContent=structured, isError=failed)

    return server


async def _ended(server: Server[Any, Any], door: Door, run: Run) -> Run:
    """The run once it has ended, or as it is when patience is over. Each new state is told as progress."""
    context = server.request_context
    token = context.meta.progressToken if context.meta is not None else None
    until, told, now = time.monotonic() + door.patience, "", run
    step = 0
    while True:
        if token is not None and now.status != told:
            step, told = step + 1, now.status
            words = told.replace("_", " ")
            await context.session.send_progress_notification(
                token, step, message=words, related_request_id=str(context.request_id)
            )
        if now.status in TERMINAL_STATES or time.monotonic() >= until:
            return now
        await asyncio.sleep(POLL)
        now = await database_sync_to_async(Run.objects.defer("input").get)(id=run.id)


def _actor(authorization: str, scope: Scope) -> Actor:
    scheme, _, secret = authorization.partition(" ")
    key = key_behind(secret.strip()) if scheme.lower() == "bearer" else None
    if key is None:
        raise NotSignedIn("This API key is unknown, expired or revoked. Send one as `Authorization: Bearer …`.")
    client = scope.get("client") or ("",)
    return Actor(person=key.person, key=key, door="api", address=str(client[0]))


def _patience(prefer: str) -> float:
    found = re.search(r"(?:^|[,;\s])wait=(\d{1,6})", prefer)
    return min(float(found[1]), MOST_PATIENCE) if found is not None else PATIENCE


async def _answer(send: Send, status: int, slug: str, detail: str, header: tuple[bytes, bytes]) -> None:
    """A problem document, where the protocol has no word."""
    body = json.dumps({"type": f"/problems/{slug}", "status": status, "detail": detail}).encode()
    about = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode()), header]
    await send({"type": "http.response.start", "status": status, "headers": about})
    await send({"type": "http.response.body", "body": body})
