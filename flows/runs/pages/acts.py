"""What a person may do to a run as it stands, and the words in which the pages offer it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flows.access.actor import Actor
from flows.access.rights import Right
from flows.engine.states import TERMINAL_STATES
from flows.models import Run
from flows.runs.actions.cancel_run import cancel_run
from flows.runs.actions.pause_run import pause_run, resume_run

SHORT_REST = frozenset({"waiting", "retrying"})
"""States of a step in which nobody carries it out, and no person is asked."""


@dataclass(frozen=True, slots=True)
class Act:
    """A verb that takes nothing but a yes. `text` is the sentence of what will happen, `done` that of what has; `doing` where an
    engine still has to act."""

    slug: str
    verb: Callable[[Actor, Run], Run]
    label: str
    icon: str
    text: str
    keep: str
    done: str
    doing: str
    danger: bool = False

    @property
    def address(self) -> str:
        """The name of its page's address."""
        return {"cancel": "run-cancellation", "pause": "run-pause", "resume": "run-resumption"}[self.slug]

    @property
    def operation(self) -> str:
        """The function of the API that does the same."""
        return {"cancel": "post_cancellation", "pause": "post_pause", "resume": "post_resumption"}[self.slug]

    def said(self, run: Run) -> str:
        """What has become of the run."""
        return f"Run #{run.number} {self.done if run.owner is None and not run.open_calls else self.doing}"


ACTS: Mapping[str, Act] = {
    "cancel": Act(
        "cancel",
        cancel_run,
        "Cancel",
        "stop",
        "What is in progress is told to stop and nothing new begins. Open requests are withdrawn. What was already sent cannot be "
        "taken back.",
        "Keep it running",
        "is cancelled.",
        "is being cancelled.",
        danger=True,
    ),
    "pause": Act(
        "pause",
        pause_run,
        "Pause",
        "pause",
        "Nothing new begins until somebody resumes it. Calls in progress finish and are recorded. Decisions and events that come "
        "meanwhile are kept; the run's time goes on counting.",
        "Keep it running",
        "is paused.",
        "is being paused; what is in progress still finishes.",
    ),
    "resume": Act(
        "resume",
        resume_run,
        "Resume",
        "play",
        "It goes on where it stood, with the decisions and events that came meanwhile.",
        "Keep it paused",
        "goes on.",
        "goes on.",
    ),
}


@dataclass(frozen=True, slots=True)
class StepActs:
    """Which verbs are offered at one step."""

    retry: bool = False
    skip: bool = False
    edit: bool = False

    def __bool__(self) -> bool:
        return self.retry or self.skip or self.edit


def acts_on(actor: Actor, run: Run) -> list[Act]:
    """The verbs that the run's state and the actor's rights allow. Pausing and cancelling keep their places while it goes on."""
    if run.status in TERMINAL_STATES or not actor.may(Right.CONTROL_RUNS, run.flow.team_id):
        return []
    if run.cancel_requested:
        return []
    return [ACTS["resume" if run.paused else "pause"], ACTS["cancel"]]


def acts_at(actor: Actor, run: Run, kind: str, state: str) -> StepActs:
    """What is offered at a step of the run's newest pass that is of this kind and in this state. The verbs look closer."""
    if not actor.may(Right.CONTROL_RUNS, run.flow.team_id) or kind == "item":
        return StepActs()
    if run.status in TERMINAL_STATES:
        begun = state not in {"queued", "skipped"}
        passable = run.status != "succeeded" and state in {"failed", "budget_stopped"} and kind != "approval"
        return StepActs(retry=begun, skip=passable)
    if kind == "approval" or run.cancel_requested:
        return StepActs()
    ahead = state == "queued"
    return StepActs(skip=state in SHORT_REST or (ahead and run.paused), edit=state == "retrying" or ahead)
