"""What is new in a run, read once in a process and shared by all who watch it.

A feed follows one run. A doorbell, or its own slow poll, makes it read the events after the newest that it knows, at most once in
`REST` seconds; everybody who watches takes what they lack from it, or from the database where they lack more than it keeps. The
database numbers events without gaps, so a watcher that asks for what follows its own newest event misses nothing and sees
nothing twice.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from contextlib import suppress
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from django.db import connection as django_connection
from psycopg.rows import tuple_row

log = logging.getLogger(__name__)

REST = 0.1  # seconds between two reads of one run
POLL = 10.0  # seconds after which a feed looks without having been rung
LIST_POLL = 0.7  # seconds between two looks at all runs, while somebody watches a list of them
KEPT = 512  # newest events that a feed keeps
PAGE = 500  # events of one read

EVENTS = """
SELECT seq, type, path, pass, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), data
FROM flows_event WHERE run_id = %s AND seq > %s ORDER BY seq LIMIT %s
"""
IN_PROGRESS = "SELECT id, path FROM flows_call WHERE run_id = %s AND status = 'started' AND kind = 'model' ORDER BY id LIMIT 50"

# What changes whenever a run begins, goes on or ends; runs that have ended say nothing any more.
RUNS = """
SELECT count(*), coalesce(sum(seq), 0), (SELECT id FROM flows_run ORDER BY id DESC LIMIT 1) FROM flows_run
WHERE status IN ('queued', 'running', 'waiting_approval', 'waiting', 'retrying')
"""


class Event(NamedTuple):
    """An event as sockets send it: JSON that is made once for all of them, whole and without what its run may hide."""

    seq: int
    whole: str
    hiding: str


def event_of(row: tuple[int, str, str, int, str, str | None]) -> Event:
    seq, type_, path, pass_number, at, data = row
    head = json.dumps({"type": type_, "path": path, "pass": pass_number, "at": at})[:-1]
    hiding = f'{head}, "data": null}}'
    return Event(seq, f'{head}, "data": {data}}}' if data else hiding, hiding)  # `data` is JSON already


class Reader:
    """One database connection of this loop's sockets, opened when first needed and again after a failure."""

    def __init__(self) -> None:
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._turn = asyncio.Lock()

    async def rows(self, query: str, *values: Any) -> list[Any]:
        """The rows of a query. Raises `psycopg.Error`; the next call connects anew."""
        async with self._turn:
            if self._connection is None or self._connection.closed:
                self._connection = await self._connect()
            try:
                cursor = await self._connection.execute(query, values)
                return await cursor.fetchall()
            except BaseException:
                await self._connection.close()
                raise

    async def close(self) -> None:
        async with self._turn:
            if self._connection is not None:
                await self._connection.close()
                self._connection = None

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        parameters = django_connection.get_connection_params()
        wanted = {name: parameters[name] for name in ("dbname", "user", "password", "host", "port") if parameters.get(name)}
        extra = {name: value for name, value in django_connection.settings_dict.get("OPTIONS", {}).items() if name != "pool"}
        connection = await psycopg.AsyncConnection.connect(
            **(extra | wanted), autocommit=True, connect_timeout=3, row_factory=tuple_row
        )
        await connection.execute("SET statement_timeout = '5s'")
        return connection


class Feed:
    """The newest events of one run."""

    def __init__(self, run_id: UUID, reader: Reader) -> None:
        self.run_id = run_id
        self.newest = 0
        self._reader = reader
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._watchers: set[asyncio.Event] = set()
        self._rung = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def watch(self, after: int) -> asyncio.Event:
        """An event that is set whenever there is something new; `after` is what its watcher has seen."""
        watcher = asyncio.Event()
        self._watchers.add(watcher)
        if self._task is None:
            self.newest = after
            self._task = asyncio.create_task(self._follow())
        watcher.set()
        return watcher

    def leave(self, watcher: asyncio.Event) -> bool:
        """True where nobody watches any more: then the feed has stopped."""
        self._watchers.discard(watcher)
        if self._watchers:
            return False
        if self._task is not None:
            self._task.cancel()
            self._task = None
        return True

    def ring(self) -> None:
        """There is something new."""
        self._rung.set()

    async def after(self, cursor: int) -> list[Event]:
        """The events after `cursor`, at most a page of them, in order. Raises `psycopg.Error`."""
        if self._kept and self._kept[0].seq <= cursor + 1:
            return [event for event in self._kept if event.seq > cursor]
        return await self._read(cursor)

    async def _follow(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._rung.wait(), POLL)
            self._rung.clear()
            try:
                while events := await self._read(self.newest):
                    self._kept.extend(events)
                    self.newest = events[-1].seq
                    for watcher in self._watchers:
                        watcher.set()
                    if len(events) < PAGE:
                        break
            except (psycopg.Error, OSError) as error:
                log.warning("events of run %s could not be read: %s", self.run_id, type(error).__name__)
            await asyncio.sleep(REST)

    async def _read(self, cursor: int) -> list[Event]:
        return [event_of(row) for row in await self._reader.rows(EVENTS, self.run_id, cursor, PAGE)]


class ListFeed:
    """Whether anything changed among all runs: one small query a period for all lists that this loop's sockets watch."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._seen: Any = None
        self._watchers: set[asyncio.Event] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def watched(self) -> bool:
        return bool(self._watchers)

    def watch(self) -> asyncio.Event:
        """An event that is set whenever a run began, went on or ended."""
        watcher = asyncio.Event()
        self._watchers.add(watcher)
        if self._task is None:
            self._task = asyncio.create_task(self._follow())
        return watcher

    def leave(self, watcher: asyncio.Event) -> None:
        self._watchers.discard(watcher)
        if not self._watchers and self._task is not None:
            self._task.cancel()
            self._task = None
            self._seen = None

    async def _follow(self) -> None:
        while True:
            try:
                now = await self._reader.rows(RUNS)
                if self._seen is not None and now != self._seen:
                    for watcher in self._watchers:
                        watcher.set()
                self._seen = now
            except (psycopg.Error, OSError) as error:
                log.warning("the runs could not be looked at: %s", type(error).__name__)
            await asyncio.sleep(LIST_POLL)


class Feeds:
    """The feeds of one event loop."""

    def __init__(self) -> None:
        self.reader = Reader()
        self.list = ListFeed(self.reader)
        self._feeds: dict[UUID, Feed] = {}

    def feed(self, run_id: UUID) -> Feed:
        """The run's feed, to be watched at once."""
        feed = self._feeds.get(run_id)
        if feed is None:
            feed = self._feeds[run_id] = Feed(run_id, self.reader)
        return feed

    async def leave(self, feed: Feed, watcher: asyncio.Event) -> None:
        if feed.leave(watcher):
            self._feeds.pop(feed.run_id, None)
        await self._rest()

    async def leave_list(self, watcher: asyncio.Event) -> None:
        self.list.leave(watcher)
        await self._rest()

    async def _rest(self) -> None:
        if not self._feeds and not self.list.watched:
            await self.reader.close()


_by_loop: dict[asyncio.AbstractEventLoop, Feeds] = {}


def feeds() -> Feeds:
    """The feeds of the running loop."""
    loop = asyncio.get_running_loop()
    if loop not in _by_loop:
        for old in [each for each in _by_loop if each.is_closed()]:
            del _by_loop[old]
        _by_loop[loop] = Feeds()
    return _by_loop[loop]
