"""Another pass of random flows: it ends, it does nothing again that counts, and it ends as if nothing had ever failed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from flows.engine.courses import Course, Outcome, next_course
from flows.engine.graph import Flow
from flows.engine.plan import Child
from tests.simulation.flows import families, family
from tests.simulation.test_planner import CASES, many
from tests.simulation.world import Ending, Journal, World

Family = Mapping[str, Child]

some = settings(many, max_examples=max(CASES // 5, 1))


def outcomes(journal: Journal) -> tuple[list[Outcome], dict[int, Any]]:
    """The journal's rows as they are read for another pass, and the entries behind them."""
    lines = sorted(journal.rows.values(), key=lambda line: line[0])
    rows = [
        Outcome(
            number,
            entry.path,
            entry.status,
            entry.status != "failed" or entry.remaining is None,
            bool((entry.error or {}).get("fails_run")),
        )
        for number, (_, entry) in enumerate(lines, start=1)
    ]
    return rows, {number: entry for number, (_, entry) in enumerate(lines, start=1)}


def again(flow: Flow, children: Family, ending: Ending, from_path: str | None, seed: int) -> tuple[Course, list[Any], Ending]:
    """Another pass in which no step fails: what it keeps, the entries of that, and how it ends."""
    rows, entries = outcomes(ending.journal)
    begun = [entry for entry in entries.values() if entry.checkpoint is not None and "version" in entry.checkpoint]
    inside = {entry.path: children[entry.checkpoint["version"]].flow.graph for entry in begun}
    course = next_course(flow, rows, from_path, inside)
    world = World(flow, {}, seed=seed, fails=0.0, crashes=0.05, children=children)
    for number in course.kept:
        entry = entries[number]
        if number in course.reopened:
            checkpoint = entry.checkpoint if entry.path in inside else None
            entry = replace(entry, status="open", port="", output=None, state={}, error=None, checkpoint=checkpoint)
        world.journal.write(entry)
    return course, [entries[number] for number in course.kept], world.run()


@some
@given(families(), st.integers(0, 2**32))
def test_what_failed_is_done_again_and_nothing_else(documents: list[dict[str, Any]], seed: int) -> None:
    flow, children = family(documents)
    first = World(flow, {}, seed=seed, fails=0.5, children=children).run()
    if first.end.status != "failed":
        return

    _, kept, second = again(flow, children, first, None, seed)

    done = {entry.path for entry in kept if entry.status == "succeeded"}
    assert not done & set(second.begins), "what counts was done again"  # (the world itself fails where a success begins again)
    if not any(entry.status == "failed" for entry in kept):
        never_failed = World(flow, {}, seed=seed, fails=0.0, children=children).run()
        assert (second.end.status, second.end.output) == (never_failed.end.status, never_failed.end.output)


@some
@given(families(), st.integers(0, 2**32))
def test_a_pass_from_any_step_does_that_step_again(documents: list[dict[str, Any]], seed: int) -> None:
    flow, children = family(documents)
    first = World(flow, {}, seed=seed, fails=0.1, children=children).run()
    ran = sorted(path for path in first.begins if "error." not in path and _has_run(first.journal, path))
    if not ran:
        return
    chosen = random.Random(seed).choice(ran)

    course, _, second = again(flow, children, first, chosen, seed)

    assert chosen in course.again
    assert second.begins[chosen] >= 1 or second.end.status == "failed"


def _has_run(journal: Journal, path: str) -> bool:
    """Whether a pass may begin there: not at what was asked in the moment in which its branch failed."""
    return any(entry.status != "skipped" for (where, _), (_, entry) in journal.rows.items() if where == path)
