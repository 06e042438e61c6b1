"""The journal's statement on its wire: what it gives, what it raises, and when it counts as committed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest
import uvloop
from psycopg import AsyncConnection

from flows.execution.statement import execute, prepare
from orchestrator.engine import dsn

pytestmark = pytest.mark.django_db(transaction=True)

Work = Callable[[AsyncConnection[Any]], Awaitable[Any]]


def on_a_connection(work: Work) -> Any:
    async def main() -> Any:
        async with await AsyncConnection.connect(dsn(), autocommit=True) as connection:
            async with asyncio.timeout(30):
                return await work(connection)

    return uvloop.run(main())


def test_rows_are_texts_however_large_the_parameters_are() -> None:
    async def work(connection: AsyncConnection[Any]) -> Any:
        await prepare(connection, "SELECT length($1::text), NULL, n FROM generate_series(1, $2::int) n")
        return [await execute(connection, ("ä" * 5_000_000, "2")), await execute(connection, ("", "0"))]

    assert on_a_connection(work) == [[["5000000", "", "1"], ["5000000", "", "2"]], []]


def test_an_error_is_the_one_of_postgresql_and_the_next_goes_through() -> None:
    async def work(connection: AsyncConnection[Any]) -> Any:
        await prepare(connection, "SELECT 1 / $1::int")
        with pytest.raises(psycopg.errors.DivisionByZero):
            await execute(connection, ("0",))
        return await execute(connection, ("1",))

    assert on_a_connection(work) == [["1"]]


def test_what_only_the_commit_refuses_is_an_error_although_there_are_rows() -> None:
    async def work(connection: AsyncConnection[Any]) -> Any:
        await connection.execute("CREATE TEMP TABLE once (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
        await prepare(connection, "INSERT INTO once SELECT $1::int FROM generate_series(1, 2) RETURNING n")
        with pytest.raises(psycopg.errors.UniqueViolation):
            await execute(connection, ("1",))
        return await (await connection.execute("SELECT count(*) FROM once")).fetchone()

    assert on_a_connection(work) == (0,)


def test_a_connection_that_is_cut_meanwhile_is_an_operational_error() -> None:
    async def work(connection: AsyncConnection[Any]) -> Any:
        await prepare(connection, "SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep($1::int)::text")
        with pytest.raises(psycopg.OperationalError):
            await execute(connection, ("20",))
        return connection.closed

    assert on_a_connection(work)
