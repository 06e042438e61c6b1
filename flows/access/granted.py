"""Secrets as tools and models get them: read when they are used, and only those that they are granted. From then on the process
removes them from whatever it stores, logs or sends on (`flows/access/redaction.py`)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from flows.access.redaction import kept_secret
from flows.access.vault import Unreadable, unseal
from flows.engine.failures import BadKey, Unavailable

Kind = Literal["tool", "model"]
Pool = AsyncConnectionPool[AsyncConnection[Any]]

SECRETS: Final = "SELECT name, sealed, key_id, tools, models FROM flows_secret WHERE name = ANY(%s)"


@dataclass(frozen=True, slots=True)
class Sealed:
    """A secret as its row holds it, with whom it is granted to."""

    name: str
    sealed: str
    key_id: str
    tools: Collection[str]
    models: Collection[str]

    def opened_for(self, kind: Kind, slug: str) -> str:
        """Its value, for a tool or model that it is granted to. Raises `BadKey`."""
        if slug not in (self.tools if kind == "tool" else self.models):
            raise BadKey(f"{slug}: the secret {self.name} is not granted to it; an owner grants it on the page of secrets.")
        return self.opened()

    def opened(self) -> str:
        """Its value, for who may grant it. Raises `BadKey`."""
        try:
            return kept_secret(unseal(self.name, self.sealed, self.key_id))
        except Unreadable as error:
            raise BadKey(str(error)) from None


async def secrets_granted(kind: Kind, slug: str, names: Iterable[str], pool: Pool | None) -> Mapping[str, str]:
    """By name the values of these secrets. Raises `BadKey` where there is none of a name, or it is not granted to who asks."""
    wanted = list(names)
    if not wanted:
        return {}
    if pool is None:
        raise Unavailable(f"{slug} needs a secret, which needs the database.")
    async with pool.connection() as connection:
        rows = await (await connection.execute(SECRETS, (wanted,))).fetchall()
    known = {row[0]: Sealed(*row) for row in rows}
    for name in wanted:
        if name not in known:
            raise missing(slug, name)
    return {name: known[name].opened_for(kind, slug) for name in wanted}


def connection_holder(slug: str) -> str:
    """How a connection, an MCP server included, stands among the tools that are granted a secret."""
    return f"connection:{slug}"


def missing(slug: str, name: str) -> BadKey:
    """There is no secret of this name."""
    return BadKey(f"{slug}: there is no secret {name}; an owner writes it on the page of secrets.")
