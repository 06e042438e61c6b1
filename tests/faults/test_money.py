"""A process that dies around each movement of money: between holding, intent, call, settlement and counting, before and after each
commit. Nothing is lost, nothing counted twice, and every reservation ends."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

import pytest

from flows.execution.budgets import RENEWS
from tests.faults.harness import LEASE, Site, kill
from tests.faults.invariants import served_usage
from tests.orchestrator.processes import until

pytestmark = pytest.mark.slow

STEPS = ("first", "middle", "last")
INPUT, OUTPUT = Decimal("0.25"), Decimal("1.00")  # dollars per million tokens of `loop-1`

# Each of the three calls is held, begun, settled and counted. A hold is awaited between two records, so records 1, 3 and 5 begin a
# call, and 2, 4 and 6 settle one.
HELD = [[(f"budgets.{where}_hold", n) for where in ("before", "after")] for n in (1, 3)]
WRITTEN = [(f"journal.{where}_commit", n) for n in (1, 2, 5, 6) for where in ("before", "after")]
COUNTED = [[(f"budgets.{where}_count", n) for where in ("before", "after")] for n in (1, 2)]


@pytest.fixture(scope="module")
def budgeted(only_site: Site) -> None:
    """A month's budget of the flow, in force in every engine, for all that happens here."""
    document = only_site.folder / "budgets.yaml"
    document.write_text(json.dumps({"budgets": [{"scope": "flow:asking", "period": "month", "cost": 1}]}))
    only_site.repair()
    only_site.manage("catalogue", "apply", str(document))
    applied = time.monotonic()
    until(lambda: time.monotonic() > applied + RENEWS + 1, 10, "every engine knows that there is a budget")


@pytest.fixture
def counted(budgeted: None, site: Site) -> Site:
    return site


def came_through(site: Site, run: UUID) -> dict[str, int]:
    """The run has succeeded, and its money is in order everywhere; how its calls ended."""
    assert site.wait_for_end(run, LEASE + 30) == "succeeded"
    until(lambda: not site.faultpoints.exists(), 30, "the process comes to the point")
    until(lambda: not site.database.rows("SELECT 1 FROM flows_budgethold"), 30, "every hold ends")
    period = site.database.rows("SELECT spent, reserved, spent_calls, reserved_calls FROM flows_budgetperiod")
    ledger = site.database.rows(
        """SELECT coalesce(sum(settled), 0), 0::numeric, count(*), 0 FROM flows_call c JOIN flows_run r ON r.id = c.run_id
           JOIN flows_flow f ON f.id = r.flow_id WHERE f.slug = 'asking'"""
    )
    assert period == ledger
    bills = site.database.rows("SELECT status, reserved, settled, provider_id FROM flows_call WHERE run_id = %s", run)
    served = {f"chatcmpl-{line['n']}": cost_of(served_usage(line)) for line in site.models.of(run)}
    for status, reserved, settled, answer in bills:
        assert settled == (served[answer] if status == "succeeded" else reserved)
        assert settled <= reserved
    assert len(served) <= len(bills), "nothing was sent that is not in the ledger"
    return site.calls(run)


def cost_of(usage: dict[str, int]) -> Decimal:
    return (usage["prompt_tokens"] * INPUT + usage["completion_tokens"] * OUTPUT) / 1_000_000


def two_killed(site: Site, points: Sequence[tuple[str, int]]) -> list[UUID]:
    """Two runs, one after the other: an engine dies at the first point, and while its run rests another dies at the second. It does not
    matter here whose money it was about to move."""
    runs = []
    for where, time_ in points:
        site.arm(where, time_)
        runs.append(site.start_run("asking"))
        until(lambda: not site.faultpoints.exists(), 30, "the process comes to the point")
    for run in runs:
        site.wait_for_end(run, LEASE + 30)
    return runs


@pytest.mark.parametrize("points", HELD, ids=str)
def test_a_hold_whose_call_never_began_is_given_back(counted: Site, points: Sequence[tuple[str, int]]) -> None:
    for run in two_killed(counted, points):
        assert came_through(counted, run)["succeeded"] == 3


@pytest.mark.parametrize(("where", "time_"), WRITTEN, ids=str)
def test_a_call_is_paid_for_once_whichever_record_was_lost(counted: Site, where: str, time_: int) -> None:
    counted.arm(where, time_)

    calls = came_through(counted, counted.start_run("asking"))

    lost = time_ % 2 == (0 if where == "journal.before_commit" else 1)  # a settlement that was not stored, an intent that was
    assert calls == {"succeeded": 3} | ({"unknown": 1} if lost else {})


@pytest.mark.parametrize("points", COUNTED, ids=str)
def test_a_settled_call_is_counted_once(counted: Site, points: Sequence[tuple[str, int]]) -> None:
    for run in two_killed(counted, points):
        assert came_through(counted, run)["succeeded"] == 3


def test_a_call_that_was_in_flight_stays_charged(counted: Site) -> None:
    run = counted.start_run("asking")
    until(lambda: counted.models.in_flight() == 1, 10, "a call in flight")
    kill(counted.owner(run))

    assert came_through(counted, run) == {"succeeded": 3, "unknown": 1}
