"""Secrets as tools and connections get them, by the place where each stands: a header, a variable."""

from __future__ import annotations

from collections.abc import Mapping

from flows.access.granted import Sealed, missing, secrets_granted
from flows.models import Secret
from flows.tools.base import ToolContext


async def secrets_for(holder: str, wanted: Mapping[str, str], context: ToolContext) -> dict[str, str]:
    """By place the value of the secret that `wanted` names for it; `holder` is a tool's slug, or a connection (`connection_holder`).
    Raises `BadKey` where there is none, or it is not granted."""
    found = await secrets_granted("tool", holder, wanted.values(), context.connections)
    return {place: found[name] for place, name in wanted.items()}


def secrets_now(holder: str, wanted: Mapping[str, str]) -> dict[str, str]:
    """The same through Django's connection, for pages and commands."""
    rows = Secret.objects.filter(name__in=set(wanted.values())).values_list("name", "sealed", "key_id", "tools", "models")
    known = {row[0]: Sealed(*row) for row in rows} if wanted else {}
    for name in wanted.values():
        if name not in known:
            raise missing(holder, name)
    return {place: known[name].opened_for("tool", holder) for place, name in wanted.items()}
