"""What people would notice on a whole installation: how long a killed engine's runs rest, and how late a page hears of an event."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import quantiles
from uuid import UUID

from websockets.asyncio.client import connect

from flows.models.identifiers import shown
from tests.bench import Row, measure
from tests.faults.harness import Site, folder_for_servers, kill
from tests.orchestrator.processes import until

KILLS = 3
RECOVERS = 6.0  # seconds, with a lease of three
PAGES, RUNS = 100, 5
HEARS = 250.0  # milliseconds


@contextmanager
def installed() -> Iterator[Site]:
    with folder_for_servers("bench-") as folder:
        site = Site(folder)
        try:
            site.start()
            site.install()
            yield site
        finally:
            site.stop()


@measure("recover_seconds")
def recover_seconds() -> Row:
    """From SIGKILL of the engine that drives a run until another goes on with it: the longest of three."""
    worst = 0.0
    with installed() as site:
        for _ in range(KILLS):
            run = site.start_clauses(60, 0.3)
            until(lambda run=run: site.calls(run).get("succeeded", 0) >= 3, 20, "the run is under way")
            killed = kill(site.owner(run))
            until(lambda run=run: site.events(run, "run.reclaimed"), 30, "somebody goes on")
            worst = max(worst, site.events(run, "run.reclaimed")[0] - killed)
            site.wait_for_end(run, 60)
            site.wait_for_engines()
    return Row(round(worst, 2), "s", f"<= {RECOVERS:g} s", worst <= RECOVERS)


@measure("live_event_p95")
def live_event() -> Row:
    """From the event's row to its frame on the socket, over a hundred sockets on five busy runs."""
    with installed() as site:
        site.api()  # a key
        runs = [site.start_clauses(40, 0.4) for _ in range(RUNS)]
        heard = asyncio.run(_heard(site, runs))
        late = []
        for run in runs:
            query = "SELECT seq, extract(epoch FROM at)::float8 FROM flows_event WHERE run_id = %s"
            written = dict(site.database.rows(query, run))
            late += [(at - written[seq]) * 1000 for each, since, seq, at in heard if each == run and written[seq] > since]
    p95 = quantiles(late, n=20)[18]
    return Row(round(p95, 1), "ms", f"<= {HEARS:g} ms", p95 <= HEARS and len(late) > PAGES)


async def _heard(site: Site, runs: list[UUID]) -> list[tuple[UUID, float, int, float]]:
    """Of each event on each socket: the run, when the socket was open, the event's number, when it came."""
    key = site.api().headers["Authorization"]
    frames: list[tuple[UUID, float, int, float]] = []

    async def page(run: UUID) -> None:
        address = f"ws://127.0.0.1:{site.port}/ws/live?topics=run:{shown('run', run)}&after=0"
        async with connect(address, additional_headers={"Authorization": key}, proxy=None, open_timeout=60) as socket:
            await socket.recv()
            since = time.time()
            async for frame in socket:
                at, said = time.time(), json.loads(frame)
                if "seq" in said:
                    frames.append((run, since, said["seq"], at))
                if said["data"].get("type") == "run.ended":
                    return

    async with asyncio.timeout(120):
        await asyncio.gather(*(page(runs[n % len(runs)]) for n in range(PAGES)))
    return frames
