"""Group commit: the drivers of a process hand their records to one writer, which commits what has gathered in one statement.

Each record gets its own verdict; a fenced run, or a record that PostgreSQL refuses, fails alone. What arrives while a statement is
on its way is the next batch: there is no delay and no timer. A connection that is lost in the middle leaves the outcome unknown,
so the writer reconnects and reads which records are there before it sends the rest again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

import orjson
import psycopg
from psycopg import AsyncConnection

from flows.access.redaction import redacted
from flows.execution.batch import parameters_of
from flows.execution.faultpoints import faultpoint
from flows.execution.journal import ACCEPTED, ASK, COMMITTED, SAVE, TAKE, WITHDRAW, WRITE, Record, Verdict
from flows.execution.keeping import keep
from flows.execution.saying import said
from flows.execution.statement import execute, prepare

log = logging.getLogger(__name__)

Answer = Callable[[Verdict | BaseException], None]

SETTINGS = (
    "SET plan_cache_mode = force_generic_plan",
    "SET jit = off",
    "SET enable_seqscan = off",
    "SET enable_memoize = off",
    "SET lock_timeout = '2s'",
    "SET statement_timeout = '5s'",
    "SET idle_in_transaction_session_timeout = '5s'",
)


class RecordRefused(Exception):
    """PostgreSQL does not take this record, alone and on its own connection."""


class Writer:
    """One a process, on a connection of its own, run by the engine's loop."""

    def __init__(self, dsn: str, *, most: int = 400) -> None:
        self.dsn = dsn
        self.most = most  # records in one statement
        self.batches = 0
        self.records = 0
        self._pending: list[tuple[Record, Answer]] = []
        self._wake = asyncio.Event()
        self._connection: AsyncConnection[Any] | None = None

    def submit(self, record: Record, answer: Answer) -> None:
        """Write this record with the next batch; `answer` is called with its verdict, or with what stands in its way."""
        self._pending.append((record, answer))
        self._wake.set()

    async def run(self) -> None:
        """Write for ever. Ends by cancellation; what is pending then has not been written."""
        try:
            while True:
                await self._wake.wait()
                batch = self._next_batch()
                if not self._pending:
                    self._wake.clear()
                if batch:
                    await self._write(batch)
        finally:
            if self._connection is not None:
                await self._connection.close()

    def _next_batch(self) -> list[tuple[Record, Answer]]:
        """The oldest records, each run at most once: two incarnations of a run must not meet in one statement."""
        batch: list[tuple[Record, Answer]] = []
        later: list[tuple[Record, Answer]] = []
        runs: set[UUID] = set()
        for pair in self._pending:
            run = pair[0].run
            if len(batch) < self.most and run not in runs:
                runs.add(run)
                batch.append(pair)
            else:
                later.append(pair)
        self._pending = later
        batch.sort(key=lambda pair: pair[0].run)  # locked in this order by every process
        return batch

    # ------------------------------------------------------------------ one batch

    async def _write(self, batch: list[tuple[Record, Answer]]) -> None:
        """Until every record of the batch has its verdict."""
        back_off = 0.05
        while batch:
            try:
                faultpoint("journal.before_commit")
                verdicts = await self._commit([record for record, _ in batch])
                faultpoint("journal.after_commit")
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected, psycopg.errors.QueryCanceled) as error:
                log.warning("journal: %s; the batch is tried again", said(error))
                await asyncio.sleep(back_off)
                back_off = min(back_off * 2, 2.0)
            except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
                log.warning(
                    "journal: connection lost (%s); reading what was committed",
                    said(error),
                )
                await self._drop_connection()
                await asyncio.sleep(back_off)
                back_off = min(back_off * 2, 2.0)
                batch = await self._without_committed(batch)
            except (psycopg.Error, TypeError, ValueError) as error:  # the latter two: it cannot even be written as JSON
                if len(batch) == 1:
                    log.error("journal: a record was refused: %s", error)
                    _tell(batch[0][1], RecordRefused(said(error)))
                    return
                half = len(batch) // 2
                await self._write(batch[:half])
                batch = batch[half:]
            else:
                self.batches += 1
                self.records += len(batch)
                for (_, answer), verdict in zip(batch, verdicts, strict=True):
                    _tell(answer, verdict)
                return

    async def _commit(self, records: list[Record]) -> list[Verdict]:
        connection = await self._connected()
        parameters = parameters_of(records)
        if not any(record.rare for record in records):
            return _verdicts(records, await execute(connection, parameters))
        async with connection.transaction():
            verdicts = _verdicts(records, await execute(connection, parameters))
            accepted = [record for record, verdict in zip(records, verdicts, strict=True) if not verdict.fenced]
            for statement, given in (
                (ASK, [line for record in accepted for line in record.asks]),
                (WITHDRAW, [line for record in accepted for line in record.withdraws]),
                (TAKE, [line for record in accepted for line in record.takes]),
                (SAVE, [line for record in accepted for line in record.saves]),
            ):
                if given:
                    await connection.execute(statement, (redacted(orjson.dumps(given).decode()),))
            await keep(connection, [line for record in accepted for line in record.keeps])
        return verdicts

    async def _without_committed(self, batch: list[tuple[Record, Answer]]) -> list[tuple[Record, Answer]]:
        """Tell the drivers whose records are in the database; give back the others. The run's record number says which."""
        rows: dict[UUID, tuple[int, int, set[UUID]]] | None = None
        back_off = 0.1
        while rows is None:
            try:
                connection = await self._connected()
                calls = [op["call"] for record, _ in batch for op in record.ops if op["op"] == "begin"]
                runs = [record.run for record, _ in batch]
                # Locked first: a commit that is still on its way would otherwise be missed.
                async with connection.transaction():
                    await connection.execute("SELECT id FROM flows_run WHERE id = ANY(%s) ORDER BY id FOR UPDATE", (runs,))
                    cursor = await connection.execute(COMMITTED, (calls, runs))
                    rows = {row[0]: (row[1], row[2], set(row[3])) for row in await cursor.fetchall()}
            except (psycopg.Error, OSError) as error:
                log.warning("journal: the database does not answer (%s)", said(error))
                await self._drop_connection()
                await asyncio.sleep(back_off)
                back_off = min(back_off * 2, 2.0)
        rest = []
        for record, answer in batch:
            epoch, number, begun = rows.get(record.run, (-1, -1, set()))
            if epoch != record.epoch:
                _tell(answer, Verdict(fenced=True))
            elif number < record.number:
                rest.append((record, answer))
            else:
                refused = {i: "again" for i, op in enumerate(record.ops) if op["op"] == "begin" and op["call"] not in begun}
                _tell(answer, Verdict(refused=refused))
        return rest

    async def _connected(self) -> AsyncConnection[Any]:
        if self._connection is None or self._connection.closed:
            connection = await AsyncConnection.connect(
                self.dsn, autocommit=True, prepare_threshold=0, application_name="orchestrator journal"
            )
            try:
                for setting in SETTINGS:
                    await connection.execute(setting)
                await prepare(connection, WRITE)
            except BaseException:  # without all of it, it takes no record
                await connection.close()
                raise
            self._connection = connection
        return self._connection

    async def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await connection.close()
            except (psycopg.Error, OSError) as error:
                log.debug("closing a lost connection: %s", error)


def _verdicts(records: list[Record], rows: list[list[str]]) -> list[Verdict]:
    if not rows:
        return [ACCEPTED] * len(records)
    by_run: dict[UUID, list[tuple[int, str, int]]] = {}
    for run, i, verdict, signals in rows:
        by_run.setdefault(UUID(run), []).append((int(i), verdict, int(signals)))
    return [_verdict(record, by_run.get(record.run, [])) for record in records]


def _verdict(record: Record, rows: list[tuple[int, str, int]]) -> Verdict:
    if not rows:
        return ACCEPTED
    fenced, fate, refused, news = False, None, {}, None
    for i, verdict, signals in rows:
        if i == -1:
            fenced = True
        elif i == -2:
            news = signals
        elif record.ops[i]["op"] == "fate":
            fate = verdict
        else:
            refused[i] = verdict
    return Verdict(fenced, fate, refused, news)


def _tell(answer: Answer, verdict: Verdict | BaseException) -> None:
    """A driver that stumbles over its verdict must not take the writer, and so every other run, with it."""
    try:
        answer(verdict)
    except Exception:  # the worker's edge: recorded, and the run is left to be claimed again
        log.exception("journal: a driver failed on its verdict")
