"""An engine killed in the middle of what is nested: a loop in a sub-flow in a map behind approvals, and an error handler."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

import pytest

from tests.chaos.people import deciding
from tests.faults.harness import Site, kill
from tests.orchestrator.processes import until

pytestmark = pytest.mark.slow

MARKS = Counter({f"each[{item}].inner/again[{round_}].mark": 1 for item in (0, 1) for round_ in (0, 1, 2)} | {"looked_up": 1})


def killed_at(site: Site, run: UUID, event: str) -> str:
    """How the run ends whose engine is killed once it has written an event of this type."""
    with deciding(site):
        until(lambda: site.events(run, event), 40, event)
        kill(site.owner(run))
        return site.wait_for_end(run)


def test_a_loop_in_a_sub_flow_goes_on_with_the_round_that_was_broken_off(site: Site) -> None:
    run = site.start_run("nested")

    ended = killed_at(site, run, "step.round")

    assert ended == "succeeded"
    assert Counter(line["body"]["step"] for line in site.effects.of(run) if line["method"] == "POST").keys() == MARKS.keys()
    keys = {(line["body"]["step"], line["key"]) for line in site.effects.of(run) if line["method"] == "POST"}
    assert len(keys) == len(MARKS), "a step was sent with two keys"
    assert len(site.events(run, "step.round")) == 6


def test_an_error_handler_that_was_broken_off_is_done_once(site: Site) -> None:
    run = site.start_run("nested", {"fails": True})

    ended = killed_at(site, run, "handler.opened")

    assert ended == "failed"
    assert len(site.events(run, "handler.opened")) == 1
    succeeded = "SELECT count(*) FROM flows_call WHERE run_id = %s AND path = 'error.tell' AND status = 'succeeded'"
    assert site.database.one(succeeded, run) == 1
