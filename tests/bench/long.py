"""Whether a step costs the same at the end of a long run as at its beginning."""

from __future__ import annotations

import json
from statistics import median
from typing import Any

from tests.bench import Row, measure
from tests.bench.engine import EFFECTS
from tests.bench.stage import Stage, staged

STEPS = 10_000
WINDOW = 100  # steps
WINDOWS = 10  # at each end; the median of them is taken, since another process may take the processor during one
GROWS = 1.2


def document(every: dict[str, Any]) -> str:
    return json.dumps({"orchestrator": 1, "name": "Long", "steps": {"every": every}, "edges": ["start -> every"]})


BODY = {"steps": {"do": EFFECTS}, "edges": ["start -> do"], "output": "{{ run.number }}"}
LOOP = {"kind": "loop", "with": {"max": STEPS, "body": BODY}}
MAP = {"kind": "map", "with": {"over": "input.items", "concurrency": 50, "on_item_error": "stop", "body": BODY}}


@measure("long_run")
def long_run() -> Row:
    """The larger growth of the two: a loop of ten thousand rounds, and ten thousand items of a map, fifty at once."""
    with staged() as stage:
        worst = max(growth(stage, "loop", LOOP), growth(stage, "map", MAP))
    return Row(round(worst, 2), "x", f"<= {GROWS:g}", worst <= GROWS)


def growth(stage: Stage, slug: str, step: dict[str, Any]) -> float:
    """The seconds of the last hundred steps over those of the first hundred."""
    stage.import_flow(slug, document(step))
    stage.start_runs(slug, 1, {"items": list(range(STEPS))})
    with stage.engines(1, capacity=10):
        stage.wait_until_ended(1, 180, newest=True)
    times = stage.step_times()
    if len(times) < STEPS:
        raise RuntimeError(f"{len(times)} steps of {STEPS}")
    windows = [b - a for a, b in zip(times[::WINDOW], times[WINDOW::WINDOW], strict=False)]
    return median(windows[-WINDOWS:]) / median(windows[:WINDOWS])
