"""Connections: services that tools reach by a name, with what that takes. Their password is a secret that is granted to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from flows.access.granted import connection_holder
from flows.engine.failures import BadRequest, Unavailable
from flows.tools.base import ToolContext
from flows.tools.granted import secrets_for

CONNECTION: Final = "SELECT kind, settings, secret FROM flows_connection WHERE slug = %s"


class ServiceSettings(BaseModel):
    """Where the service is. A host that is not publicly reachable must be among the allowed hosts. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9._:\[\]-]+$")
    port: int = Field(gt=0, lt=65536)
    user: str = Field(default="", max_length=120)


class PostgreSQLSettings(ServiceSettings):
    """A database. `tls` is libpq's `sslmode`."""

    port: int = Field(default=5432, gt=0, lt=65536)
    database: str = Field(min_length=1, max_length=120)
    tls: Literal["disable", "prefer", "require", "verify-full"] = "prefer"


class SMTPSettings(ServiceSettings):
    """A mail server. `tls`: from the first byte, by STARTTLS, or not at all."""

    port: int = Field(default=587, gt=0, lt=65536)
    tls: Literal["tls", "starttls", "none"] = "starttls"


KINDS: Final[Mapping[str, type[ServiceSettings]]] = {"postgresql": PostgreSQLSettings, "smtp": SMTPSettings}


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection with its password, which is empty where it has none."""

    slug: str
    settings: Any
    password: str


async def connection_for(tool: str, slug: str, kind: str, context: ToolContext) -> Connected:
    """The connection that a tool names. Raises `BadRequest` where there is none of this kind, `BadKey` where its secret is missing."""
    if context.connections is None:
        raise Unavailable(f"{tool} needs the connection {slug}, which needs the database.")
    async with context.connections.connection() as connection:
        row = await (await connection.execute(CONNECTION, (slug,))).fetchone()
    if row is None or row[0] != kind:
        raise BadRequest(
            f"{tool}: there is no connection {slug!r} of the kind {kind}; an owner makes it on the page of connections."
        )
    stored = orjson.loads(row[1]) if isinstance(row[1], str) else row[1]
    secrets = await secrets_for(connection_holder(slug), {"password": row[2]} if row[2] else {}, context)
    return Connected(slug, KINDS[kind].model_validate(stored), secrets.get("password", ""))
