"""Going past a step."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.masking import mask_of
from flows.access.refusals import Fault, Invalid
from flows.access.rights import Right, require
from flows.engine.canonical import canonical, storable
from flows.engine.paths import Place
from flows.engine.schemas import value_problems
from flows.engine.states import TERMINAL_STATES
from flows.execution.moves import announce, append_event, lock_run, signal
from flows.execution.passes import begin_pass, outcomes_of
from flows.models import Intervention, Run
from flows.runs.actions.cancel_run import RunEnded
from flows.runs.courses import course_of
from flows.runs.stepstates import (
    DecideInstead,
    NotBegun,
    StepBusy,
    StepOver,
    asks_people,
    avoided_approvals,
    place_in,
    refuse_if_changed,
    step_state,
)

LARGEST_OUTPUT = 256 * 1024  # characters of JSON
LONGEST_COMMENT = 1000


def skip_step(
    actor: Actor,
    run: Run,
    path: str,
    *,
    output: Any = None,
    port: str = "done",
    comment: str = "",
    seen: str | None = None,
) -> Run:
    """Lets the run go on as if the step at `path` had given `output` and left by `port`.

    The step must wait, be between two attempts, not have begun in a paused run, or have failed the run: then this begins another
    pass. Nobody goes past people: an approval, a request, or a port that would avoid an approval is refused. `seen` is the step's
    `standing_at` that the person looked at. Raises `NotFound`, `Forbidden`, `Invalid`, `StepChanged`, `DecideInstead`, `StepBusy`,
    `StepOver`, `NotBegun`, `RunEnded`. Gives the run as it is afterwards.
    """
    require(actor, Right.CONTROL_RUNS, run)
    place = place_in(run, path)
    text = _checked(place, output, port, comment)
    with transaction.atomic():
        run = lock_run(run.id)
        refuse_if_changed(run, path, seen)
        if run.status in TERMINAL_STATES:
            _begin_past(run, actor, path)
        else:
            _refuse_unless_skippable(run, path)
            signal(run)
        Intervention.objects.create(
            run=run, pass_number=run.pass_number, path=path, kind="skip", after=text, comment=comment, by=actor.person
        )
        append_event(run, "step.passed_over", path, {"by": actor.name, "door": actor.door, "port": port, "comment": comment})
        data = {"path": path, "port": port, "output": mask_of(run).text(text)[:500], "comment": comment, "pass": run.pass_number}
        record_change(actor, "run.skip", "run", run.public_id, data)
        announce(run)
    return run


def _checked(place: Place, output: Any, port: str, comment: str) -> str:
    if asks_people(place.node):
        raise DecideInstead
    problems = []
    if port not in place.node.ports:
        problems.append(
            Fault("port", f"{port[:60]!r} is no port of {place.path}", f"Choose of: {', '.join(sorted(place.node.ports))}.")
        )
    if len(comment) > LONGEST_COMMENT or "\x00" in comment:
        problems.append(Fault("comment", "cannot be kept", f"Use at most {LONGEST_COMMENT:,} characters of text."))
    text = "null"
    try:
        text = canonical(storable(output))
    except ValueError as error:
        problems.append(Fault("output", str(error)))
    if len(text) > LARGEST_OUTPUT:
        problems.append(Fault("output", f"has {len(text):,} characters", f"At most {LARGEST_OUTPUT:,} fit."))
    schema = place.node.kind.output_schema(place.node.settings)
    if output is not None and schema is not None and not problems:
        problems += [Fault(each.path, each.message, each.mend) for each in value_problems(output, schema, "output")]
    if problems:
        raise Invalid("The step cannot be skipped so.", problems=problems)
    avoided = avoided_approvals(place, port)
    if avoided:
        raise DecideInstead(f"By the port {port!r} the run would go past {', '.join(avoided)}, where people are to decide.")
    return canonical({"output": storable(output), "port": port})


def _refuse_unless_skippable(run: Run, path: str) -> None:
    now = step_state(run, path)
    if now == "asking":
        raise DecideInstead
    if now in {"running", "open"}:
        raise StepBusy
    if now in {"succeeded", "failed", "skipped"}:
        raise StepOver
    if now == "idle" and not run.paused:
        raise NotBegun


def _begin_past(run: Run, actor: Actor, path: str) -> None:
    """Another pass, in which the step that failed the run is gone past."""
    rows, course = outcomes_of(run), course_of(run)
    failed = {row.path for row in rows if row.status == "failed" and row.final}
    if run.status == "succeeded" or path not in failed:
        raise RunEnded(run, "Of a run that has ended only a step that failed it can be skipped.")
    if path not in course.again:
        kept = next(row for row in rows if row.path == path and row.final)
        if kept.id not in course.reopened:
            raise StepOver("The flow has taken care of this step's failure. To do it differently, retry the run from it.")
        course = course_of(run, path)  # a container that failed because of what is inside it: all of it is gone past
    begin_pass(run, actor, course, verb="skip", from_path=path)
