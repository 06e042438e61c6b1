"""The lease: a worker's heartbeat, sent from a thread of its own, and what the worker may still do without one.

The database's clock alone says whether a lease has run out. The process uses its monotonic clock only to stop itself in time: it
begins no call once its last good beat is older than `MAY_BEGIN` of the lease, and lets go of everything at `LETS_GO`.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg

from flows.execution.saying import said

log = logging.getLogger(__name__)

MAY_BEGIN = 0.6
LETS_GO = 0.9
BEATS_A_LEASE = 5
STUCK = 5.0
"""Seconds without a tick of the engine's loop after which the heartbeat stops, so that a stuck loop loses its runs."""

BEAT = """
INSERT INTO flows_worker (id, beat, draining, host, pid, started_at, reclaims, fenced)
VALUES (%(id)s, clock_timestamp(), %(draining)s, %(host)s, %(pid)s, clock_timestamp(), %(reclaims)s, %(fenced)s)
ON CONFLICT (id) DO UPDATE SET beat = clock_timestamp(), draining = excluded.draining, reclaims = excluded.reclaims,
    fenced = excluded.fenced
RETURNING beat
"""


class Lease:
    """The heartbeat of one worker process."""

    def __init__(self, dsn: str, worker: UUID, seconds: float) -> None:
        self.dsn = dsn
        self.worker = worker
        self.seconds = seconds
        self.draining = False
        self.reclaims = self.fenced = 0  # told with each beat, for `health`
        self.tick = time.monotonic()  # set by the engine's loop, to show that it is alive
        self._good = float("-inf")  # when the last good beat was sent
        self._offset: tuple[datetime, float] = (datetime.now(UTC), time.monotonic())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """No more beats. The worker's row stays: `leave` removes it."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(3.0)

    @property
    def age(self) -> float:
        """Seconds since the last good beat was sent."""
        return time.monotonic() - self._good

    @property
    def may_begin(self) -> bool:
        return self.age < MAY_BEGIN * self.seconds

    @property
    def lost(self) -> bool:
        return self.age > LETS_GO * self.seconds

    def database_now(self) -> datetime:
        """The database's clock, as of the last beat and carried on by the monotonic one."""
        at, then = self._offset
        return at + timedelta(seconds=time.monotonic() - then)

    def _run(self) -> None:
        connection: psycopg.Connection[tuple[datetime]] | None = None
        while not self._stop.is_set():
            sent = time.monotonic()
            if sent - self.tick > STUCK:
                log.error("the engine's loop has been stuck for %.1f s: no heartbeat", sent - self.tick)
            else:
                try:
                    if connection is None or connection.closed:
                        connection = psycopg.connect(self.dsn, autocommit=True, connect_timeout=2)
                        connection.execute("SET statement_timeout = '2s'")
                    row = connection.execute(
                        BEAT,
                        {
                            "id": self.worker,
                            "draining": self.draining,
                            "host": socket.gethostname(),
                            "pid": os.getpid(),
                            "reclaims": self.reclaims,
                            "fenced": self.fenced,
                        },
                    ).fetchone()
                    if row is not None:
                        self._offset = (row[0], time.monotonic())
                        self._good = sent
                except (psycopg.Error, OSError) as error:
                    log.warning("heartbeat: %s", said(error))
                    if connection is not None:
                        connection.close()
                    connection = None
            self._stop.wait(self.seconds / BEATS_A_LEASE if connection is not None else 0.3)
        if connection is not None:
            connection.close()
