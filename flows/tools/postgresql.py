"""A session with somebody's PostgreSQL, in a transaction that can only read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg

from flows.access.egress import ConnectTimeout, Egress, HTTPError
from flows.engine.failures import BadKey, Failure, TimedOut, Unavailable
from flows.engine.problems import shorten
from flows.tools.connections import Connected, PostgreSQLSettings

LONGEST_CONNECT = 10
"""Seconds until a connection stands."""


@asynccontextmanager
async def read_only(connected: Connected, egress: Egress, seconds: float) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """A connection in a read-only transaction, which is never committed; no statement takes longer than `seconds`. It reaches the
    address that was checked. Raises `EgressRefused`, `Unavailable`, `BadKey`, `TimedOut`."""
    connection = await _connected(connected, egress, seconds)
    try:
        yield connection
    finally:
        await connection.close()


async def _connected(connected: Connected, egress: Egress, seconds: float) -> psycopg.AsyncConnection[Any]:
    settings: PostgreSQLSettings = connected.settings
    name, milliseconds = connected.slug, max(int(seconds * 1000), 1)
    try:
        address = (await egress.addresses(settings.host, settings.port))[0]
        connection = await psycopg.AsyncConnection.connect(
            host=settings.host.strip("[]"),
            hostaddr=address,
            port=settings.port,
            dbname=settings.database,
            user=settings.user or None,
            password=connected.password or None,
            sslmode=settings.tls,
            connect_timeout=LONGEST_CONNECT,
            application_name="orchestrator tool",
            options=f"-c default_transaction_read_only=on -c statement_timeout={milliseconds}",
        )
    except (HTTPError, ConnectTimeout) as error:
        raise Unavailable(f"The connection {name} cannot be made: {shorten(str(error), 200)}") from None
    except psycopg.errors.ConnectionTimeout:
        raise TimedOut(f"The connection {name} was not made within {LONGEST_CONNECT} s.") from None
    except psycopg.OperationalError as error:
        raise _refused(name, error) from None
    await connection.set_read_only(True)
    return connection


def _refused(name: str, error: psycopg.Error) -> Failure:
    said = shorten(str(error), 300)
    if "authentication" in said or "password" in said:
        return BadKey(f"The connection {name} is refused: {said}")
    return Unavailable(f"The connection {name} cannot be made: {said}")


async def check(connected: Connected, egress: Egress, seconds: float = 10.0) -> str:
    """Asks the database who it is; gives what it says. Raises as `read_only` does."""
    async with asyncio.timeout(seconds), read_only(connected, egress, seconds) as connection:
        row = await (
            await connection.execute("SELECT current_user, current_database(), current_setting('server_version')")
        ).fetchone()
    user, database, version = row or ("", "", "")
    return f"{user} at {database}, PostgreSQL {version}"
