"""Making, changing, checking and removing the connections that tools reach by a name, MCP servers among them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from asgiref.sync import async_to_sync
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models, transaction
from django.db.models.functions import Now

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.egress import Egress
from flows.access.granted import connection_holder
from flows.access.refusals import Fault, Invalid, NotFound
from flows.access.rights import Right, require
from flows.engine.failures import Failure
from flows.models import AllowedHost, Connection, MCPServer, ToolEntry
from flows.routing.entries import SLUG
from flows.runs.actions.put_model import Put, as_faults
from flows.runs.actions.put_tool import take_grants
from flows.runs.toolbox.entries import SERVER, ConnectionPart, MCPPart, connection_faults, read_server
from flows.runs.toolbox.uses import InUse, flows_using
from flows.tools import postgresql, smtp
from flows.tools.connections import KINDS, Connected
from flows.tools.granted import secrets_now

LONGEST_NAME = 60
Row = TypeVar("Row", bound=models.Model)

CHECKS: Mapping[str, Any] = {"postgresql": postgresql.check, "smtp": smtp.check}
"""By kind: what asks the other side who it is."""


def put_connection(actor: Actor, slug: str, part: ConnectionPart) -> Put:
    """Makes the connection, or changes it; tools that name it use it from their next call on. One of the kind `mcp` is an MCP server that
    has an address. Raises `Forbidden`, and `Invalid` naming each fault."""
    require(actor, Right.MANAGE_CATALOGUE)
    is_server = part.kind == SERVER
    server, found = read_server(part) if is_server else (None, connection_faults(slug, part))
    faults = list(as_faults(("connections", slug), found))
    if not SLUG.fullmatch(slug) or len(slug) > LONGEST_NAME:
        faults.append(
            Fault("name", f"`{slug[:40]}` is no name", "Use up to 60 small letters, digits, dots, hyphens and underscores.")
        )
    elif not is_server and MCPServer.objects.filter(slug=slug).exists():
        faults.append(Fault("name", f"`{slug}` is the name of an MCP server", "Choose another name."))
    elif is_server and (Connection.objects.filter(slug=slug).exists() or MCPServer.objects.filter(slug=slug, url="").exists()):
        faults.append(Fault("name", f"`{slug}` is the name of another connection", "Choose another name."))
    if faults:
        raise Invalid("The connection cannot be used as it is.", problems=faults)
    with transaction.atomic():
        return write_connection(actor, slug, part) if server is None else write_server(actor, slug, server)


def write_connection(actor: Actor, slug: str, part: ConnectionPart) -> Put:
    """Writes the connection with its audit row, for who has checked rights and the part. Must run in a transaction."""
    return _put(actor, Connection, "connection", slug, part.stored())


def write_server(actor: Actor, slug: str, part: MCPPart) -> Put:
    """The same for an MCP server. Its tools are reached as it says from their next check on."""
    values = {
        "command": list(part.command),
        "env": part.env,
        "url": part.url,
        "header_env": part.header_env,
        "env_secret": part.env_secret,
        "header_secret": part.header_secret,
        "expires_on": part.expires_on,
    }
    return _put(actor, MCPServer, "mcp server", slug, values)


def check_connection(actor: Actor, slug: str) -> str:
    """Asks the other side, and gives what it says of itself. Raises `Forbidden`, `NotFound`, and the `Failure` of one that does not let
    us in, which is kept with the connection."""
    require(actor, Right.MANAGE_CATALOGUE)
    row = Connection.objects.filter(slug=slug[:60]).first()
    if row is None:
        raise NotFound(f"connection {slug[:60]!r}")
    hosts = frozenset(AllowedHost.objects.values_list("host", flat=True))
    try:
        secrets = secrets_now(connection_holder(slug), {"password": row.secret} if row.secret else {})
        connected = Connected(slug, KINDS[row.kind].model_validate(row.settings), secrets.get("password", ""))
        said = str(async_to_sync(CHECKS[row.kind])(connected, Egress(lambda: hosts)))
    except Failure as failure:
        Connection.objects.filter(slug=slug).update(problem=failure.message[:500], checked_at=Now())
        raise
    Connection.objects.filter(slug=slug).update(problem="", checked_at=Now())
    return said


def remove_connection(actor: Actor, slug: str) -> None:
    """Takes a connection away, of an MCP server with its tools. Raises `Forbidden`, `NotFound`, and `InUse` naming the tools that name it
    and the flows that call them, until these use another."""
    require(actor, Right.MANAGE_CATALOGUE)
    with transaction.atomic():
        server = MCPServer.objects.select_for_update().filter(slug=slug[:60]).first()
        row = Connection.objects.select_for_update().filter(slug=slug[:60]).first() if server is None else server
        if row is None:
            raise NotFound(f"connection {slug[:60]!r}")
        tools = tools_of(slug) if server is None else tools_of_server(slug)
        flows = flows_using(tools)
        if flows or (tools and server is None):
            said = f" They are called by {', '.join(map(str, flows))}." if flows else ""
            raise InUse(f"{slug} is used by {', '.join(tools)}.{said} Let them use another connection first.")
        for tool in tools:
            take_grants(tool)
        ToolEntry.objects.filter(slug__in=tools).delete()
        row.delete()
        take_grants(connection_holder(slug))
        record_change(actor, "connection.remove", "connection", slug, {"tools": tools})


def tools_of(connection: str) -> list[str]:
    """The tools that name this connection."""
    return list(ToolEntry.objects.filter(settings__connection=connection).order_by("slug").values_list("slug", flat=True))


def tools_of_server(server: str) -> list[str]:
    """The tools that came from this MCP server."""
    entries = ToolEntry.objects.filter(kind="mcp", settings__server__slug=server)
    return list(entries.order_by("slug").values_list("slug", flat=True))


def _put(actor: Actor, table: type[Row], kind: str, slug: str, values: Mapping[str, Any]) -> Put:
    """The row of this slug with these values; recorded with what changed, if anything did."""
    row: Any = table._default_manager.filter(pk=slug).first()
    if row is None:
        row = table._default_manager.create(pk=slug, **values)
        record_change(actor, f"{kind}.create", kind, slug, _plain(values))
        return Put(row, [f"new {kind} {slug}"])
    changed = {name: value for name, value in values.items() if getattr(row, name) != value}
    put = Put(row)
    if changed:
        before = {name: getattr(row, name) for name in changed}
        for name, value in changed.items():
            setattr(row, name, value)
        row.save(update_fields=list(changed))
        record_change(actor, f"{kind}.change", kind, slug, {"from": _plain(before), "to": _plain(changed)})
        put.changes.append(f"{kind} {slug}: {', '.join(changed)}")
    return put


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """With dates as text."""
    return dict(json.loads(json.dumps(dict(values), cls=DjangoJSONEncoder)))
