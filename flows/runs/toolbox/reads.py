"""Tools as their pages show them: what each does, whether it may be repeated, what it takes, and which flows use it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flows.access.actor import Actor
from flows.access.querysets import flows_for
from flows.access.refusals import NotFound
from flows.engine.canonical import sha256_of
from flows.engine.document import Body, FlowDocument
from flows.models import MCPServer, ToolEntry
from flows.runs.documents import documents_of

REPEATS = {
    "freely": "may be repeated",
    "keyed": "repeated with the same key",
    "lookup": "looked up before it is repeated",
    "never": "never repeated",
}


@dataclass(frozen=True, slots=True)
class Use:
    """A flow that calls the tool, in the version that runs; `leash` is an agent's, empty for a step of the flow."""

    slug: str
    name: str
    version: int
    leash: str = ""


@dataclass(frozen=True, slots=True)
class ToolView:
    tool: ToolEntry
    uses: tuple[Use, ...]

    @property
    def effect(self) -> str:
        return "changes the world" if self.tool.effect == "write" else "reads"

    @property
    def undone(self) -> str:
        """Whether it can be undone, in words; empty of one that only reads."""
        return "" if self.tool.effect == "read" else "reversible" if self.tool.reversible else "not reversible"

    @property
    def repeat(self) -> str:
        return REPEATS[self.tool.repeat]

    @property
    def hash(self) -> str:
        """Of what it takes: another hash is another schema."""
        return sha256_of(self.tool.arguments)[:12]

    @property
    def required(self) -> list[str]:
        return list(self.tool.arguments.get("required") or [])

    @property
    def change(self) -> dict[str, Any] | None:
        """What its MCP server has made of it since it was taken in."""
        found: dict[str, Any] | None = self.tool.settings.get("changed") if self.tool.kind == "mcp" else None
        return found

    @property
    def gone(self) -> bool:
        """Whether its MCP server does not show it any more."""
        return self.tool.kind == "mcp" and not self.tool.settings.get("found")

    @property
    def server(self) -> str:
        return str(self.tool.settings.get("server", {}).get("slug", "")) if self.tool.kind == "mcp" else ""


@dataclass(frozen=True, slots=True)
class ServerView:
    server: MCPServer
    tools: int
    changed: int

    @property
    def reached(self) -> str:
        """How it is reached: the address, or the program without its arguments, which may be private."""
        return self.server.url or str(self.server.command[0])


def tools_shown(actor: Actor) -> list[ToolView]:
    """Every tool, by name, with the published flows that this person sees: three queries."""
    uses = _uses(actor)
    return [ToolView(tool, tuple(uses.get(tool.slug, ()))) for tool in ToolEntry.objects.order_by("slug")]


def tool_shown(actor: Actor, slug: str) -> ToolView:
    """One tool. Raises `NotFound`."""
    tool = ToolEntry.objects.filter(slug=slug[:120]).first() if "\x00" not in slug else None
    if tool is None:
        raise NotFound(f"tool {slug[:80]!r}")
    return ToolView(tool, tuple(_uses(actor).get(slug, ())))


def servers_shown() -> list[ServerView]:
    """The MCP servers, with how many tools each has and how many of them have changed."""
    tools = [(row["server"]["slug"], bool(row.get("changed"))) for row in _mcp_settings()]
    return [
        ServerView(
            server,
            sum(slug == server.slug for slug, _ in tools),
            sum(slug == server.slug and changed for slug, changed in tools),
        )
        for server in MCPServer.objects.order_by("slug")
    ]


def _mcp_settings() -> list[dict[str, Any]]:
    return list(ToolEntry.objects.filter(kind="mcp").values_list("settings", flat=True))


def _uses(actor: Actor) -> dict[str, list[Use]]:
    """By tool the published flows of this person's sight that call it, or let an agent."""
    flows = flows_for(actor).filter(published__isnull=False, archived_at__isnull=True).order_by("slug")
    rows = list(flows.values_list("slug", "name", "published_id", "published__number"))
    documents = documents_of([version for _, _, version, _ in rows])
    found: dict[str, list[Use]] = {}
    for slug, name, version, number in rows:
        document = documents.get(version)
        if document is not None:
            for tool, leash in sorted(set(_called(document))):
                found.setdefault(tool, []).append(Use(slug, name, number or 0, leash))
    return found


def _called(body: FlowDocument | Body) -> Iterator[tuple[str, str]]:
    for step in body.steps.values():
        if step.kind == "tool":
            yield str(step.with_.get("tool")), ""
        for grant in step.with_.get("tools", ()) if step.kind == "agent" else ():
            named = grant if isinstance(grant, dict) else {"tool": grant}
            yield str(named.get("tool")), str(named.get("leash") or step.with_.get("leash") or "risky")
        inner = step.with_.get("body")
        if isinstance(inner, dict):
            yield from _called(Body.model_validate(inner))
