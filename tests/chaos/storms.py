"""What a storm breaks, and how often, while people and programs use the installation. Each fault is one function of the installation
and the storm's own chance."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx

from tests.chaos.people import deciding, meddling
from tests.chaos.trials import Found
from tests.faults.harness import ENDED, LEASE, Site, kill

Fault = Callable[[Site, random.Random], None]

IN_FLIGHT = 12  # runs
FLOWS = ("clauses", "keyed", "never", "parking", "errors", "nested")


def kill_an_engine(site: Site, chance: random.Random) -> None:
    engines = sorted(site.engines())
    if engines:
        kill(chance.choice(engines))


def end_an_engine(site: Site, chance: random.Random) -> None:
    """SIGTERM: it hands over what rests and gives its calls their grace."""
    engines = sorted(site.engines())
    if engines:
        os.kill(chance.choice(engines), signal.SIGTERM)


def stop_an_engine(site: Site, chance: random.Random) -> None:
    """SIGSTOP for longer than the lease: it comes back as a zombie whose runs are another's."""
    engines = sorted(site.engines())
    if not engines:
        return
    pid = chance.choice(engines)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(LEASE * chance.uniform(1.0, 2.0))
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        return  # the supervisor was quicker


def kill_postgres(site: Site, chance: random.Random) -> None:
    kill(site.child("postgres"))


def cut_connections(site: Site, chance: random.Random) -> None:
    """Every connection to PostgreSQL ends at once, in whatever statement or commit it is."""
    site.database.rows(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL"
    )


def kill_redis(site: Site, chance: random.Random) -> None:
    kill(site.child("valkey", "redis"))


def deafen_redis(site: Site, chance: random.Random) -> None:
    """Half-open for a while: it takes what is sent and answers nothing."""
    pid = site.child("valkey", "redis")
    os.kill(pid, signal.SIGSTOP)
    time.sleep(chance.uniform(0.5, 3.0))
    os.kill(pid, signal.SIGCONT)


def break_the_provider(site: Site, chance: random.Random) -> None:
    """Of the next answers of the model server three in ten are errors of all sorts."""
    errors = [{"behave": name} for name in ("429 retry_after=0", "500", "503", "reset", "cut", "bad_json")]
    site.models.behaves(*(chance.choice(errors) if chance.random() < 0.3 else {} for _ in range(100)))


@dataclass(frozen=True, slots=True)
class Storm:
    """`pauses` are the least and the most seconds between two faults; one of `faults` is drawn each time."""

    id: str
    says: str
    faults: tuple[Fault, ...] = ()
    pauses: tuple[float, float] = (1.0, 5.0)

    def course(self, site: Site, seconds: float, chance: random.Random) -> Found:
        """Keeps runs going and breaks things for so long."""
        deadline = time.monotonic() + seconds
        faults = 0
        with (
            feeding(site, random.Random(chance.random())) as runs,
            deciding(site),
            meddling(site, random.Random(chance.random())),
        ):
            while self.faults and time.monotonic() < deadline:
                time.sleep(min(chance.uniform(*self.pauses), max(deadline - time.monotonic(), 0.0)))
                if time.monotonic() < deadline:
                    with suppress(AssertionError, ProcessLookupError, httpx.HTTPError):  # it is being started again just now
                        chance.choice(self.faults)(site, chance)
                        faults += 1
            time.sleep(max(deadline - time.monotonic(), 0.0))
        return Found(runs, faults)


@contextmanager
def feeding(site: Site, chance: random.Random) -> Iterator[list[UUID]]:
    """Keeps runs going; which they are. A start that the storm swallows is tried again with the same key, so it is one run."""
    runs: list[UUID] = []
    stop = threading.Event()
    feeder = threading.Thread(target=_feed, args=(site, runs, stop, chance), daemon=True)
    feeder.start()
    try:
        yield runs
    finally:
        stop.set()
        feeder.join(60)


def _feed(site: Site, runs: list[UUID], stop: threading.Event, chance: random.Random) -> None:
    number = 0
    while not stop.is_set():
        slug = chance.choice(FLOWS)
        body = {"input": _input_of(slug, chance), "key": f"{id(runs)}-{number}"}
        number += 1
        while not stop.is_set():
            with suppress(httpx.HTTPError, AssertionError, ValueError):
                answer = site.api().post(f"/flows/{slug}/runs", json=body)
                if answer.is_success:
                    runs.append(UUID(hex=answer.json()["id"].removeprefix("run_")))
                    break
            stop.wait(0.1)
        while not stop.wait(0.02) and _going(site) >= IN_FLIGHT:
            continue


def _input_of(slug: str, chance: random.Random) -> dict[str, Any]:
    if slug == "clauses":
        return {"clauses": [f"clause {n}" for n in range(6)], "delay": chance.uniform(0.05, 0.6)}
    return {"fails": chance.random() < 0.3} if slug == "nested" else {}


def _going(site: Site) -> int:
    return int(site.database.one(f"SELECT count(*) FROM flows_run WHERE status NOT IN {ENDED}") or 0)


STORMS = (
    Storm("B1", "no faults"),
    Storm("B2", "an engine killed every 1 to 5 s", (kill_an_engine,)),
    Storm("B3", "an engine stopped for 1 to 2 leases", (stop_an_engine,), (1.0, 3.0)),
    Storm("B4", "PostgreSQL killed, connections cut", (kill_postgres, cut_connections), (4.0, 12.0)),
    Storm("B5", "Redis killed or deaf every 2 to 6 s", (kill_redis, deafen_redis), (2.0, 6.0)),
    Storm("B10", "30 % of the provider's answers are errors", (break_the_provider,), (0.5, 1.0)),
    Storm("B14", "engines restarted one after the other", (end_an_engine,), (1.0, 4.0)),
    Storm(
        "B6",
        "all together",
        (kill_an_engine, end_an_engine, stop_an_engine, kill_postgres, cut_connections, kill_redis, break_the_provider),
        (1.5, 5.0),
    ),
)
