"""Tools and the connections that they reach, over HTTP."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema, Status
from pydantic import Field

from flows.access.actor import Actor
from flows.access.refusals import Forbidden
from flows.access.rights import Right, require, require_scope
from flows.api.auth import actor_of
from flows.api.runs import REFUSALS, runs_root
from flows.api.shapes import Time
from flows.api.shapes.runs import RunStarted
from flows.engine.failures import Failure
from flows.models import MCPServer
from flows.runs.actions.put_connection import check_connection, put_connection, remove_connection
from flows.runs.actions.put_tool import change_terms, put_tool, remove_tool
from flows.runs.actions.try_tool import try_tool
from flows.runs.toolbox.connected import ConnectionView, connections_shown
from flows.runs.toolbox.entries import ConnectionPart, ToolPart
from flows.runs.toolbox.reads import ToolView, tool_shown, tools_shown
from flows.tools.actions.refresh_server import accept_tool, refresh_server

router = Router(tags=["tools"])


class ToolShape(Schema):
    name: str
    kind: str
    description: str
    effect: str = Field(description="read or write")
    repeat: str = Field(description="freely, keyed, lookup or never")
    reversible: bool
    trusted: bool | None = Field(description="whether its answers are nobody else's words; null: as its kind says")
    timeout: float | None = Field(description="seconds that one call may take")
    arguments: dict[str, Any] = Field(description="JSON Schema")
    result: dict[str, Any] = Field(description="JSON Schema; empty where it is not known")
    schema_hash: str
    changed: dict[str, Any] | None = Field(description="what its MCP server has made of it since it was taken in")
    policy: str = Field(description="the approval policy that it names itself; empty for none")
    policies: list[str] = Field(description="names of all that are asked about its calls")
    used_by: list[str]


class ToolsShape(Schema):
    items: list[ToolShape]


class ToolTerms(Schema, extra="forbid"):
    effect: str | None = Field(None, pattern="^(read|write)$")
    repeat: str | None = Field(None, pattern="^(freely|keyed|lookup|never)$")
    reversible: bool | None = None
    trusted: bool | None = None
    timeout: float | None = Field(None, gt=0, le=86400)
    description: str | None = Field(None, max_length=1000)
    policy: str | None = Field(None, max_length=64, description="an approval policy in force; empty for none")


class ToolTried(Schema, extra="forbid"):
    arguments: dict[str, Any] = Field(default_factory=dict)
    really: bool = Field(False, description="whether one that writes is really called; else it is only written down")


class ConnectionShape(Schema):
    name: str
    kind: str = Field(description="postgresql, smtp or mcp")
    label: str
    reached: str
    secrets: list[str] = Field(description="names of its secrets")
    expires_on: date | None
    checked_at: Time | None
    problem: str
    used_at: Time | None
    tools: list[str]
    used_by: list[str]


class ConnectionsShape(Schema):
    items: list[ConnectionShape]


class ConnectionChecked(Schema):
    well: bool
    said: str


@router.get("/tools", response={200: ToolsShape, 403: REFUSALS[403]})
def get_tools(request: HttpRequest) -> Any:
    """All tools."""
    require_sight(actor_of(request))
    return {"items": [tool_shape(each) for each in tools_shown(actor_of(request))]}


@router.get("/tools/{tool}", response={200: ToolShape, 403: REFUSALS[403], 404: REFUSALS[404]})
def get_tool(request: HttpRequest, tool: str) -> Any:
    """One tool."""
    require_sight(actor_of(request))
    return tool_shape(tool_shown(actor_of(request), tool))


@router.put("/tools/{tool}", response={200: ToolShape} | REFUSALS)
def put_one_tool(request: HttpRequest, tool: str, body: ToolPart) -> Any:
    """Makes the tool, or changes it; what stands beside the known keys belongs to its kind. Needs the right `catalogue.manage`."""
    put_tool(actor_of(request), tool, body)
    return tool_shape(tool_shown(actor_of(request), tool))


@router.patch("/tools/{tool}", response={200: ToolShape} | REFUSALS)
def patch_tool(request: HttpRequest, tool: str, body: ToolTerms) -> Any:
    """Changes what a tool counts as, one of an MCP server too; what is left out stays."""
    change_terms(actor_of(request), tool, body.dict(exclude_unset=True))
    return tool_shape(tool_shown(actor_of(request), tool))


@router.delete("/tools/{tool}", response={204: None} | REFUSALS)
def delete_tool(request: HttpRequest, tool: str) -> Any:
    """Takes it out of the catalogue; refused where a published flow calls it, naming that."""
    remove_tool(actor_of(request), tool)
    return Status(204, None)


@router.post("/tools/{tool}/accept", response={200: ToolShape} | REFUSALS)
def post_accept(request: HttpRequest, tool: str) -> Any:
    """Takes in what an MCP tool has become at its server."""
    accept_tool(actor_of(request), tool)
    return tool_shape(tool_shown(actor_of(request), tool))


@router.post("/tools/{tool}/trials", response={202: RunStarted} | REFUSALS)
def post_tool_trial(request: HttpRequest, response: HttpResponse, tool: str, body: ToolTried) -> Any:
    """Calls the tool once, as a run of its own that is marked as a test."""
    run = try_tool(actor_of(request), tool, body.arguments, really=body.really, source="api")
    url = f"{runs_root(request)}/{run.public_id}"
    response["Location"] = url
    return Status(202, {"id": run.public_id, "url": url, "state": run.status})


@router.get("/connections", response={200: ConnectionsShape, 403: REFUSALS[403]})
def get_connections(request: HttpRequest) -> Any:
    """All connections, MCP servers among them. Needs the right `catalogue.manage`."""
    require(actor_of(request), Right.MANAGE_CATALOGUE)
    return {"items": [connection_shape(each) for each in connections_shown()]}


@router.put("/connections/{connection}", response={200: ConnectionShape} | REFUSALS)
def put_one_connection(request: HttpRequest, connection: str, body: ConnectionPart) -> Any:
    """Makes the connection, or changes it. One of the kind mcp is an MCP server that has an address (`url`);
    one that is started by a command is named by a catalogue document only."""
    put_connection(actor_of(request), connection, body)
    return next(connection_shape(each) for each in connections_shown() if each.slug == connection)


@router.delete("/connections/{connection}", response={204: None} | REFUSALS)
def delete_connection(request: HttpRequest, connection: str) -> Any:
    """Takes it away, of an MCP server with its tools; refused while something uses it, naming that."""
    remove_connection(actor_of(request), connection)
    return Status(204, None)


@router.post("/connections/{connection}/check", response={200: ConnectionChecked} | REFUSALS)
def post_connection_check(request: HttpRequest, connection: str) -> Any:
    """Asks the other side who it is; of an MCP server, which tools it has."""
    well, said = connection_asked(actor_of(request), connection)
    return {"well": well, "said": said}


def connection_asked(actor: Actor, name: str) -> tuple[bool, str]:
    """Whether the other side lets us in, and what it says of itself; of an MCP server, what became of its tools. Raises `Forbidden`,
    `NotFound`."""
    try:
        if MCPServer.objects.filter(slug=name[:60]).exists():
            done = refresh_server(actor, name)
            return True, f"{len(done.new)} new, {len(done.changed)} changed, {len(done.gone)} gone"
        return True, check_connection(actor, name)
    except Failure as failure:
        return False, failure.message


def tool_shape(view: ToolView) -> dict[str, Any]:
    """A tool as `ToolShape`."""
    entry = view.tool
    return {
        "name": entry.slug,
        "kind": entry.kind,
        "description": entry.description,
        "effect": entry.effect,
        "repeat": entry.repeat,
        "reversible": entry.reversible,
        "trusted": entry.trusted,
        "timeout": entry.timeout,
        "arguments": entry.arguments,
        "result": entry.result,
        "schema_hash": view.hash,
        "changed": view.change,
        "policy": entry.policy,
        "policies": [each.name for each in view.policies],
        "used_by": sorted({use.slug for use in view.uses}),
    }


def connection_shape(view: ConnectionView) -> dict[str, Any]:
    """A connection as `ConnectionShape`."""
    return {
        "name": view.slug,
        "kind": view.kind,
        "label": view.account,
        "reached": view.reached,
        "secrets": view.secrets,
        "expires_on": view.row.expires_on,
        "checked_at": view.row.checked_at,
        "problem": view.row.problem,
        "used_at": view.used_at,
        "tools": list(view.tools),
        "used_by": sorted(use.slug for use in view.uses),
    }


def require_sight(actor: Actor) -> None:
    """Passes for whoever sees flows somewhere. Raises `Forbidden`."""
    require_scope(actor, Right.SEE_FLOWS)
    if not actor.holdings.allow(Right.SEE_FLOWS) and not actor.holdings.teams(Right.SEE_FLOWS):
        raise Forbidden(Right.SEE_FLOWS)
