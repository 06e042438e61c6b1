"""The catalogue of this installation as the document that `manage.py catalogue apply` reads."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from django.utils import timezone

from flows.costs.pricebook import FIGURES
from flows.models import (
    AllowedHost,
    Budget,
    Connection,
    MCPServer,
    Membership,
    ModelEntry,
    Price,
    Role,
    Route,
    Team,
    ToolEntry,
)
from flows.models.budgets import MEASURES
from orchestrator.transfer.withheld import entry_without_secrets

Key = tuple[str, str]
"""A part of the document, and what something in it is called: ``("models", "small-1")``."""

OF_MODELS = (
    *("model", "api_base", "api_key_env", "api_key_secret", "context", "max_output", "capabilities", "settings", "limits"),
    *("breaker", "unpriced"),
)
OF_TOOLS = (
    *("kind", "effect", "repeat", "arguments", "timeout", "max_in_flight", "known_for", "result", "description", "trusted"),
    "reversible",
)
OF_SERVERS = ("command", "env", "url", "header_env", "env_secret", "header_secret", "expires_on")


def catalogue_here() -> dict[str, Any]:
    """All of it by its parts, without any secret. Applied where it was written it changes nothing.

    Tools of MCP servers are not in it, since their server brings them, nor are budgets of single keys, which no file has.
    """
    prices = _prices()
    parts: dict[str, Any] = {
        "models": {each.slug: _model(each, prices.get(each.slug)) for each in ModelEntry.objects.order_by("slug")},
        "routes": {each.slug: _route(each) for each in Route.objects.exclude(candidates=[]).order_by("slug")},
        "tools": {each.slug: _tool(each) for each in ToolEntry.objects.exclude(kind="mcp").order_by("slug")},
        "mcp": {each.slug: _said(each, OF_SERVERS) for each in MCPServer.objects.order_by("slug")},
        "connections": {each.slug: _connection(each) for each in Connection.objects.order_by("slug")},
        "teams": _teams(),
        "allowed_hosts": list(AllowedHost.objects.order_by("host").values_list("host", flat=True)),
        "budgets": [_budget(each) for each in Budget.objects.exclude(scope="key").order_by("scope", "subject", "period")],
    }
    return {name: _each(part) for name, part in parts.items() if part}


def _each(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: entry_without_secrets(entry) for name, entry in part.items()}
    return [entry_without_secrets(entry) for entry in part]


def entries(document: dict[str, Any]) -> dict[Key, Any]:
    """What stands in such a document, one by one."""
    found: dict[Key, Any] = {}
    for part, inner in document.items():
        if isinstance(inner, dict):
            found |= {(part, name): each for name, each in inner.items()}
        else:
            found |= {(part, name_in_list(each)): each for each in inner or ()}
    return found


def name_in_list(each: Any) -> str:
    """What an allowed host or a budget of the document is called."""
    return f"{each['scope']}, {each['period']}" if isinstance(each, dict) else str(each)


def _said(row: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """The fields of a row that say anything."""
    values = {name: getattr(row, name) for name in names}
    return {name: _plain(value) for name, value in values.items() if value is not False and value not in (None, "", [], {})}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return value.normalize()
    return value.isoformat() if isinstance(value, date) else value


def _prices() -> dict[str, Price]:
    """By model the newest row of its base price, where that is whole and holds now."""
    now = timezone.now()
    newest = Price.objects.filter(above=0).order_by("model_id", "-valid_from", "-id").distinct("model_id")
    return {
        row.model_id: row
        for row in newest
        if None not in (row.input, row.output) and row.valid_from <= now and (row.valid_to is None or now < row.valid_to)
    }


def _model(entry: ModelEntry, price: Price | None) -> dict[str, Any]:
    said = _said(entry, OF_MODELS)
    return said if price is None else {**said, "price": _said(price, FIGURES)}


def _route(route: Route) -> dict[str, Any]:
    return {**_said(route, ("candidates", "strategy", "needs", "timeout")), "fall_back_on": route.fall_back_on}


def _tool(tool: ToolEntry) -> dict[str, Any]:
    said = _said(tool, OF_TOOLS) | ({"trusted": False} if tool.trusted is False else {})
    return {**said, "policy": tool.policy, **tool.settings}


def _connection(row: Connection) -> dict[str, Any]:
    return {**_said(row, ("kind", "label", "secret", "expires_on")), **row.settings}


def _teams() -> dict[str, Any]:
    """Each team with its approvers, which is what the document says of people."""
    members: dict[str, list[str]] = {}
    held = Membership.objects.filter(team__isnull=False, role=Role.APPROVER).order_by("person__username")
    for team, username in held.values_list("team__slug", "person__username"):
        members.setdefault(team, []).append(username)
    return {each.slug: {"name": each.name, "members": members.get(each.slug, [])} for each in Team.objects.order_by("slug")}


def _budget(budget: Budget) -> dict[str, Any]:
    scope = f"{budget.scope}:{budget.subject}" if budget.subject else budget.scope
    return {"scope": scope, **_said(budget, ("period", "zone", *MEASURES, "at_limit", "warn"))}
