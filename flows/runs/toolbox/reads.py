"""Tools as their pages show them: what each does, whether it may be repeated, what it takes, and which flows use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flows.access.actor import Actor
from flows.access.querysets import flows_for
from flows.access.refusals import NotFound
from flows.engine.canonical import sha256_of
from flows.models import ToolEntry
from flows.runs.toolbox.affected import Affected, policies_on
from flows.runs.toolbox.uses import Use, uses_within

REPEATS = {
    "freely": "may be repeated",
    "keyed": "repeated with the same key",
    "lookup": "looked up before it is repeated",
    "never": "never repeated",
}


@dataclass(frozen=True, slots=True)
class ToolView:
    tool: ToolEntry
    uses: tuple[Use, ...]
    policies: tuple[Affected, ...] = ()  # that are asked about its calls

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


def tools_shown(actor: Actor) -> list[ToolView]:
    """Every tool, by name, with the published flows that this person sees, and the policies on it: four queries."""
    uses, tools = _uses(actor), list(ToolEntry.objects.order_by("slug"))
    policies = policies_on(tools)
    return [ToolView(tool, tuple(uses.get(tool.slug, ())), policies[tool.slug]) for tool in tools]


def tool_shown(actor: Actor, slug: str) -> ToolView:
    """One tool. Raises `NotFound`."""
    tool = ToolEntry.objects.filter(slug=slug[:120]).first() if "\x00" not in slug else None
    if tool is None:
        raise NotFound(f"tool {slug[:80]!r}")
    return ToolView(tool, tuple(_uses(actor).get(slug, ())), policies_on([tool])[slug])


def _uses(actor: Actor) -> dict[str, list[Use]]:
    """By tool the published flows of this person's sight that call it, or let an agent."""
    return uses_within(flows_for(actor))
