"""What a verb would do, told before it is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q, Sum

from flows.access.actor import Actor
from flows.access.rights import Right, require
from flows.costs.reports import UNPRICED
from flows.engine.courses import Course
from flows.engine.paths import enclosing
from flows.models import Attempt, Call, Run, ToolEntry
from flows.runs.actions.repeat_run import course_into, version_for
from flows.runs.actions.retry_run import course_from

MOST_SHOWN = 200  # paths that a preview names


SUCCEEDED = Q(status="succeeded")


@dataclass(slots=True)
class StepAgain:
    """A step that runs again. `cost` is what its calls cost when they were last made, `wrote` the writing tools that it has used: what
    they did happens again, with another key."""

    path: str
    calls: int = 0
    cost: Decimal = Decimal(0)
    unpriced: int = 0
    wrote: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class RetryPreview:
    """`makes` is a new ``pass`` of the run, or a new ``run``. `reused` and `again` name the outermost steps, the first `MOST_SHOWN`
    of each; the counts are of all. `cost` is what the steps that run again cost before, so about what they will cost; None where
    the actor may not see costs."""

    makes: str
    version: int | None  # None: the draft that was tested
    live: bool
    from_step: str | None
    reused: tuple[str, ...]
    reused_count: int
    again: tuple[StepAgain, ...]
    again_count: int
    wrote: tuple[str, ...]
    cost: Decimal | None
    unpriced: int


def preview_retry(
    actor: Actor, run: Run, from_step: str | None = None, *, version: int | str | None = None, changed: bool = False
) -> RetryPreview:
    """What `retry_run` would do, or, with another `version` or with an input or route that is `changed`, `repeat_run`. Raises what
    these raise."""
    require(actor, Right.CONTROL_RUNS, run)
    target = version_for(run, version)
    new = changed or target.id != run.version_id
    course = course_into(run, target, from_step) if new else course_from(run, from_step)
    reused = _outermost_of(run, course)
    again = list(dict.fromkeys(course.again))
    if new and from_step is None:
        again = _outermost_ran(run)
    steps = _steps_again(run, again)
    sees_costs = actor.may(Right.SEE_COSTS, run.flow.team_id)
    return RetryPreview(
        makes="run" if new else "pass",
        version=target.number,
        live=target.id == run.flow.published_id,
        from_step=from_step,
        reused=tuple(reused[:MOST_SHOWN]),
        reused_count=len(reused),
        again=tuple(steps[:MOST_SHOWN]),
        again_count=len(steps),
        wrote=tuple(step.path for step in steps if step.wrote)[:MOST_SHOWN],
        cost=sum((step.cost for step in steps), Decimal(0)) if sees_costs else None,
        unpriced=sum(step.unpriced for step in steps),
    )


@dataclass(frozen=True, slots=True)
class Estimate:
    """About what something will cost: what is known of it, and how many calls come on top without a known price."""

    known: Decimal
    unpriced: int


def cost_of_many(actor: Actor, verb: str, runs: Sequence[Run]) -> Estimate | None:
    """About what `retry` or `repeat` of these runs will cost: what the same cost before. None for verbs that spend nothing. For
    `retry` some queries a run, which must be eligible."""
    if verb == "repeat":
        return Estimate(sum((run.spent for run in runs), Decimal(0)), sum(run.unpriced for run in runs))
    if verb != "retry":
        return None
    previews = [preview_retry(actor, run) for run in runs]
    return Estimate(
        sum((each.cost for each in previews if each.cost is not None), Decimal(0)), sum(each.unpriced for each in previews)
    )


def _outermost_of(run: Run, course: Course) -> list[str]:
    """The paths that are kept and not inside another one that is kept as a whole."""
    rows = Attempt.objects.filter(run=run, pass_number=run.pass_number, id__in=course.kept).values_list("id", "path")
    paths = dict(rows)
    whole = dict.fromkeys(paths[id_] for id_ in course.kept if id_ not in course.reopened)
    return [path for path in whole if not any(around in whole for around in enclosing(path))]


def _outermost_ran(run: Run) -> list[str]:
    rows = Attempt.objects.filter(run=run, pass_number=run.pass_number).exclude(status="skipped").order_by("seq", "id")
    return list(dict.fromkeys(path for path in rows.values_list("path", flat=True) if not any(enclosing(path))))


def _steps_again(run: Run, paths: Sequence[str]) -> list[StepAgain]:
    """The outermost of `paths`, each with what the calls in it did when they were last made."""
    chosen = set(paths)
    found = {path: StepAgain(path) for path in paths if not any(around in chosen for around in enclosing(path))}
    writing = set(ToolEntry.objects.filter(effect="write").values_list("slug", flat=True))
    sums = {
        "n": Count("id"),
        "sum": Sum("settled"),
        "unknown": Count("id", filter=UNPRICED),
        "done": Count("id", filter=SUCCEEDED),
    }
    calls = Call.objects.filter(run=run).values("path", "pass_number", "kind", "target").annotate(**sums)
    newest: dict[str, int] = {}
    rows: list[Any] = list(calls)
    for row in rows:
        newest[row["path"]] = max(newest.get(row["path"], 0), row["pass_number"])
    for row in rows:
        step = next((found[each] for each in (*enclosing(row["path"]), row["path"]) if each in found), None)
        if step is None or row["pass_number"] < newest[row["path"]]:
            continue
        step.calls += row["n"]
        step.cost += row["sum"] or Decimal(0)
        step.unpriced += row["unknown"]
        if row["kind"] == "tool" and row["done"] and row["target"] in writing:
            step.wrote.add(row["target"])
    return list(found.values())
