"""What people do to a run holds although the engine that drives it is killed at that moment: pauses, another pass, an edited input; and
a call whose outcome is unknown is looked up, whoever asks."""

import json
from typing import Any
from uuid import UUID

import pytest

from flows.models.identifiers import shown
from tests.faults.harness import Site, kill
from tests.orchestrator.processes import until

pytestmark = pytest.mark.slow


def post(site: Site, run: UUID, verb: str, body: Any = None) -> Any:
    return site.said_well(site.api("operator").post(f"/runs/{shown('run', run)}/{verb}", json={} if body is None else body))


def read(site: Site, run: UUID) -> dict[str, Any]:
    return dict(site.said_well(site.api().get(f"/runs/{shown('run', run)}")))


def in_flight(site: Site, run: UUID) -> None:
    until(lambda: site.calls(run).get("started"), 20, "a call in flight")


def effects(site: Site, run: UUID, step: str) -> list[dict[str, Any]]:
    return [line for line in site.effects.of(run) if line["method"] == "POST" and line["body"]["step"] == step]


def look_ups(site: Site) -> int:
    return sum(line["method"] == "GET" for line in site.effects.lines)


@pytest.fixture(autouse=True)
def _calm(site: Site) -> None:
    site.effects.behaves()


def under_way(site: Site) -> UUID:
    """A run half of whose calls are in flight, and for long enough to do something to it meanwhile."""
    run = site.start_clauses(12, 5.0)
    read(site, run)  # the first answer after a start takes seconds
    site.wait_for_calls(run, succeeded=1, in_flight=6)
    return run


HANGS: dict[str, Any] = {"behave": "hang", "seconds": 30}
"""An effect that the service takes its time for: its engine dies meanwhile."""


def test_a_run_that_is_paused_when_its_engine_dies_rests_and_goes_on_when_it_is_resumed(site: Site) -> None:
    run = under_way(site)

    post(site, run, "pause")
    kill(site.owner(run))
    until(lambda: read(site, run)["reason"] == "paused" and read(site, run)["state"] == "waiting", 30, "it rests")
    calls = site.calls(run)
    post(site, run, "resumption")

    assert site.wait_for_end(run) == "succeeded"
    assert "started" not in calls
    assert site.calls(run)["succeeded"] == 13
    assert len({line["key"] for line in effects(site, run, "post")}) == 1


def test_a_resume_while_the_engine_dies_is_not_lost(site: Site) -> None:
    run = under_way(site)
    post(site, run, "pause")
    owner = site.owner(run)

    post(site, run, "resumption")
    kill(owner)

    assert site.wait_for_end(run) == "succeeded"
    assert read(site, run)["paused"] is False


def test_another_pass_goes_on_after_the_death_of_its_engine(site: Site) -> None:
    site.effects.behaves({"behave": "400"})
    run = site.start_clauses(6, 0.05)
    assert site.wait_for_end(run) == "failed"
    asked = len(site.models.of(run))
    site.effects.behaves(HANGS)

    post(site, run, "retry", {"pass": 1})
    in_flight(site, run)
    until(lambda: len(effects(site, run, "post")) == 2, 20, "the service hangs over this call, not over its repetition")
    kill(site.owner(run))

    until(lambda: read(site, run)["state"] == "succeeded", 60, "the second pass")
    assert read(site, run)["pass"] == 2
    assert len(site.models.of(run)) == asked, "what succeeded in the first pass is not done again"
    assert len({line["key"] for line in effects(site, run, "post")}) == 1


def test_an_edited_input_holds_after_the_death_of_the_engine(site: Site) -> None:
    site.effects.behaves(HANGS)
    run = site.start_run("keyed")
    in_flight(site, run)
    until(lambda: site.effects.of(run), 20, "the service hangs over this call, not over its repetition")

    arguments = {"run": shown("run", run), "step": "last", "count": 41}
    post(site, run, "steps/last/input", {"input": {"arguments": arguments}})
    kill(site.owner(run))

    assert site.wait_for_end(run) == "succeeded"
    (sent,) = {json.dumps(line["body"], sort_keys=True) for line in effects(site, run, "last")}
    assert json.loads(sent) == arguments


def test_inputs_that_are_edited_while_the_steps_begin_are_heeded_or_refused(site: Site) -> None:
    """Many runs, each edited once at some moment of its first steps."""
    runs = [site.start_run("keyed") for _ in range(20)]
    accepted: dict[UUID, bool] = {}

    def edit(run: UUID) -> None:
        arguments = {"run": shown("run", run), "step": "middle", "count": 7}
        path = f"/runs/{shown('run', run)}/steps/middle/input"
        answer = site.api("operator").post(path, json={"input": {"arguments": arguments}})
        assert answer.status_code in {202, 409}, answer.text
        accepted[run] = answer.is_success

    for run in runs:
        edit(run)
    for run in runs:
        assert site.wait_for_end(run) == "succeeded"
        (sent,) = {line["body"].get("count") for line in effects(site, run, "middle")}
        assert (sent == 7) is accepted[run], "an edit that was accepted was lost"


def test_a_death_during_the_look_up_of_an_unknown_outcome_changes_nothing(site: Site) -> None:
    before = look_ups(site)
    site.effects.behaves({"behave": "late"}, HANGS)  # the call is lost; asking about it takes a while
    run = site.start_run("lookup")
    finding = "SELECT 1 FROM flows_call WHERE run_id = %s AND kind = 'find' AND status = 'started'"
    until(lambda: site.database.rows(finding, run), 30, "it asks what became of the call")
    until(lambda: look_ups(site) > before, 20, "the service hangs over this look-up, not over its repetition")

    kill(site.owner(run))

    assert site.wait_for_end(run) == "succeeded"
    assert len(effects(site, run, "first")) == 1
