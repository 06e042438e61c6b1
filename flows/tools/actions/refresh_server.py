"""Taking in the tools of an MCP server, and noticing what has changed of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from asgiref.sync import async_to_sync
from django.db import transaction
from django.db.models.functions import Now

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.egress import Egress
from flows.access.granted import connection_holder
from flows.access.refusals import NotFound
from flows.access.rights import Right, require
from flows.engine.failures import Failure
from flows.models import AllowedHost, MCPServer, ToolEntry
from flows.tools.granted import secrets_now
from flows.tools.mcp import Found, discover
from flows.tools.mcp_sessions import ServerSettings


@dataclass
class Refreshed:
    """Slugs of the tools that are new, that are not what was taken in, and that the server shows no more."""

    new: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)


def refresh_server(actor: Actor, slug: str) -> Refreshed:
    """Asks the server what it has. What is new becomes a tool: one that reads where the server says so, else one that writes and is
    never repeated. What changed stays as it was taken in and is flagged; it cannot be called until an owner takes the change in.

    Raises `Forbidden`, `NotFound`, and the `Failure` of a server that cannot be reached, which is kept with it.
    """
    require(actor, Right.MANAGE_CATALOGUE)
    row = MCPServer.objects.filter(slug=slug).first()
    if row is None:
        raise NotFound(f"MCP server {slug!r}")
    server = settings_of(row)
    try:
        given = secrets_now(connection_holder(slug), server.wanted)
        found = async_to_sync(_asked)(server, given, frozenset(AllowedHost.objects.values_list("host", flat=True)))
    except Failure as failure:
        MCPServer.objects.filter(slug=slug).update(problem=failure.message[:500], checked_at=Now())
        raise
    with transaction.atomic():
        MCPServer.objects.filter(slug=slug).update(problem="", checked_at=Now())
        return _take_in_all(actor, server, {_slug_of(slug, each.name): each for each in found})


def accept_tool(actor: Actor, slug: str) -> ToolEntry:
    """Takes in what an MCP tool has become, so that it may be called again. Raises `Forbidden`, `NotFound`."""
    require(actor, Right.MANAGE_CATALOGUE)
    with transaction.atomic():
        tool = ToolEntry.objects.select_for_update().filter(slug=slug, kind="mcp").first()
        changed = tool.settings.get("changed") if tool is not None else None
        if tool is None or changed is None:
            raise NotFound(f"change of the tool {slug!r} to take in")
        before = {"description": tool.description, "arguments": tool.arguments}
        tool.description, tool.arguments = changed["description"][:1000], changed["arguments"]
        tool.settings = {**tool.settings, "pinned": tool.settings["found"], "changed": None}
        tool.save(update_fields=["description", "arguments", "settings"])
        after = {"description": tool.description, "arguments": tool.arguments}
        record_change(actor, "tool.accept", "tool", slug, {"from": before, "to": after})
    return tool


def settings_of(row: MCPServer) -> ServerSettings:
    """How the server is reached, as its tools keep it."""
    return ServerSettings(
        slug=row.slug,
        command=tuple(row.command),
        env=row.env,
        url=row.url,
        header_env=row.header_env,
        env_secret=row.env_secret,
        header_secret=row.header_secret,
    )


async def _asked(server: ServerSettings, given: Mapping[str, str], hosts: frozenset[str]) -> list[Found]:
    egress = Egress(lambda: hosts)
    try:
        return await discover(server, given, egress)
    finally:
        await egress.aclose()


def _take_in_all(actor: Actor, server: ServerSettings, found: dict[str, Found]) -> Refreshed:
    done = Refreshed()
    settings = server.model_dump(mode="json")
    known = {tool.slug: tool for tool in ToolEntry.objects.filter(kind="mcp", settings__server__slug=server.slug)}
    for slug, tool in found.items():
        if slug not in known:
            _add(actor, slug, tool, settings)
            done.new.append(slug)
            continue
        row = known[slug]
        same = tool.hash == row.settings["pinned"]
        row.settings = {**row.settings, "server": settings, "found": tool.hash, "changed": None if same else tool.facts}
        row.save(update_fields=["settings"])
        if not same:
            done.changed.append(slug)
    for slug in known.keys() - found.keys():
        known[slug].settings = {**known[slug].settings, "server": settings, "found": "", "changed": None}
        known[slug].save(update_fields=["settings"])
        done.gone.append(slug)
    return done


def _add(actor: Actor, slug: str, tool: Found, server: dict[str, object]) -> None:
    effect, repeat = ("read", "freely") if tool.reads else ("write", "never")
    ToolEntry.objects.create(
        slug=slug,
        kind="mcp",
        effect=effect,
        repeat=repeat,
        arguments=dict(tool.arguments),
        description=tool.description[:1000],
        settings={"server": server, "tool": tool.name, "pinned": tool.hash, "found": tool.hash, "changed": None},
    )
    record_change(actor, "tool.create", "tool", slug, {"kind": "mcp", "effect": effect, "repeat": repeat, "pinned": tool.hash})


def _slug_of(server: str, name: str) -> str:
    return f"{server}.{re.sub('[^a-z0-9._-]+', '-', name.lower())}"[:120]
