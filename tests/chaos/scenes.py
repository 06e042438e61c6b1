"""Single courses that a storm does not come to: many waits with one holder, many parked runs, many branches on one purse."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from tests.chaos.people import deciding
from tests.chaos.trials import PATIENCE, Found
from tests.faults.harness import Site, kill
from tests.orchestrator.processes import until

WAITS, PARKED, PURSES = 300, 400, 3


@dataclass(frozen=True, slots=True)
class Scene:
    """`play` is the whole course; it takes as long as it takes."""

    id: str
    says: str
    play: Callable[[Site, random.Random], Found]

    def course(self, site: Site, seconds: float, chance: random.Random) -> Found:
        return self.play(site, chance)


def kill_the_holder_of_many_waits(site: Site, chance: random.Random) -> Found:
    """One engine waits for 300 answers of one map. It is killed; another one asks again for what had not come, and only for that."""
    run = site.start_run("wide", list(range(WAITS)))
    site.wait_for_calls(run, succeeded=0, in_flight=WAITS)
    kill(site.owner(run))
    wrong = [] if site.wait_for_end(run, PATIENCE) == "succeeded" else [f"the map of {WAITS} did not succeed"]
    calls = site.calls(run)
    if calls != {"succeeded": WAITS, "unknown": WAITS}:
        wrong.append(f"calls of the map: {calls}")
    return Found([run], 1, wrong)


def restart_everything_under_parked_runs(site: Site, chance: random.Random) -> Found:
    """Many runs wait for a decision; everything is killed and started again; each decision then wakes its run once."""
    runs: list[UUID] = []

    def start(count: int) -> None:
        runs.extend(site.start_run("parking") for _ in range(count))

    starters = [threading.Thread(target=start, args=(PARKED // 4,)) for _ in range(4)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    parked = "SELECT count(*) FROM flows_run WHERE id = ANY(%s) AND status = 'waiting_approval' AND owner IS NULL"
    until(lambda: site.database.one(parked, runs) == PARKED, PATIENCE, "all runs wait")
    kill(site.pid)
    assert site.process is not None
    site.process.wait()
    site.start()
    ended = "SELECT count(*) FROM flows_run WHERE id = ANY(%s) AND status = 'succeeded'"
    with deciding(site):
        until(lambda: site.database.one(ended, runs) == PARKED, PATIENCE, "all runs have gone on")
    claims = "SELECT count(*) FROM flows_run WHERE id = ANY(%s) AND epoch <> 2"
    odd = site.database.one(claims, runs)
    return Found(runs, 1, [f"{odd} runs were not woken exactly once"] if odd else [])


def many_branches_on_one_purse(site: Site, chance: random.Random) -> Found:
    """64 branches want a dollar each at the same time, and there are twenty."""
    with site.watched_purses() as overspent:
        runs = [site.start_run("large-purse") for _ in range(PURSES)]
        states = [site.wait_for_end(run, PATIENCE) for run in runs]
    wrong = [f"at some instant: {line}" for line in overspent]
    wrong += [f"run {run} is {state}" for run, state in zip(runs, states, strict=True) if state != "budget_stopped"]
    spent = [site.database.one("SELECT spent FROM flows_run WHERE id = %s", run) for run in runs]
    wrong += [f"spent {amount} of 20" for amount in spent if amount != 20]
    return Found(runs, 0, wrong)


SCENES = (
    Scene("B7", f"the holder of {WAITS} waits is killed", kill_the_holder_of_many_waits),
    Scene("B9", f"{PARKED} parked runs, everything restarted", restart_everything_under_parked_runs),
    Scene("B13", "64 branches on one budget", many_branches_on_one_purse),
)
