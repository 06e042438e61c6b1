"""Running a run again with something changed: a new run, linked to the one that it repeats."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from flows.access.actor import Actor
from flows.access.refusals import Conflict, Fault, Invalid, NotFound
from flows.access.rights import Right, require
from flows.engine.courses import Course, Outcome
from flows.engine.graph import Flow as CompiledFlow
from flows.engine.nodes import Node
from flows.engine.paths import enclosing, place_of, upstream
from flows.engine.states import TERMINAL_STATES
from flows.execution.passes import PayloadsRemoved, RunGoesOn, outcomes_of
from flows.models import Attempt, FlowVersion, Run
from flows.runs.actions.edit_input import checked_fields
from flows.runs.actions.retry_run import NeverRan, has_run
from flows.runs.actions.start_run import NotPublished, start_run
from flows.runs.beginning import Repeats
from flows.runs.documents import flow_of
from flows.runs.limits import shown
from flows.runs.stepstates import asks_people

LIVE = "live"
SAME: Any = object()
"""The input as it was: None is an input, too."""


class DraftWasTested(Conflict):
    """What a test gave counts for that test only, so nothing of it is carried into another run. Test the draft again."""

    slug = "test-not-repeated"


class BehindApproval(Conflict):
    """An approval counts only for the run that it was given in."""

    slug = "behind-approval"

    def __init__(self, names: list[str]) -> None:
        listed = ", ".join(names)
        super().__init__(
            f"The step stands behind {listed}, where people decided; what they approved counts only for the run that they saw. "
            f"Begin at {names[0]} or before it."
        )


def repeat_run(
    actor: Actor,
    run: Run,
    *,
    input: Any = SAME,  # noqa: A002 - the word of the document
    version: int | str | None = None,
    from_step: str | None = None,
    route: str | None = None,
    limits: Mapping[str, Any] | None = None,
    tags: Sequence[str] | None = None,
    key: str | None = None,
) -> Run:
    """Starts a new run that repeats `run` with another input, another version (a number, or "live") or another route for the step
    `from_step`; `origin` says what it repeats.

    With `from_step`, a step of the flow itself, the results of the steps before it are taken over. Where `limits` or `tags` are None
    they are as they were; of limits and the version's own the lower hold. The same `key` gives the same run. Raises `NotFound`,
    `Forbidden`, `RunGoesOn`, `PayloadsRemoved`, `NeverRan`, `BehindApproval`, `Invalid`, and what `start_run` raises.
    """
    require(actor, Right.CONTROL_RUNS, run)
    if run.purpose == "test":
        raise DraftWasTested
    if run.purged_at is not None and (input is SAME or from_step is not None):
        raise PayloadsRemoved
    target = version_for(run, version)
    if from_step is not None and run.status not in TERMINAL_STATES:
        raise RunGoesOn(run)
    edits = _route_edit(target, from_step, route)
    return start_run(
        actor,
        run.flow.slug,
        json.loads(run.input) if input is SAME else input,
        key=key,
        limits=_limits_of(run) if limits is None else limits,
        tags=run.tags if tags is None else tags,
        version=target.number,
        source="retry",
        repeats=Repeats(run, from_step or "", course_into(run, target, from_step), edits),
    )


def is_other_version(run: Run, version: int | str | None) -> bool:
    """Whether this is another version than the one that ran, so that a repetition is a new run. Raises what `version_for` raises."""
    return version_for(run, version).id != run.version_id


def version_for(run: Run, version: int | str | None) -> FlowVersion:
    """The version that a repetition runs. Raises `NotFound`, `NotPublished`."""
    if version is None:
        return run.version
    if version == LIVE:
        if run.flow.published is None:
            raise NotPublished
        return run.flow.published
    number = version if isinstance(version, int) and 0 < version < 2**31 else 0
    found = FlowVersion.objects.filter(flow_id=run.flow_id, number=number).first()
    if found is None:
        raise NotFound(f"version {str(version)[:20]} of {run.flow.slug}")
    return found


def course_into(run: Run, target: FlowVersion, from_step: str | None) -> Course:
    """What of `run` is taken over by a run of `target` that begins at `from_step`: the results of the steps before it, as far as
    they fit the version. Raises `NeverRan`, `BehindApproval`, `Invalid`."""
    if from_step is None:
        return Course()
    flow = flow_of(target.id)
    if any(mark in from_step for mark in "[/."):
        mend = f"Begin at {next(enclosing(from_step))!r}, or retry with nothing changed."
        fault = Fault("from_step", "stands inside another step, whose items may be others with what is changed", mend)
        raise Invalid("The run cannot be repeated from there.", problems=[fault])
    if place_of(flow, from_step) is None:
        fault = Fault("from_step", f"{from_step[:100]!r} is no step of version {target.number}", "Choose one that it has.")
        raise Invalid("The run cannot be repeated from there.", problems=[fault])
    rows = outcomes_of(run)
    if not has_run(run, from_step):
        raise NeverRan(from_step)
    before = upstream(flow.graph, from_step)
    asking = [key for key in flow.graph.nodes if key in before and asks_people(flow.graph.nodes[key])]
    if asking:
        raise BehindApproval(asking)
    return _taken_over(run, flow, before, rows)


def _taken_over(run: Run, flow: CompiledFlow, before: frozenset[str], rows: list[Outcome]) -> Course:
    ended = [row for row in rows if row.path in before and row.final and row.status in {"succeeded", "failed"}]
    facts = Attempt.objects.filter(id__in=[row.id for row in ended]).values_list("id", "kind", "port")
    known = {id_: (kind, port) for id_, kind, port in facts}
    fitting = {row.path: row.id for row in ended if _fits(flow.graph.nodes[row.path], row.status, *known[row.id])}
    kept = [row for row in rows if fitting.get(row.path) == row.id or any(around in fitting for around in enclosing(row.path))]
    return Course(
        kept=tuple(row.id for row in kept if row.final and row.status in {"succeeded", "failed", "open"}),
        again=tuple(dict.fromkeys(row.path for row in rows if row.path in flow.graph.nodes and row.path not in fitting)),
    )


def _fits(node: Node, status: str, kind: str, port: str) -> bool:
    """Whether a result that a step had in one version can stand for the step of another one."""
    if node.kind.slug != kind:
        return False
    return port in node.ports if status == "succeeded" else "error" in node.outgoing or node.on_error == "continue"


def _route_edit(target: FlowVersion, from_step: str | None, route: str | None) -> dict[str, dict[str, Any]]:
    if route is None:
        return {}
    place = place_of(flow_of(target.id), from_step) if from_step is not None else None
    if from_step is None or place is None:
        fault = Fault("route", "holds for one step", "Name a step of this version in `from_step`.")
        raise Invalid("The run cannot be repeated so.", problems=[fault])
    return {from_step: checked_fields(place, {"route": route})}


def _limits_of(run: Run) -> dict[str, Any]:
    """The run's limits as a document writes them."""
    caps = {"cost": run.cap_cost, "tokens": run.cap_tokens, "steps": run.cap_steps}
    given: dict[str, Any] = {name: shown(value) for name, value in caps.items() if value is not None}
    return given | {"at_limit": run.at_limit}
