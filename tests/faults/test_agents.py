"""A process that dies in the middle of an agent: what the agent has done stands, and it goes on from there."""

from uuid import UUID

import pytest

from tests.faults.harness import Site, kill
from tests.faults.test_crash_points import AFTER, BEFORE, crashed
from tests.orchestrator.processes import until

pytestmark = pytest.mark.slow

TURNS = ("research.turn[0].model", "research.turn[1].model")
CALL = "research.turn[0].call[0]"

# The agent is opened, its first turn is begun (in one record or in two: the model's health may have to be read in between), settled with
# the begin of the tool call, and this with the begin of the second turn; the last record ends the run.
POINTS = [(where, record) for record in (2, 3, 4) for where in (BEFORE, AFTER)]


def calls_at(site: Site, run: UUID) -> dict[str, list[str]]:
    """By path, how its calls ended, in order."""
    found: dict[str, list[str]] = {}
    for path, status in site.database.rows("SELECT path, status FROM flows_call WHERE run_id = %s ORDER BY seq", run):
        found.setdefault(path, []).append(status)
    return found


@pytest.mark.parametrize(("where", "record"), POINTS, ids=lambda value: str(value).removeprefix("journal."))
def test_turns_and_calls_that_were_recorded_are_not_made_again(site: Site, where: str, record: int) -> None:
    run = crashed(site, "agent-keyed", where, record)

    assert site.status(run) == "succeeded"
    calls = calls_at(site, run)
    assert {path: statuses[-1] for path, statuses in calls.items()} == dict.fromkeys([*TURNS, CALL], "succeeded")
    again = {path for path, statuses in calls.items() if len(statuses) > 1}
    assert again == {path for path, statuses in calls.items() if "unknown" in statuses}, "only what was in flight is made again"
    assert all(statuses.count("succeeded") == 1 for statuses in calls.values())
    assert len(again) <= 1
    assert len({line["key"] for line in site.effects.of(run)}) == 1


def test_a_kill_between_a_tool_call_and_its_record_repeats_no_effect(site: Site) -> None:
    site.effects.behaves({"behave": "hang", "seconds": 30})
    run = site.start_run("agent-never")
    until(lambda: site.effects.of(run), 30, "the service has the call, and nobody has its answer")

    kill(site.owner(run))

    question = site.wait_for_question(run)
    assert (question["kind"], question["path"]) == ("unknown", CALL)
    body = {"outcome": "happened", "payload": {"result": {"by": "hand"}}, "revision": question["revision"]}
    site.said_well(site.api().post(f"/approvals/{question['id']}/decisions", json=body))
    assert site.wait_for_end(run) == "succeeded"
    assert len(site.effects.of(run)) == 1
    assert calls_at(site, run) == {TURNS[0]: ["succeeded"], CALL: ["unknown"], TURNS[1]: ["succeeded"]}
