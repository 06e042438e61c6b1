"""A process that dies around the write of a memory: it is kept once, with the result of its step, or not at all."""

import json

import pytest

from tests.faults.harness import Site
from tests.faults.test_crash_points import AFTER, BEFORE, crashed

pytestmark = pytest.mark.slow

HELD = "SELECT name, value, revision, run_id FROM flows_memoryentry ORDER BY name"
WRITTEN = "SELECT count(*) FROM flows_memorychange WHERE run_id = %s"

# The recall is begun; settled with the begin of the write; this with the result of its step and what is kept, which ends the run.
POINTS = [(where, record) for record in (1, 2, 3) for where in (BEFORE, AFTER)]


@pytest.mark.parametrize(("where", "record"), POINTS, ids=lambda value: str(value).removeprefix("journal."))
def test_what_a_run_leaves_is_kept_exactly_once(site: Site, where: str, record: int) -> None:
    before = {name: (json.loads(value), revision) for name, value, revision, _ in site.database.rows(HELD)}
    runs, revision = before.get("runs", (0, 0))

    run = crashed(site, "remembering", where, record)

    assert site.status(run) == "succeeded"
    held = {name: (json.loads(value), revision, by) for name, value, revision, by in site.database.rows(HELD)}
    assert held["runs"] == (runs + 1, revision + 1, run)
    assert site.database.one(WRITTEN, run) == 2, "one change of each of its two names"
