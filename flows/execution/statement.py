"""One prepared statement of one connection, sent and answered without a cursor.

A run that is alone waits for each of its records, and what a cursor does for a statement that never changes was a tenth of that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

NAME: Final = "prepared_once"


async def prepare(connection: AsyncConnection[Any], statement: str) -> None:
    """Makes this the connection's statement; its parameters are `$1`, `$2`, … Raises `psycopg.Error`."""
    await connection.execute(f"PREPARE {NAME} AS {statement}".encode())


async def execute(connection: AsyncConnection[Any], parameters: Sequence[str]) -> list[list[str]]:
    """The rows that the connection's statement gives, as texts; NULL is "". What it has written is committed then, unless a
    transaction is open. Nothing else may be on its way on the connection.

    Raises the `psycopg.Error` that PostgreSQL answers with, be it only to the commit, and `OperationalError` where the connection is
    lost. Whether that statement was committed is not known, nor is it after a cancellation; the connection is of no more use then.
    """
    wire, loop = connection.pgconn, asyncio.get_running_loop()
    results: list[PGresult] = []
    answered: asyncio.Future[None] = loop.create_future()

    def failed(error: BaseException) -> None:
        if not answered.done():
            answered.set_exception(error)

    def read() -> None:
        """PostgreSQL may tell what the statement gave before it commits. The answer is whole only when it is ready for the next."""
        try:
            wire.consume_input()
            while not (answered.done() or wire.is_busy()):
                result = wire.get_result()
                if result is None:
                    answered.set_result(None)
                else:
                    results.append(result)
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            failed(error)

    def write() -> None:
        try:
            if wire.flush() == 0:
                loop.remove_writer(socket)
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            failed(error)

    socket = wire.socket
    wire.send_query_prepared(NAME.encode(), [parameter.encode() for parameter in parameters])
    loop.add_reader(socket, read)
    try:
        if wire.flush():  # more than the socket takes at once
            loop.add_writer(socket, write)
        await answered
    finally:
        loop.remove_reader(socket)
        loop.remove_writer(socket)
    for result in results:
        if result.status != ExecStatus.TUPLES_OK:
            raise error_from_result(result, encoding="utf-8")
    return [
        [(result.get_value(row, column) or b"").decode() for column in range(result.nfields)]
        for result in results
        for row in range(result.ntuples)
    ]
