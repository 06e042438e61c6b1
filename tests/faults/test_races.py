"""Who comes at the same time: decisions and parking, parallel calls and one purse, a cancel and what is in flight."""

import random
import threading
import time
from uuid import UUID

import pytest

from flows.models.identifiers import shown
from tests.faults.harness import MARGIN, SCAN, Database, Site, together, told
from tests.orchestrator.processes import until

pytestmark = pytest.mark.slow

RACES = 30
BESIDE = 0.5  # seconds that the step beside the question takes: when it is done, the run parks


def test_a_decision_that_races_with_parking_is_never_lost(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """Each run asks at once and parks when the step beside the question is done; the decision comes about then."""
    seed = random.SystemRandom().randrange(10**6)
    told(capsys, f"seed {seed}")
    source = random.Random(seed)
    site.effects.behaves(*([{"delay": BESIDE}] * RACES))
    early, edge = (0.0, 0.1), (BESIDE - 0.15, BESIDE + 0.06)
    pauses = [source.uniform(*(early if n % 5 == 0 else edge)) for n in range(RACES)]
    runs: list[UUID] = []
    answers: dict[UUID, int] = {}

    def race(mine: list[float]) -> None:
        own = Database(site.data)
        for pause in mine:
            run = site.start_run("parking")
            runs.append(run)
            until(lambda run=run: own.one("SELECT id FROM flows_request WHERE run_id = %s", run), 20, "the question")
            asked = time.monotonic()
            request = shown("req", own.one("SELECT id FROM flows_request WHERE run_id = %s", run))
            until(lambda asked=asked, pause=pause: time.monotonic() >= asked + pause, 5)
            body = {"outcome": "approve", "revision": 1}
            answers[run] = site.api("approver-3").post(f"/approvals/{request}/decisions", json=body).status_code
        own.close()

    together([threading.Thread(target=race, args=(pauses[n::6],), daemon=True) for n in range(6)])

    assert len(runs) == RACES
    assert [answers[run] for run in runs] == [200] * RACES
    for run in runs:
        assert site.wait_for_end(run) == "succeeded"
    during = sum(
        state == "running"
        for run in runs
        for (state,) in site.database.rows(
            "SELECT data::json ->> 'run_state' FROM flows_event WHERE run_id = %s AND type = 'request.answered'", run
        )
    )
    told(capsys, f"{during} of {RACES} decisions came before their run had parked")
    late = [run for run in runs if went_on_after(site, run) > 2 * SCAN + MARGIN]
    assert late == []
    assert 0 < during < RACES, "the seed made no race: both orders must have happened"


def went_on_after(site: Site, run: UUID) -> float:
    """Seconds from the decision to the end of the run, whose step beside it may have gone on meanwhile."""
    beside = "SELECT max(extract(epoch FROM ended_at))::float8 FROM flows_call WHERE run_id = %s AND path = 'beside'"
    ready = max(site.events(run, "request.answered")[0], site.database.one(beside, run))
    return site.events(run, "run.ended")[0] - ready


def test_sixteen_branches_spend_exactly_what_the_purse_holds(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    with site.watched_purses() as overspent:
        run = site.start_run("purse")
        assert site.wait_for_end(run) == "budget_stopped"

    row = site.database.rows("SELECT spent, reserved, cap_cost, reason FROM flows_run WHERE id = %s", run)[0]
    told(capsys, f"spent {row[0]:f} of {row[2]:f}, reason {row[3]!r}, {len(site.models.of(run))} requests")
    assert row[:3] == (4, 0, 4)
    assert site.calls(run) == {"succeeded": 4}
    assert len(site.models.of(run)) == 4
    assert overspent == []


def test_a_cancel_breaks_off_what_is_in_flight(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    run = site.start_clauses(24, 8.0)
    site.wait_for_calls(run, succeeded=0, in_flight=6)

    site.said_well(site.api().post(f"/runs/{shown('run', run)}/cancellation"))
    took = until(lambda: site.status(run) == "cancelled", 3.0)

    told(capsys, f"ended {took:.2f} s after the cancel; calls {site.calls(run)}")
    assert site.calls(run) == {"unknown": 6}
    assert len(site.models.of(run)) == 6
