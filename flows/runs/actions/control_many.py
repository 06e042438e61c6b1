"""One verb for many runs: each by itself, with a row of its own in the audit log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from django.db import transaction

from flows.access.actor import Actor
from flows.access.refusals import Fault, Invalid, Refusal
from flows.access.rights import Right, require, require_scope
from flows.engine.states import TERMINAL_STATES
from flows.models import Run
from flows.runs.actions.cancel_run import RunEnded, cancel_run
from flows.runs.actions.pause_run import NotPaused, pause_run, resume_run
from flows.runs.actions.repeat_run import repeat_run
from flows.runs.actions.retry_run import course_from, retry_run
from flows.runs.actions.start_run import refuse_start

MOST = 500  # runs at once


@dataclass(frozen=True, slots=True)
class Line:
    """What becomes of one run. `refusal` says why it is not eligible; None where it is."""

    run: Run
    refusal: Refusal | None = None


VERBS: Mapping[str, Callable[[Actor, Run], Run]] = {
    "retry": retry_run,
    "cancel": cancel_run,
    "pause": pause_run,
    "resume": resume_run,
    "repeat": repeat_run,
}


def preview_many(actor: Actor, verb: str, runs: Iterable[Run]) -> list[Line]:
    """Which of the runs the verb would act on, and why not on the others. Changes nothing. Raises `Invalid`, `Forbidden`."""
    require_scope(actor, Right.CONTROL_RUNS)
    _checked(verb)
    return [Line(run, _why_not(actor, verb, run)) for run in _bounded(runs)]


def control_many(actor: Actor, verb: str, runs: Iterable[Run], *, key: str | None = None) -> list[Line]:
    """Does the verb to each of the runs that it can be done to. Each is a transaction of its own. With the same `key` a repetition
    gives the same runs. Raises `Invalid`, `Forbidden`."""
    require_scope(actor, Right.CONTROL_RUNS)
    act = _checked(verb)
    if verb == "repeat" and key is not None:
        return [_one(actor, partial(repeat_run, key=f"{key}-{run.id.hex}"), run) for run in _bounded(runs)]
    return [_one(actor, act, run) for run in _bounded(runs)]


def control_one(actor: Actor, verb: str, run: Run, *, key: str) -> Line:
    """Does the verb to one run of many, as `control_many` does."""
    act = partial(repeat_run, key=f"{key}-{run.id.hex}") if verb == "repeat" else _checked(verb)
    return _one(actor, act, run)


def _one(actor: Actor, act: Callable[[Actor, Run], Run], run: Run) -> Line:
    try:
        with transaction.atomic():
            return Line(act(actor, run))
    except Refusal as refusal:
        return Line(run, refusal)


def _checked(verb: str) -> Callable[[Actor, Run], Run]:
    if verb not in VERBS:
        raise Invalid(
            "There is no such verb.", problems=[Fault("verb", f"{verb[:40]!r} is unknown", f"Choose of: {', '.join(VERBS)}.")]
        )
    return VERBS[verb]


def _bounded(runs: Iterable[Run]) -> list[Run]:
    chosen = list(runs)
    if len(chosen) > MOST:
        raise Invalid("These are too many runs.", problems=[Fault("runs", f"are {len(chosen):,}", f"At most {MOST} at once.")])
    return chosen


def _why_not(actor: Actor, verb: str, run: Run) -> Refusal | None:
    try:
        require(actor, Right.CONTROL_RUNS, run)
        if verb == "retry":
            course_from(run, None)
        elif verb == "repeat":
            refuse_start(run.flow)
        elif run.status in TERMINAL_STATES and not (verb == "cancel" and run.status == "cancelled"):
            raise RunEnded(run)
        elif verb == "resume" and not run.paused:
            raise NotPaused
    except Refusal as refusal:
        return refusal
    return None
