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
from tests.bench.memory import resident
from tests.faults.harness import Site, folder_for_servers, kill
from tests.orchestrator.processes import until

KILLS = 3
RECOVERS = 6.0  # seconds, with a lease of three
PAGES, RUNS = 100, 5
CLAUSES = 180  # of each run, six at a time, half a second each: it goes on when all sockets are open
HEARS = 250.0  # milliseconds
GROWS = 10.0  # MB


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
    """From the event's row to its frame on the socket, over a hundred sockets on five busy runs; none may miss an event or hear it twice,
    and the second time the web process must hold no more than after the first."""
    with installed() as site:
        site.api()  # a key
        late, missed, twice = _listened(site)
        web = site.child("uvicorn")
        before = resident(web)
        again = _listened(site)
        grown = resident(web) - before
    late, missed, twice = [*late, *again[0]], missed + again[1], twice + again[2]
    p95 = quantiles(late, n=20)[18]
    target = f"<= {HEARS:g} ms; {missed} lost, {twice} twice, {grown:+.1f} of {GROWS:g} MB"
    ok = p95 <= HEARS and missed == twice == 0 and grown <= GROWS and len(late) > PAGES
    return Row(round(p95, 1), "ms", target, ok)


def _listened(site: Site) -> tuple[list[float], int, int]:
    """How late the events came, once all sockets were open, of runs that they watch to their end, how many did not come,
    how many came again."""
    runs = [site.start_clauses(CLAUSES, 0.5) for _ in range(RUNS)]
    late: list[float] = []
    missed = twice = 0
    query = "SELECT seq, extract(epoch FROM at)::float8 FROM flows_event WHERE run_id = %s"
    heard = asyncio.run(_heard(site, runs))
    written = {run: dict(site.database.rows(query, run)) for run in runs}
    since = max(began for _, began, _ in heard)  # while they are opened, a hundred pages are being asked for
    for run, _, frames in heard:
        late += [(at - written[run][seq]) * 1000 for seq, at in frames if written[run][seq] > since]
        missed += len(written[run].keys() - {seq for seq, _ in frames})
        twice += len(frames) - len({seq for seq, _ in frames})
    return late, missed, twice


Heard = tuple[UUID, float, list[tuple[int, float]]]
"""Of one socket: the run, when it was open, and the number of each event with when it came."""


async def _heard(site: Site, runs: list[UUID]) -> list[Heard]:
    """Of each socket, from the run's first event to its end."""
    key = site.api().headers["Authorization"]

    async def page(run: UUID) -> Heard:
        frames: list[tuple[int, float]] = []
        since = 0.0
        address = f"ws://127.0.0.1:{site.port}/ws/live?topics=run:{shown('run', run)}&after=0"
        async with connect(address, additional_headers={"Authorization": key}, proxy=None, open_timeout=60) as socket:
            async for frame in socket:
                at, said = time.time(), json.loads(frame)
                since = since or at  # the first frame shows that the socket is open
                if "seq" in said:
                    frames.append((said["seq"], at))
                if said["data"].get("type") == "run.ended":
                    break
        return run, since, frames

    async with asyncio.timeout(120):
        return list(await asyncio.gather(*(page(runs[n % len(runs)]) for n in range(PAGES))))
