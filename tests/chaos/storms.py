"""What a storm breaks, and how often. Each fault is one function of the installation and the storm's own chance."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.faults.harness import LEASE, Site, kill

Fault = Callable[[Site, random.Random], None]


def kill_an_engine(site: Site, chance: random.Random) -> None:
    engines = sorted(site.engines())
    if engines:
        kill(chance.choice(engines))


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


def kill_redis(site: Site, chance: random.Random) -> None:
    kill(site.child("valkey", "redis"))


@dataclass(frozen=True, slots=True)
class Storm:
    """`pauses` are the least and the most seconds between two faults; one of `faults` is drawn each time."""

    id: str
    says: str
    faults: tuple[Fault, ...] = ()
    pauses: tuple[float, float] = (1.0, 5.0)
    counts: list[int] = field(default_factory=list)


STORMS = (
    Storm("B1", "no faults"),
    Storm("B2", "an engine killed every 1 to 5 s", (kill_an_engine,)),
    Storm("B3", "an engine stopped for 1 to 2 leases", (stop_an_engine,), (1.0, 3.0)),
    Storm("B4", "PostgreSQL killed every 5 to 15 s", (kill_postgres,), (5.0, 15.0)),
    Storm("B5", "Redis killed every 2 to 6 s", (kill_redis,), (2.0, 6.0)),
    Storm("B6", "all together", (kill_an_engine, kill_an_engine, stop_an_engine, kill_postgres, kill_redis), (2.0, 6.0)),
)
