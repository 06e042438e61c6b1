"""Secrets as the headers of a tool's requests."""

from __future__ import annotations

from collections.abc import Mapping

from flows.access.granted import secrets_granted
from flows.tools.base import ToolContext


async def secrets_for(tool: str, wanted: Mapping[str, str], context: ToolContext) -> dict[str, str]:
    """By header the value of the secret that `wanted` names for it. Raises `BadKey` where there is none, or it is not granted."""
    found = await secrets_granted("tool", tool, wanted.values(), context.connections)
    return {header: found[name] for header, name in wanted.items()}
