"""The engine of a worker process: one asyncio loop in a thread of its own, which claims runs and drives them.

Everything that the runs of a process share is here: the writer, the lease, the reconciler, the way to the pages. Celery only rings.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

import orjson
import psycopg
import uvloop
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from flows.engine.calllimits import CallLimits
from flows.engine.failures import BadRequest, Unavailable
from flows.engine.graph import Flow
from flows.engine.plan import Child
from flows.execution.budgets import Budgets
from flows.execution.claims import ClaimedRun, Journal, News, claim_queued, load_journals, news_of, reclaim
from flows.execution.driving.driver import Driver
from flows.execution.driving.inside import read_inside
from flows.execution.handling import Handling
from flows.execution.journal import Op, Record
from flows.execution.jsontext import plain
from flows.execution.lease import Lease
from flows.execution.live import Live
from flows.execution.permits import Permits
from flows.execution.queue import PASSED_OVER
from flows.execution.reconciler import Hook, Reconciler
from flows.execution.rings import hear_rings
from flows.execution.saying import said
from flows.execution.spending import Spending, spending_of
from flows.execution.writer import Writer
from flows.models.identifiers import new_id

log = logging.getLogger(__name__)

CLAIM_AT_ONCE = 50
GATHERS = 0.02
"""Seconds in which runs that end make room for one claim, not for one each, while more is queued than there is room for."""

GRACE = 2.5
"""Seconds that calls in flight get when the worker is told to stop; its supervisor kills it after four."""

BLOCKED = 0.2
"""Seconds after which a callback that held the loop is reported."""

FIND_VERSION: Final = """
SELECT v.id, v.number, f.archived_at IS NOT NULL, f.paused_at IS NOT NULL FROM flows_flow f LEFT JOIN flows_flowversion v
    ON v.flow_id = f.id AND CASE WHEN %(number)s::int IS NULL THEN v.id = f.published_id ELSE v.number = %(number)s END
