"""A tool that is a query of a named database: it reads, its arguments are bound and never become part of the text."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

import orjson
import psycopg
from pydantic import Field

from flows.engine.failures import BadRequest, Failure, InvalidOutput, TimedOut, Unavailable
from flows.engine.problems import shorten
from flows.tools.base import ToolCall, ToolContext, ToolSettings
from flows.tools.connections import connection_for
from flows.tools.postgresql import read_only

MOST_BYTES = 1024 * 1024
AT_ONCE = 200
"""Rows that are fetched at a time."""


class SQLSettings(ToolSettings):
    """One SELECT. `%(name)s` in it is the argument of that name, bound by the database; a percent sign is written %%."""

    connection: str = Field(min_length=1, max_length=60, json_schema_extra={"of": "postgresql"})
    query: str = Field(
        min_length=1,
        max_length=20_000,
        description="one SELECT; %(name)s is the argument of that name, a percent sign is written %%",
    )
    rows: int = Field(
        default=200,
        ge=1,
        le=10_000,
        strict=True,
        title="Rows at most",
        description="more are an error, so that nothing is left out unseen",
    )


class SQLTool:
    """A query, in a transaction that can only read."""

    slug: ClassVar[str] = "sql"
    label: ClassVar[str] = "Query of a database"
    trusted: ClassVar[bool] = False
    arguments: ClassVar[Mapping[str, Any]] = {"type": "object", "additionalProperties": False}
    Settings: ClassVar[type[ToolSettings]] = SQLSettings

    async def call(self, call: ToolCall, context: ToolContext) -> Any:
        """`{columns, rows}`: rows as objects. Raises `BadRequest` with what the database says of the query, `InvalidOutput` where there
        are more rows, or more bytes, than the tool takes, `TimedOut`, and what the connection raises."""
        settings: SQLSettings = call.spec.settings
        name = call.spec.slug
        connected = await connection_for(name, settings.connection, "postgresql", context)
        try:
            async with asyncio.timeout(call.timeout), read_only(connected, context.egress, call.timeout) as connection:
                return await _rows(name, settings, call.arguments, connection)
        except (TimeoutError, psycopg.errors.QueryCanceled):
            raise TimedOut(f"{name} did not answer within {call.timeout:g} s.") from None
        except psycopg.Error as error:
            raise _failure(name, error) from None


async def _rows(name: str, settings: SQLSettings, given: Mapping[str, Any], connection: psycopg.AsyncConnection[Any]) -> Any:
    """All rows, through a cursor that the database holds: a query of a billion rows costs no more than those that are taken. A cursor
    is declared for one query only, so nothing else can be behind it."""
    arguments = {key: orjson.dumps(value).decode() if isinstance(value, (dict, list)) else value for key, value in given.items()}
    rows: list[dict[str, Any]] = []
    size = 0
    async with connection.cursor(name="tool") as cursor:
        await cursor.execute(settings.query, arguments)
        columns = [column.name for column in cursor.description or ()]
        while part := await cursor.fetchmany(min(AT_ONCE, settings.rows + 1 - len(rows))):
            shown = [{column: _json(value) for column, value in zip(columns, row, strict=True)} for row in part]
            rows += shown
            size += len(orjson.dumps(shown, option=orjson.OPT_NON_STR_KEYS))
            if len(rows) > settings.rows:
                raise InvalidOutput(f"{name} has more than {settings.rows} rows. Narrow the query down, or let it take more.")
            if size > MOST_BYTES:
                raise InvalidOutput(f"{name} answered more than {MOST_BYTES // 1024} KiB.")
    return {"columns": columns, "rows": rows}


def _json(value: Any) -> Any:
    """A value of the database as JSON has it; exact numbers as text, so that nothing of them is lost."""
    match value:
        case None | bool() | int() | float() | str() | dict():
            return value
        case Decimal() | UUID() | timedelta():
            return str(value)
        case datetime() | date() | time():
            return value.isoformat()
        case bytes() | bytearray() | memoryview():
            return base64.b64encode(bytes(value)).decode()
        case list() | tuple():
            return [_json(item) for item in value]
        case _:
            return str(value)


def _failure(name: str, error: psycopg.Error) -> Failure:
    said = shorten(str(error), 300)
    if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)) and error.sqlstate is None:
        return Unavailable(f"{name}: the connection broke: {said}")
    return BadRequest(f"{name}: {said}")
