"""``python -m tests.chaos [--duration SECONDS] [--seed N]``: one table, and ``chaos.json``; exit 1 if anything that must hold did not.

The duration is shared by the storms; the scenes between them take what they take. During a storm, runs of several flows are kept
going through the API and what they ask is decided; after each trial everything is mended, every run must come to its end, and the
invariants must hold over all that ever happened in the installation. At last the planner and its journal are simulated without
processes, with a crash at every point.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.chaos.scenes import SCENES
from tests.chaos.storms import STORMS
from tests.chaos.trials import endure
from tests.faults.harness import Site, folder_for_servers
from tests.orchestrator.processes import ROOT

RESULT = Path("chaos.json")
SIMULATED_CASES = 20_000
COLUMNS = ("runs", "faults", "lost", "violations", "wrong_totals", "duplicates", "recovery_p95_s")
LINE = "{:<5} {:<42} {:>6} {:>7} {:>5} {:>11} {:>13} {:>11} {:>15}  {}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--duration", type=float, default=600.0, help="seconds of storm, all together")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    parser.add_argument("--only", action="append", help="the id of a trial, as often as wanted")
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.duration:.0f} s of storm")
    print(LINE.format("id", "trial", *(name.replace("_", " ") for name in COLUMNS), ""), flush=True)
    results = []
    wanted = set(options.only or [trial.id for trial in (*STORMS, *SCENES)] + ["S"])
    storms = [storm for storm in STORMS if storm.id in wanted]
    with folder_for_servers() as folder:
        site = Site(folder)
        try:
            site.start()
            site.install()
            for trial in (*storms, *(scene for scene in SCENES if scene.id in wanted)):
                result = endure(site, trial, options.duration / max(len(storms), 1), options.seed)
                results.append(result)
                show(trial.says, result)
        finally:
            site.stop()
    if "S" in wanted:
        results.append(simulate(options.seed))
        show(f"planner and journal, {SIMULATED_CASES:,} cases", results[-1])
    RESULT.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 0 if all(result["ok"] for result in results) else 1


def simulate(seed: int) -> dict[str, Any]:
    """The simulation of `tests/simulation`, long; what it says is shown where it fails."""
    environment = {**os.environ, "SIMULATED_CASES": str(SIMULATED_CASES), "DJANGO_SETTINGS_MODULE": "tests.settings"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--hypothesis-seed", str(seed), "tests/simulation"]
    done = subprocess.run(command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        print(done.stdout[-4000:])
    wrong = int(done.returncode != 0)
    return dict.fromkeys(COLUMNS, 0) | {"id": "S", "seed": seed, "runs": SIMULATED_CASES, "violations": wrong, "ok": not wrong}


def show(says: str, result: dict[str, Any]) -> None:
    figures = [result[name] for name in COLUMNS]
    print(LINE.format(result["id"], says, *figures, "ok" if result["ok"] else "BROKEN"), flush=True)


if __name__ == "__main__":
    sys.exit(main())
