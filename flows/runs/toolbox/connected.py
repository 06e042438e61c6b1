"""Connections as their page shows them, MCP servers among them: how each is reached, how it did at its last check, what needs it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from django.db.models import Max
from django.utils import timezone

from flows.models import Call, Connection, Flow, MCPServer, ToolEntry
from flows.runs.toolbox.uses import Use, uses_within

SOON: Final = timedelta(days=7)
KIND_LABELS: Final = {"mcp": "MCP server", "postgresql": "PostgreSQL", "smtp": "Mail server"}


@dataclass(frozen=True, slots=True)
class ConnectionView:
    row: Connection | MCPServer
    kind: str
    reached: str  # an address, or a program without its arguments, which may be private
    tools: tuple[str, ...]
    changed: int
    uses: tuple[Use, ...]
    used_at: datetime | None

    @property
    def slug(self) -> str:
        return self.row.slug

    @property
    def label(self) -> str:
        return KIND_LABELS.get(self.kind, self.kind)

    @property
    def account(self) -> str:
        return self.row.label if isinstance(self.row, Connection) else ""

    @property
    def secrets(self) -> list[str]:
        if isinstance(self.row, Connection):
            return [self.row.secret] if self.row.secret else []
        return sorted({*self.row.env_secret.values(), *self.row.header_secret.values()})

    @property
    def days_left(self) -> int | None:
        """Days until it lets nobody in any more, where that is known; negative afterwards."""
        return days_until(self.row.expires_on)

    @property
    def expires_soon(self) -> bool:
        return self.days_left is not None and self.days_left <= SOON.days


def connections_shown() -> list[ConnectionView]:
    """Every connection, by name: six queries whatever their number."""
    by_connection, changed = _tools()
    uses = uses_within(Flow.objects.all())
    names = [tool for tools in by_connection.values() for tool in tools]
    used = dict(_last_used(names))
    found = []
    rows: list[Connection | MCPServer] = [*Connection.objects.all(), *MCPServer.objects.all()]
    for row in rows:
        tools = by_connection.get(row.slug, [])
        using = {use.slug: use for tool in tools for use in uses.get(tool, ())}
        times = [used[tool] for tool in tools if tool in used]
        kind, reached = _way(row)
        found.append(
            ConnectionView(
                row, kind, reached, tuple(tools), changed.get(row.slug, 0), tuple(using.values()), max(times, default=None)
            )
        )
    return sorted(found, key=lambda each: each.slug)


def days_until(day: date | None) -> int | None:
    return (day - timezone.localdate()).days if day is not None else None


def _tools() -> tuple[dict[str, list[str]], dict[str, int]]:
    """By connection the names of its tools, and how many of them their server has changed."""
    by_connection: dict[str, list[str]] = {}
    changed: dict[str, int] = {}
    for slug, kind, settings in ToolEntry.objects.order_by("slug").values_list("slug", "kind", "settings"):
        name = settings.get("server", {}).get("slug") if kind == "mcp" else settings.get("connection")
        if name:
            by_connection.setdefault(str(name), []).append(slug)
            changed[str(name)] = changed.get(str(name), 0) + bool(settings.get("changed"))
    return by_connection, changed


def _last_used(tools: Iterable[str]) -> Any:
    """When each of these tools was last called, within a month."""
    since = timezone.now() - timedelta(days=30)
    calls = Call.objects.filter(kind="tool", target__in=list(tools), started_at__gt=since)
    return calls.values("target").annotate(at=Max("started_at")).values_list("target", "at")


def _way(row: Connection | MCPServer) -> tuple[str, str]:
    if isinstance(row, MCPServer):
        return "mcp", row.url or str(row.command[0])
    return row.kind, f"{row.settings.get('host')}:{row.settings.get('port')}"
