"""``python -m tests.chaos [--duration SECONDS] [--seed N]``: one table, and ``chaos.json``; exit 1 if anything that must hold did not.

The duration is shared by the storms. During each, runs of several flows are kept going through the API; after it everything is
mended, every run must come to its end, and the invariants must hold over all that ever happened in the installation.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from tests.chaos.storms import STORMS, Storm
from tests.faults.harness import ENDED, Site, folder_for_servers

RESULT = Path("chaos.json")
IN_FLIGHT = 12  # runs
PATIENCE = 180.0  # seconds until every run of a storm has ended
LINE = "{:<4} {:<40} {:>6} {:>7} {:>11} {:>11} {:>15}  {}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--duration", type=float, default=600.0, help="seconds of storm, all together")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.duration:.0f} s of storm")
    print(LINE.format("id", "storm", "runs", "faults", "violations", "duplicates", "recovery p95 s", ""), flush=True)
    results = []
    with folder_for_servers() as folder:
        site = Site(folder)
        try:
            site.start()
            site.install()
            for storm in STORMS:
                result = endure(site, storm, options.duration / len(STORMS), options.seed)
                results.append(result)
                figures = [result[name] for name in ("runs", "faults", "violations", "duplicates", "recovery_p95_s")]
                print(LINE.format(storm.id, storm.says, *figures, "ok" if result["ok"] else "BROKEN"), flush=True)
        finally:
            site.stop()
    RESULT.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 0 if all(result["ok"] for result in results) else 1


def endure(site: Site, storm: Storm, seconds: float, seed: int) -> dict[str, Any]:
    """One storm, and what is found after it."""
    chance = random.Random(f"{seed}/{storm.id}")
    began = site.database.one("SELECT clock_timestamp()")
    known = len(site.violations())
    runs: list[UUID] = []
    stop = threading.Event()
    feeder = threading.Thread(target=feed, args=(site, runs, stop, random.Random(f"{seed}/{storm.id}/runs")), daemon=True)
    feeder.start()
    faults = 0
    deadline = time.monotonic() + seconds
    while storm.faults and time.monotonic() < deadline:
        time.sleep(min(chance.uniform(*storm.pauses), max(deadline - time.monotonic(), 0.0)))
        if time.monotonic() < deadline:
            with suppress(AssertionError, ProcessLookupError):  # it is being started again just now
                chance.choice(storm.faults)(site, chance)
                faults += 1
    time.sleep(max(deadline - time.monotonic(), 0.0))
    stop.set()
    feeder.join(60)
    site.repair()
    lost = wait_for_ends(site, runs)
    found = site.violations()[known:] + [f"run {run} has not ended" for run in lost]
    for line in found[:20]:
        print(f"     {line}")
    return {
        "id": storm.id,
        "seed": seed,
        "runs": len(runs),
        "faults": faults,
        "violations": len(found),
        "duplicates": duplicates(site),
        "recovery_p95_s": recovery(site, began),
        "ok": not found and not duplicates(site) and len(runs) > 0,
    }


def feed(site: Site, runs: list[UUID], stop: threading.Event, chance: random.Random) -> None:
    """Keeps runs going. A start that the storm swallows is tried again with the same key, so it is one run in the end."""
    number = 0
    while not stop.is_set():
        slug = chance.choice(("clauses", "keyed", "never"))
        value = {"clauses": [f"clause {n}" for n in range(6)], "delay": chance.uniform(0.05, 0.6)} if slug == "clauses" else {}
        body = {"input": value, "key": f"{id(runs)}-{number}"}
        number += 1
        while not stop.is_set():
            with suppress(httpx.HTTPError, AssertionError, ValueError):
                answer = site.api().post(f"/flows/{slug}/runs", json=body)
                if answer.is_success:
                    runs.append(UUID(hex=answer.json()["id"].removeprefix("run_")))
                    break
            stop.wait(0.1)
        while not stop.wait(0.02) and going(site) >= IN_FLIGHT:
            pass


def going(site: Site) -> int:
    return int(site.database.one(f"SELECT count(*) FROM flows_run WHERE status NOT IN {ENDED}") or 0)


def wait_for_ends(site: Site, runs: list[UUID]) -> list[UUID]:
    """Those that have not ended in time."""
    deadline = time.monotonic() + PATIENCE
    query = f"SELECT id FROM flows_run WHERE id = ANY(%s) AND status NOT IN {ENDED}"
    while True:
        rest = [row[0] for row in site.database.rows(query, runs)]
        if not rest or time.monotonic() > deadline:
            return rest
        time.sleep(0.2)


def duplicates(site: Site) -> int:
    """Effects beyond the first of each step, at the receiving service: it applies a request once for each idempotency key, and
    each time where there is none."""
    effects: dict[str, set[str]] = {}
    for number, line in enumerate(site.effects.lines):
        step = json.dumps(line["body"], sort_keys=True)
        effects.setdefault(step, set()).add(line["key"] or f"request {number}")
    return sum(len(found) - 1 for found in effects.values())


def recovery(site: Site, since: Any) -> float:
    """The 95th percentile of the seconds between a run's last event before it was reclaimed and the reclaim."""
    gaps = site.database.rows(
        """SELECT extract(epoch FROM e.at - before.at)::float8 FROM flows_event e CROSS JOIN LATERAL (
            SELECT max(f.at) AS at FROM flows_event f WHERE f.run_id = e.run_id AND f.seq < e.seq) before
        WHERE e.type = 'run.reclaimed' AND e.at > %s ORDER BY 1""",
        since,
    )
    return round(gaps[int(len(gaps) * 0.95)][0], 2) if gaps else 0.0


if __name__ == "__main__":
    sys.exit(main())
