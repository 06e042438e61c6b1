"""The flows that a run goes through, sub-flows included, and what of its last pass counts in the next one."""

from __future__ import annotations

import json
from uuid import UUID

from flows.engine.courses import Course, next_course
from flows.engine.nodes import Graph
from flows.engine.paths import Place, place_of
from flows.execution.passes import outcomes_of
from flows.models import Attempt, Run
from flows.runs.documents import flow_of


def course_of(run: Run, from_path: str | None = None) -> Course:
    """What the run's next pass keeps and does again: from where it failed, or from `from_path`, which must have begun."""
    return next_course(flow_of(run.version_id), outcomes_of(run), from_path, subflows_of(run))


def place_in_run(run: Run, path: str) -> Place | None:
    """Where the path leads in the flows that the run goes through; None where it leads nowhere, or into a sub-flow that has not
    begun."""
    return place_of(flow_of(run.version_id), path, subflows_of(run) if "/" in path else None)


def subflows_of(run: Run) -> dict[str, Graph]:
    """The graphs of the run's sub-flows by the paths of their steps, each in the version that it began with in this pass."""
    rows = Attempt.objects.filter(run=run, pass_number=run.pass_number, checkpoint__contains='"version"')
    facts = rows.values_list("path", "checkpoint")
    versions = {path: json.loads(checkpoint or "{}").get("version") for path, checkpoint in facts}
    return {path: flow_of(UUID(version)).graph for path, version in versions.items() if version}
