"""Retrying a run: another pass of the same version with the same input."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Conflict
from flows.access.rights import Right, require
from flows.engine.courses import Course
from flows.engine.states import TERMINAL_STATES
from flows.execution.moves import lock_run
from flows.execution.passes import RunGoesOn, begin_pass
from flows.models import Attempt, Call, Run
from flows.runs.courses import course_of, place_in_run


class NothingFailed(Conflict):
    """The run succeeded: no step of it failed. To run a part of it again, say from which step."""

    slug = "nothing-failed"


class NeverRan(Conflict):
    """The step never ran."""

    slug = "never-ran"

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(
            f"The step {path[:200]!r} has not run in this pass, so nothing can be run again from it. Choose one that has."
        )

    def facts(self) -> dict[str, Any]:
        return {"step": self.path}


class PassChanged(Conflict):
    """Another pass was begun meanwhile."""

    slug = "pass-changed"

    def __init__(self, run: Run) -> None:
        self.current = run.pass_number
        super().__init__(f"The run is in pass {run.pass_number} by now. Look at it again before you retry it.")

    def facts(self) -> dict[str, Any]:
        return {"pass": self.current}


def retry_run(actor: Actor, run: Run, from_step: str | None = None, *, seen_pass: int | None = None) -> Run:
    """Begins another pass of a run that has ended: from where it failed, or from the step at the path `from_step`, which must have
    run. What succeeded and is not behind that step is not done again.

    `seen_pass` is the pass that the person looked at: where there is another one by now, nothing happens. Raises `NotFound`,
    `Forbidden`, `RunGoesOn`, `PassChanged`, `NothingFailed`, `NeverRan`. Gives the run as it is afterwards.
    """
    require(actor, Right.CONTROL_RUNS, run)
    with transaction.atomic():
        run = lock_run(run.id)
        if seen_pass is not None and seen_pass != run.pass_number:
            raise PassChanged(run)
        course = course_from(run, from_step)
        begun = begin_pass(run, actor, course, verb="retry", from_path=from_step or "")
        data = {"pass": begun.number, "from_step": from_step, "redone": begun.redone[:100]}
        record_change(actor, "run.retry", "run", run.public_id, data)
    return run


def course_from(run: Run, from_step: str | None) -> Course:
    """What a retry would keep and do again. Raises `RunGoesOn`, `NothingFailed`, `NeverRan`."""
    if run.status not in TERMINAL_STATES:
        raise RunGoesOn(run)
    if from_step is None:
        if run.status == "succeeded":
            raise NothingFailed
    elif place_in_run(run, from_step) is None or not has_run(run, from_step):
        raise NeverRan(from_step)
    return course_of(run, from_step)


def has_run(run: Run, path: str) -> bool:
    """Whether the step at `path` has begun in the run's newest pass: it has an outcome, or it made a call."""
    here = {"run": run, "pass_number": run.pass_number, "path": path}
    return Attempt.objects.filter(**here).exclude(status="skipped").exists() or Call.objects.filter(**here).exists()
