"""What a trial is, and what is looked at after each."""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from tests.chaos.people import deciding, resuming
from tests.faults.harness import ENDED, Site

PATIENCE = 600.0  # seconds for what must happen in the end, on a machine that does much beside


@dataclass(frozen=True, slots=True)
class Found:
    """What a trial has done: its runs, the faults injected, and what it saw itself that must not be."""

    runs: list[UUID]
    faults: int
    wrong: list[str] = field(default_factory=list)


class Trial(Protocol):
    """Something that an installation must endure."""

    @property
    def id(self) -> str: ...
    @property
    def says(self) -> str: ...
    def course(self, site: Site, seconds: float, chance: random.Random) -> Found: ...


def endure(site: Site, trial: Trial, seconds: float, seed: int) -> dict[str, Any]:
    """One trial, and what is found after it: everything is mended, every run must end, and the invariants must hold over all that
    ever happened in the installation."""
    began = site.database.one("SELECT clock_timestamp()")
    known = len(site.violations())
    found = trial.course(site, seconds, random.Random(f"{seed}/{trial.id}"))
    site.models.behaves()
    site.repair()
    with deciding(site), resuming(site):
        lost = _wait_for_ends(site, found.runs)
    violations = [*found.wrong, *site.violations()[known:], *(f"run {run} has not ended" for run in lost)]
    for line in violations[:20]:
        print(f"      {line}")
    twice = _duplicates(site)
    return {
        "id": trial.id,
        "seed": seed,
        "runs": len(found.runs),
        "faults": found.faults,
        "lost": len(lost),
        "violations": len(violations),
        "wrong_totals": sum(line.startswith(("I4", "ledger")) for line in violations),
        "duplicates": twice,
        "recovery_p95_s": _recovery(site, began),
        "ok": not violations and not twice and len(found.runs) > 0,
    }


def _wait_for_ends(site: Site, runs: list[UUID]) -> list[UUID]:
    """Those that have not ended in time."""
    deadline = time.monotonic() + PATIENCE
    query = f"SELECT id FROM flows_run WHERE id = ANY(%s) AND status NOT IN {ENDED}"
    while True:
        rest = [row[0] for row in site.database.rows(query, runs)]
        if not rest or time.monotonic() > deadline:
            return rest
        time.sleep(0.2)


def _duplicates(site: Site) -> int:
    """Effects beyond the first of each step, at the receiving service: it applies a request once for each idempotency key, and
    each time where there is none."""
    effects: dict[str, set[str]] = {}
    for number, line in enumerate(site.effects.lines):
        step = json.dumps(line["body"], sort_keys=True)
        effects.setdefault(step, set()).add(line["key"] or f"request {number}")
    return sum(len(found) - 1 for found in effects.values())


def _recovery(site: Site, since: Any) -> float:
    """The 95th percentile of the seconds between a run's last event before it was reclaimed and the reclaim."""
    gaps = site.database.rows(
        """SELECT extract(epoch FROM e.at - before.at)::float8 FROM flows_event e CROSS JOIN LATERAL (
            SELECT max(f.at) AS at FROM flows_event f WHERE f.run_id = e.run_id AND f.seq < e.seq) before
        WHERE e.type = 'run.reclaimed' AND e.at > %s ORDER BY 1""",
        since,
    )
    return round(gaps[int(len(gaps) * 0.95)][0], 2) if gaps else 0.0
