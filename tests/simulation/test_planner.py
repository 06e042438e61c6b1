"""The planner and its journal over random flows, results, orders and crashes: 1,000 cases here, 20,000 in `make chaos`."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.simulation.flows import families, family
from tests.simulation.world import World

CASES = int(os.environ.get("SIMULATED_CASES", "1000"))
many = settings(
    max_examples=CASES // 2,
    deadline=None,
    derandomize="SIMULATED_CASES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)


@many
@given(families(), st.integers(0, 2**32))
def test_a_run_ends_and_no_step_succeeds_twice_whatever_crashes(documents: list[dict[str, Any]], seed: int) -> None:
    flow, children = family(documents)
    ending = World(flow, {}, seed=seed, crashes=0.3, fails=0.25, children=children).run()

    assert ending.end.status in {"succeeded", "failed"}
    assert (ending.end.error is not None) == (ending.end.status == "failed")
    succeeded = [path for (path, _), (_, entry) in ending.journal.rows.items() if entry.status == "succeeded"]
    assert len(succeeded) == len(set(succeeded))


@many
@given(families(ordered=True), st.integers(0, 2**32))
def test_a_run_that_crashed_ends_as_one_that_did_not(documents: list[dict[str, Any]], seed: int) -> None:
    flow, children = family(documents)

    calm = World(flow, {}, seed=1, children=children).run()
    stormy = World(flow, {}, seed=seed, crashes=0.4, children=children).run()

    assert stormy.end.status == calm.end.status
    if calm.end.status == "succeeded":
        assert stormy.end.output == calm.end.output
        assert stormy.journal.succeeded() == calm.journal.succeeded()


@settings(many, max_examples=max(CASES // 20, 1))
@given(families(ordered=True))
def test_a_run_ends_alike_whichever_record_a_crash_comes_after(documents: list[dict[str, Any]]) -> None:
    flow, children = family(documents)
    world = World(flow, {}, seed=1, children=children)
    calm = world.run()

    for record in range(1, world.records, max(world.records // 25, 1)):
        stormy = World(flow, {}, seed=1, children=children)
        stormy.crash_at = record
        ending = stormy.run()
        assert (ending.end.status, ending.end.output) == (calm.end.status, calm.end.output), f"after record {record}"
        assert ending.journal.succeeded() == calm.journal.succeeded(), f"after record {record}"