WHERE f.slug = %(slug)s
"""

_running: Engine | None = None


class Services(Protocol):
    """What steps use (models, tools, the way out), as one snapshot that is renewed while the engine runs."""

    async def start(self, connections: AsyncConnectionPool[AsyncConnection[Any]]) -> None: ...
    async def renew(self) -> None: ...
    async def stop(self) -> None: ...
    def under(self, handling: Handling) -> Any: ...
    def limits_of(self, kind: str, target: str) -> CallLimits | None: ...


def running_engine() -> Engine | None:
    """The engine of this process, if it runs one."""
    return _running


class Engine:
    """Claims runs up to its capacity and drives them until they end or rest."""

    def __init__(
        self,
        *,
        dsn: str,
        redis_address: str,
        compile_document: Callable[[str], Flow],
        services: Services,
        lease: float,
        scan_period: float,
        capacity: int,
        hooks: Sequence[Hook] = (),
    ) -> None:
        self.id = new_id()
        self.dsn = dsn
        self.compile_document = compile_document
        self.services = services
        self.scan_period = scan_period
        self.capacity = capacity
        self.draining = False
        self.drivers: dict[UUID, Driver] = {}
        self.lease = Lease(dsn, self.id, lease)
        self._redis_address = redis_address
        self._hooks = hooks
        self._flows: dict[UUID, Flow] = {}
        self._rung: asyncio.Event
        self._claims = 0  # that found something
        self._crowded = False  # the newest claim took all that there was room for: more may be queued
        self._nudged = False  # somebody rang for a run that is driven here
        self._heard: deque[str] = deque(maxlen=200)  # numbers of the newest rings
        self._spawned: set[asyncio.Task[Any]] = set()
        self._stopped = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self.loop: asyncio.AbstractEventLoop
        self.writer: Writer
        self.live: Live
        self.permits: Permits

    # ------------------------------------------------------------------ from other threads

    def start(self) -> None:
        """Begin to drive runs. Returns at once; works without Redis, and waits for PostgreSQL."""
        global _running
        _running = self
        self.lease.start()
        self._thread.start()

    def ring(self, runs: list[UUID], numbers: Sequence[str] = ()) -> None:
        """A hint that these runs can go on. One whose `numbers` were all heard already is passed over."""
        self._call(self._on_ring, runs, numbers)

    def begin_to_drain(self) -> None:
        """Claim nothing more and hand on what rests. Returns at once."""
        self._call(self._drain)

    def stop(self, patience: float = GRACE + 0.8) -> None:
        """Drain, then end. What is still in flight after the grace is left to be reclaimed at once."""
        self.begin_to_drain()
        self._stopped.set()
        self._thread.join(patience)

    def _call(self, function: Callable[..., None], *given: Any) -> None:
        """Calls it on the loop, if there still is one."""
        if self._ready.is_set():
            with suppress(RuntimeError):  # it has been closed just now
                self.loop.call_soon_threadsafe(function, *given)

    # ------------------------------------------------------------------ for drivers

    async def may_begin(self) -> None:
        """Returns once a call may begin: at once, unless the heartbeat has been failing."""
        while not self.lease.may_begin:
            await asyncio.sleep(0.1)

    def database_now(self) -> datetime:
        return self.lease.database_now()

    def forget(self, driver: Driver) -> None:
        if self.drivers.get(driver.run.id) is driver:
            del self.drivers[driver.run.id]
        if len(self.drivers) < self.capacity:
            self._rung.set()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run this beside everything else; what goes wrong is logged."""
        task = self.loop.create_task(work)
        self._spawned.add(task)
        task.add_done_callback(self._spawn_done)

    async def find_flow(self, slug: str, number: int | None) -> Child:
        """The flow of this name in the version of this number, or in the one that is published now. Raises `BadRequest`,
        and `Unavailable` while the flow is paused."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(FIND_VERSION, {"slug": slug, "number": number})
            row = await cursor.fetchone()
            if row is None:
                raise BadRequest(f"There is no flow {slug!r}.")
            version, found, archived, paused = row
            if archived:
                raise BadRequest(f"The flow {slug} is archived.")
            if paused:
                raise Unavailable(f"The flow {slug} is paused: nothing of it begins until somebody resumes it.")
            if version is None:
                raise BadRequest(f"The flow {slug} has no version {number}." if number else f"The flow {slug} is not published.")
            flow = await self._flow(connection, version)
        return Child(flow, slug, found, str(version))

    async def spending_of(self, run: UUID) -> Spending:
        """What a run has spent so far."""
        async with self._pool.connection() as connection:
            return await spending_of(connection, run)

    async def news_of(self, run: UUID) -> tuple[News | None, Journal]:
        """What others changed of a run that we drive, with what was asked and delivered; None if it is not ours."""
        async with self._pool.connection() as connection:
            news = await news_of(connection, run, self.id)
            journals = await load_journals(connection, [run])
            return news, journals[run]

    # ------------------------------------------------------------------ the loop

    def _run(self) -> None:
        try:
            uvloop.run(self._main())
        except Exception:  # the worker's edge: the process ends, the supervisor starts another
            log.exception("the engine has failed")
        finally:
            self.lease.stop()

    async def _main(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.loop.slow_callback_duration = BLOCKED
        self._rung = asyncio.Event()
        self.writer = Writer(self.dsn)
        self.live = Live(self._redis_address)
        self.permits = Permits(self._redis_address, self.id, self.lease.seconds, lambda: self._pool)
        self.budgets = Budgets(lambda: self._pool)
        self._pool = AsyncConnectionPool(
            self.dsn, min_size=1, max_size=8, open=False, kwargs={"autocommit": True}, timeout=30.0, name="engine"
        )
        await self._pool.open()
        await self.services.start(self._pool)
        reconciler = Reconciler(self.dsn, self._rung.set, self._hooks)
        work = [
            self.writer.run(),
            self.live.run(),
            self.permits.run(),
            self.budgets.run(),
            reconciler.run(),
            self._tick(),
            self._scan(),
            self._renew(),
            hear_rings(self._redis_address, self._on_ring),
        ]
        tasks = [asyncio.create_task(item) for item in work]
        self._ready.set()
        log.info("engine %s drives runs", self.id)
        try:
            await self._until_stopped(tasks)
        finally:
            self._ready.clear()
            self.lease.stop()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._sign_off()
            await self.services.stop()
            await self._pool.close(timeout=1.0)

    async def _until_stopped(self, tasks: list[asyncio.Task[Any]]) -> None:
        while not self._stopped.is_set():
            for task in tasks:
                if task.done():
                    task.result()  # a part of the engine has failed: so has the engine
            await asyncio.sleep(0.05)
        deadline = time.monotonic() + GRACE
        while self.drivers and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        for driver in list(self.drivers.values()):
            driver.drop()

    async def _sign_off(self) -> None:
        """Without its row a worker holds nothing: what it left is reclaimed at once."""
        try:
            async with self._pool.connection(timeout=1.0) as connection:
                # An orderly end is no death: it must not count towards those after which a run is given up.
                await connection.execute("UPDATE flows_run SET claims = 0 WHERE owner = %s", (self.id,))
                await connection.execute("DELETE FROM flows_worker WHERE id = %s", (self.id,))
        except (psycopg.Error, OSError) as error:
            log.warning("the engine could not sign off: %s", error)

    async def _tick(self) -> None:
        """Shows the lease that the loop is alive; lets go of everything when the lease is as good as lost."""
        before = time.monotonic()
        while True:
            await asyncio.sleep(0.1)
            now = time.monotonic()
            if now - before > 0.1 + BLOCKED:
                log.warning("the engine's loop was blocked for %.2f s", now - before - 0.1)
            before = self.lease.tick = now
            if self.lease.lost and self.drivers:
                log.error("no heartbeat for %.1f s: letting go of %d runs", self.lease.age, len(self.drivers))
                for driver in list(self.drivers.values()):
                    driver.drop()

    async def _renew(self) -> None:
        """Takes up changes of the catalogue."""
        while True:
            await asyncio.sleep(self.scan_period * 2)
            try:
                await self.services.renew()
            except (psycopg.Error, OSError) as error:
                log.warning("catalogue: %s", said(error))

    # ------------------------------------------------------------------ finding runs

    def _on_ring(self, runs: list[UUID], numbers: Sequence[str]) -> None:
        if numbers:
            new = [number for number in numbers if number not in self._heard]
            if not new:
                return
            self._heard.extend(new)
        self._nudged = self._nudged or any(run in self.drivers for run in runs)
        self._rung.set()

    def _drain(self) -> None:
        if not self.draining:
            self.draining = self.lease.draining = True
            for driver in list(self.drivers.values()):
                driver.look()

    async def _scan(self) -> None:
        """Claims what is queued when a ring comes, and once a period in any case; then also looks after the abandoned."""
        swept = float("-inf")
        while True:
            try:
                async with asyncio.timeout(self.scan_period):
                    await self._rung.wait()
            except TimeoutError:
                pass
            if self._crowded:
                await asyncio.sleep(GATHERS)
            self._rung.clear()
            if self.draining or not self.lease.may_begin:
                await asyncio.sleep(0.05)
                continue
            try:
                async with self._pool.connection() as connection:
                    if self._nudged:
                        self._nudged = False
                        await self._tell_news(connection)
                    await self._claim(connection)
                    if time.monotonic() - swept >= self.scan_period:
                        swept = time.monotonic()
                        await self._sweep(connection)
            except (psycopg.Error, OSError) as error:
                log.warning("scan: %s", said(error))
                await asyncio.sleep(0.2)

    async def _claim(self, connection: AsyncConnection[Any]) -> None:
        while not self.draining:
            room = min(self.capacity - len(self.drivers), CLAIM_AT_ONCE)
            if room <= 0:
                return
            runs = await claim_queued(connection, self.id, room, oldest=self._claims % PASSED_OVER == PASSED_OVER - 1)
            self._crowded = len(runs) == room
            if runs:
                self._claims += 1
                await self._drive(connection, runs)
            if not self._crowded:
                return

    async def _sweep(self, connection: AsyncConnection[Any]) -> None:
        room = min(self.capacity - len(self.drivers), CLAIM_AT_ONCE)
        if room > 0:
            runs = await reclaim(connection, self.id, room, self.lease.seconds, list(self.drivers))
            if runs:
                log.warning("reclaimed %d run(s)", len(runs))
                self.lease.reclaims += len(runs)
                await self._drive(connection, runs)
        await self._tell_news(connection)

    async def _tell_news(self, connection: AsyncConnection[Any]) -> None:
        """Has the drivers look whose runs somebody else has changed."""
        cursor = await connection.execute(
            "SELECT id, signals, cancel_requested FROM flows_run WHERE owner = %s AND (signals > 0 OR cancel_requested)",
            (self.id,),
        )
        for run, signals, cancel in await cursor.fetchall():
            driver = self.drivers.get(run)
            if driver is not None:
                driver.hear_of(signals, cancel)

    async def _drive(self, connection: AsyncConnection[Any], runs: list[ClaimedRun]) -> None:
        earlier = [run.id for run in runs if run.epoch > 1 or run.signals]
        journals = await load_journals(connection, earlier) if earlier else {}
        for run in runs:
            try:
                flow = await self._flow(connection, run.version_id)
                journal = journals.get(run.id)
                subflows = await self._subflows(connection, journal) if journal is not None else {}
                inside = await read_inside(connection, run.id, flow, journal, subflows) if journal is not None else {}
                driver = Driver(self, run, flow)
                driver.start(journal, {child.version: child for child in subflows.values()}, inside)
            except (psycopg.Error, OSError):
                raise
            except Exception as error:  # the worker's edge: what cannot be taken up here cannot be elsewhere
                log.exception("run %s could not be taken up", run.id)
                self._refuse_run(run, error)
                continue
            self.drivers[run.id] = driver
            self.live.touch(run.id)

    def _refuse_run(self, run: ClaimedRun, error: Exception) -> None:
        """Ends a run that cannot be driven: its version does not compile, or its journal does not fit it."""
        failure = {"step": "", "class": "internal", "message": plain(f"The run cannot be driven: {error}", 500)}
        data = {"status": "failed", "reason": "internal", "error": failure}
        fate: Op = {
            "op": "fate",
            "event": "run.ended",
            "next": "failed",
            "reason": "internal",
            "error": orjson.dumps(failure).decode(),
            "data": orjson.dumps(data).decode(),
        }
        record = Record(run.id, run.epoch, 1, run.signals, run.steps, [fate], withdraws=[{"run": run.id, "path": None}])
        self.writer.submit(record, lambda verdict: log.info("run %s was ended: %s", run.id, verdict))

    async def _subflows(self, connection: AsyncConnection[Any], journal: Journal) -> dict[str, Child]:
        """The flows that open steps of a run go on as, by their paths, each in the version that it began with."""
        children: dict[str, Child] = {}
        for row in journal.attempts:
            facts = orjson.loads(row.checkpoint) if row.status == "open" and row.checkpoint is not None else {}
            if "version" in facts:
                flow = await self._flow(connection, UUID(facts["version"]))
                children[row.path] = Child(flow, facts["flow"], facts["number"], facts["version"])
        return children

    async def _flow(self, connection: AsyncConnection[Any], version: UUID) -> Flow:
        flow = self._flows.get(version)
        if flow is None:
            cursor = await connection.execute("SELECT document FROM flows_flowversion WHERE id = %s", (version,))
            row = await cursor.fetchone()
            if row is None:
                raise LookupError(f"version {version} does not exist")
            await self.services.renew()  # what it names may be as new as itself
            flow = await asyncio.to_thread(self.compile_document, row[0])
            if len(self._flows) > 500:
                self._flows.clear()
            self._flows[version] = flow
        return flow

    def _spawn_done(self, task: asyncio.Task[Any]) -> None:
        self._spawned.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            if isinstance(error, (psycopg.Error, OSError)):
                log.warning("engine: %s", error)
            else:
                log.error("engine: %s", type(error).__name__, exc_info=error)
