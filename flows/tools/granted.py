"""Secrets as a tool gets them: read when it is called, and only those that it is granted. From then on the process removes them from
whatever it stores, logs or sends on (`flows/access/redaction.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from flows.access.redaction import kept_secret
from flows.access.vault import Unreadable, unseal
from flows.engine.failures import BadKey, Unavailable
from flows.tools.base import ToolContext

SECRETS: Final = "SELECT name, sealed, key_id, tools FROM flows_secret WHERE name = ANY(%s)"


async def secrets_for(tool: str, wanted: Mapping[str, str], context: ToolContext) -> dict[str, str]:
    """By header the value of the secret that `wanted` names for it. Raises `BadKey` where there is none, or it is not granted."""
    if not wanted:
        return {}
    if context.connections is None:
        raise Unavailable(f"{tool} needs a secret, which needs the database.")
    async with context.connections.connection() as connection:
        rows = await (await connection.execute(SECRETS, (list(wanted.values()),))).fetchall()
    known = {name: (sealed, key_id, tools) for name, sealed, key_id, tools in rows}
    found = {}
    for header, name in wanted.items():
        if name not in known:
            raise BadKey(f"{tool}: there is no secret {name}; an owner writes it on the page of secrets.")
        sealed, key_id, tools = known[name]
        if tool not in tools:
            raise BadKey(f"{tool}: the secret {name} is not granted to this tool; an owner grants it on the page of secrets.")
        try:
            found[header] = kept_secret(unseal(name, sealed, key_id))
        except Unreadable as error:
            raise BadKey(str(error)) from None
    return found
