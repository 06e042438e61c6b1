"""A process that dies just before or just after each of its commits: what may be repeated is, what may not be is not."""

from uuid import UUID

import pytest

from flows.models.identifiers import shown
from tests.faults.harness import ENDED, LEASE, MARGIN, SCAN, Site, told
from tests.orchestrator.processes import until

pytestmark = pytest.mark.slow

STEPS = ("first", "middle", "last")
BEFORE, AFTER = "journal.before_commit", "journal.after_commit"

# Which record of the run dies, and what has happened by then. Record 1 begins the first call; 2 settles it and begins the second;
# 3 settles that and begins the last; 4 settles the last and ends the run.
POINTS = [(where, record) for record in (1, 2, 3, 4) for where in (BEFORE, AFTER)]


def effects_of(site: Site, run: UUID) -> list[str]:
    """The steps for which the effect server was asked, in order."""
    return [line["body"]["step"] for line in site.effects.of(run)]


def crashed(site: Site, flow: str, where: str, record: int) -> UUID:
    site.arm(where, record)
    run = site.start_run(flow)
    rests = f"SELECT 1 FROM flows_run WHERE id = %s AND (status IN {ENDED} OR status = 'waiting_approval')"
    until(lambda: site.database.rows(rests, run), LEASE + 20, "the end, or a question")
    # After the last commit this is a moment after the end was there to be read.
    until(lambda: not site.faultpoints.exists(), 20, "the process comes to the point")
    return run


def recovery(site: Site, run: UUID) -> float:
    """Seconds from the last thing that the dead process wrote to the claim by another."""
    query = """SELECT extract(epoch FROM e.at - (SELECT max(at) FROM flows_event WHERE run_id = e.run_id AND seq < e.seq))::float8
               FROM flows_event e WHERE run_id = %s AND type = 'run.reclaimed'"""
    return float(site.database.one(query, run))


@pytest.mark.parametrize(("where", "record"), POINTS, ids=lambda value: str(value).removeprefix("journal."))
def test_an_effect_with_a_key_is_repeated_with_the_same_key(
    site: Site, where: str, record: int, capsys: pytest.CaptureFixture[str]
) -> None:
    run = crashed(site, "keyed", where, record)

    assert site.status(run) == "succeeded"
    lines = site.effects.of(run)
    keys = {step: {line["key"] for line in lines if line["body"]["step"] == step} for step in STEPS}
    assert [len(keys[step]) for step in STEPS] == [1, 1, 1], "a key for each step, the same in each repetition"
    made_but_not_recorded = STEPS[record - 2] if where == BEFORE and record > 1 else None
    for step in STEPS:
        assert effects_of(site, run).count(step) == (2 if step == made_but_not_recorded else 1)
    unknown = 1 if (where == BEFORE and record > 1) or (where == AFTER and record < 4) else 0
    assert site.calls(run) == {"succeeded": 3} | ({"unknown": unknown} if unknown else {})
    if (where, record) != (AFTER, 4):
        told(capsys, f"recovered in {recovery(site, run):.2f} s")
        assert recovery(site, run) <= LEASE + SCAN + MARGIN


@pytest.mark.parametrize(("where", "record"), POINTS, ids=lambda value: str(value).removeprefix("journal."))
def test_an_effect_that_may_not_be_repeated_happens_at_most_once(site: Site, where: str, record: int) -> None:
    run = crashed(site, "never", where, record)

    effects = effects_of(site, run)
    if (where, record) in {(BEFORE, 1), (AFTER, 4)}:  # nothing was sent, or everything was recorded
        assert site.status(run) == "succeeded"
        assert effects == [*STEPS]
        return
    sent = (
        record - 1
    )  # a step that is sent without being recorded, or recorded without being sent, is the one that is asked about
    assert effects == [*STEPS[:sent]]
    question = site.wait_for_question(run)
    assert (question["kind"], question["path"]) == ("unknown", STEPS[sent - 1] if where == BEFORE else STEPS[sent])
    choice = {"outcome": "happened", "payload": {"result": {"by": "hand"}}} if where == BEFORE else {"outcome": "fail"}
    body = {**choice, "revision": question["revision"]}
    site.said_well(site.api().post(f"/approvals/{question['id']}/decisions", json=body))
    assert site.wait_for_end(run) == ("succeeded" if where == BEFORE else "failed")
    assert effects_of(site, run) == ([*STEPS] if where == BEFORE else [*STEPS[:sent]])
    if where == AFTER:
        error = site.said_well(site.api().get(f"/runs/{shown('run', run)}"))["error"]
        assert (error["class"], error["step"]) == ("unknown_outcome", STEPS[sent])


@pytest.mark.parametrize(("where", "record"), POINTS, ids=lambda value: str(value).removeprefix("journal."))
def test_an_effect_that_can_be_looked_up_happens_once_and_is_adopted(site: Site, where: str, record: int) -> None:
    run = crashed(site, "lookup", where, record)

    assert site.status(run) == "succeeded"
    assert [step for step in effects_of(site, run) if step in STEPS] == [*STEPS]
    lost = (where == BEFORE and record > 1) or (where == AFTER and record < 4)
    found = where == BEFORE  # then it had been sent; else only its intent was committed
    assert site.calls(run) == {"succeeded": 3} | ({"unknown": 1} if lost else {}) | (
        {"failed_final": 1} if lost and not found else {}
    )
    adopted = site.events(run, "call.adopted")
    assert len(adopted) == int(lost and found)


def test_a_step_that_kills_every_engine_fails_its_run_after_three(site: Site) -> None:
    site.arm(AFTER, 1)
    run = site.start_run("keyed")
    for time_ in range(3):
        until(lambda: not site.faultpoints.exists(), LEASE + 20, f"death number {time_ + 1}")
        if time_ < 2:
            site.arm(AFTER, 1)

    assert site.wait_for_end(run, LEASE + 20) == "failed"
    error = site.said_well(site.api().get(f"/runs/{shown('run', run)}"))["error"]
    assert (error["class"], error["step"]) == ("worker_died", "first")
    assert site.calls(run) == {"unknown": 3}
    assert effects_of(site, run) == []
