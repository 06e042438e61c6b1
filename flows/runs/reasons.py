"""What follows the label of a run's state: who cancelled it, for what it waits and until when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flows.engine.drawing import label_of
from flows.engine.states import TERMINAL_STATES
from flows.models import Event, Run
from flows.runs.courses import place_in_run
from flows.runs.progress import StepLine, top_level
from flows.runs.queueing import standing_of
from flows.runs.reads import value_of

QUESTIONS = {"budget": "asks what to do at its limit", "outcome_unknown": "asks what became of a call"}


@dataclass(frozen=True, slots=True)
class Reason:
    """`words` as they stand behind the state; `until` is when it ends by itself, where it does."""

    words: str = ""
    until: datetime | None = None


def reason_of(run: Run, lines: Sequence[StepLine]) -> Reason:
    """Why the run is in its state; `lines` are its top-level steps. At most four queries."""
    if run.status == "cancelled":
        by = _said_by(run, "run.ended", "run.cancel_requested")
        return Reason(f"by {by}" if by else "")
    if run.status in TERMINAL_STATES:
        return Reason({"timed_out": "timed out", "limited": "limited"}.get(run.reason, ""))
    if run.cancel_requested:
        return Reason("being cancelled")
    if run.paused:
        by = _said_by(run, "run.paused")
        return Reason(f"{'paused' if run.reason == 'paused' else 'being paused'}{f' by {by}' if by else ''}")
    if run.status in ("queued", "running"):
        return Reason(standing_of(run).words)
    if run.reason == "kill_switch":
        return Reason("stopped by the kill switch")
    if run.status == "waiting_approval" and run.reason in QUESTIONS:
        return Reason(QUESTIONS[run.reason])
    return _at_a_step(run, lines)


def _at_a_step(run: Run, lines: Sequence[StepLine]) -> Reason:
    """`run.reason` is the path that is waited for, as far as it fits."""
    line = next((each for each in lines if each.path == top_level(run.reason)), None)
    line = line or next((each for each in lines if each.state == run.status), None)
    if line is None:
        return Reason(until=run.wake_at)
    words = f"at {line.name}"
    if run.status == "waiting":
        event = _last(run, "step.waiting", path=run.reason).get("event")
        words += f", for the event {event}" if event else ""
    elif run.status == "retrying":
        place = place_in_run(run, run.reason)
        words = f"at {line.name if place is None else label_of(place.node.key, place.node.label)}"
        if place is not None and line.path == run.reason:
            words += f", attempt {line.attempts + 1} of {place.node.retry.attempts}"
    return Reason(words, run.wake_at)


def _said_by(run: Run, *types: str) -> str:
    """Who did it, from the newest event of these types that says so."""
    found = Event.objects.filter(run=run, type__in=types).order_by("-seq").values_list("data", flat=True)[:4]
    said = [value_of(text) or {} for text in found]
    return next((str(each["by"]) for each in said if each.get("by")), "")


def _last(run: Run, kind: str, path: str) -> dict[str, Any]:
    newest = Event.objects.filter(run=run, type=kind, path=path).order_by("-seq").values_list("data", flat=True).first()
    found = value_of(newest)
    return found if isinstance(found, dict) else {}
