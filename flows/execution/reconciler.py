"""Finds work again: what is due, what is overdue, who is gone. Every worker runs it; an advisory lock lets one at a time.

There is no scheduler beside it: every timer of the product is a due-time in PostgreSQL, and only the database's clock is asked.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

import psycopg
from django.db import close_old_connections
from psycopg import AsyncConnection

from flows.execution.budgets import note_thresholds, settle_left_behind
from flows.execution.killswitch import RELEASE
from flows.execution.orphans import settle_orphans
from flows.execution.saying import said

log = logging.getLogger(__name__)

PERIOD = 2.0
LOCK: Final = 0x0F1055  # the advisory lock's number; any, as long as it is the same in every worker

DUE: Final = """
WITH due AS (
    SELECT id FROM flows_run
    WHERE owner IS NULL AND status IN ('waiting_approval', 'waiting', 'retrying')
        AND (wake_at <= clock_timestamp() OR deadline <= clock_timestamp())
    ORDER BY id LIMIT 500 FOR UPDATE SKIP LOCKED
)
UPDATE flows_run r SET status = 'queued', reason = '', wake_at = NULL FROM due WHERE r.id = due.id RETURNING r.id
"""

GONE: Final = """
DELETE FROM flows_worker w WHERE w.beat < clock_timestamp() - interval '1 hour'
    AND NOT EXISTS (SELECT 1 FROM flows_run r WHERE r.owner = w.id)
"""

Hook = Callable[[], object]
"""What other rooms have due: called in a thread, with Django's own connection."""


def _with_fresh_connection(hook: Hook) -> None:
    """Django keeps a connection a thread, and nobody closes one that broke between two looks."""
    close_old_connections()
    try:
        hook()
    finally:
        close_old_connections()


class Reconciler:
    """The periodic look at what nobody is looking at."""

    def __init__(self, dsn: str, on_due: Callable[[], None], hooks: Sequence[Hook] = ()) -> None:
        self.dsn = dsn
        self.on_due = on_due
        self.hooks = hooks
        self._connection: AsyncConnection[Any] | None = None

    async def run(self) -> None:
        """Look for ever, every `PERIOD` seconds and a bit."""
        try:
            while True:
                await asyncio.sleep(PERIOD + random.random())  # noqa: S311 - spreads the workers, hides nothing
                try:
                    await self._look()
                except (psycopg.Error, OSError) as error:
                    log.warning("reconciler: %s", said(error))
                    await self._close()
        finally:
            await self._close()

    async def _look(self) -> None:
        if self._connection is None or self._connection.closed:
            self._connection = await AsyncConnection.connect(self.dsn, autocommit=True)
            await self._connection.execute("SET statement_timeout = '5s'")
        connection = self._connection
        cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", (LOCK,))
        row = await cursor.fetchone()
        if row is None or not row[0]:
            return
        try:
            due = await (await connection.execute(DUE)).fetchall()
            released = await (await connection.execute(RELEASE)).fetchall()
            if due or released:
                self.on_due()
            await connection.execute(GONE)
            await settle_orphans(connection)
            await settle_left_behind(connection)
            await note_thresholds(connection)
            for hook in self.hooks:
                try:
                    await asyncio.to_thread(_with_fresh_connection, hook)
                except Exception:  # the worker's edge: one room's trouble is not the others'
                    log.exception("reconciler: a hook failed")
        finally:
            if not connection.closed:
                await connection.execute("SELECT pg_advisory_unlock(%s)", (LOCK,))

    async def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
