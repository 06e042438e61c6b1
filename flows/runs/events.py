"""The events of a run as a page lists them: the newest first, older ones on demand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flows.access.masking import mask_of
from flows.engine.masking import Mask
from flows.models import Event, Run

PAGE = 200

PROBLEMS = ("call.failed", "step.failed", "step.retrying", "handler.failed", "run.reclaimed")
TYPES = {
    "run.created": "Run created",
    "run.started": "Run started",
    "run.continued": "Run taken up again",
    "run.reclaimed": "Run taken over from a dead worker",
    "run.parked": "Run parked",
    "run.cancel_requested": "Cancellation asked for",
    "run.paused": "Run paused",
    "run.resumed": "Run resumed",
    "run.ended": "Run ended",
    "pass.started": "Another pass",
    "step.started": "Step started",
    "step.opened": "Step opened",
    "step.round": "Round ended",
    "step.waiting": "Step waits",
    "step.retrying": "Step will be tried again",
    "step.succeeded": "Step succeeded",
    "step.failed": "Step failed",
    "step.skipped": "Step skipped",
    "step.passed_over": "Somebody skips the step",
    "step.edited": "Input of the step edited",
    "handler.opened": "Error handler begins",
    "handler.succeeded": "Error handler ended",
    "handler.failed": "Error handler failed",
    "call.started": "Call started",
    "call.failed": "Call failed",
    "call.waiting": "Call waits",
    "call.adopted": "Result of an earlier call found",
    "run.limits_raised": "Limits raised",
    "run.saving": "Only cheaper models from now on",
    "request.asked": "Asked at a limit",
    "request.voted": "Vote",
    "request.answered": "Request answered",
    "request.escalated": "Request escalated",
    "request.withdrawn": "Request withdrawn",
    "event.delivered": "Event delivered",
}
"""What each type of event is called; one that is not here is called by its name."""

UNSAID = frozenset({"call", "request", "run_state", "payload_hash"})


@dataclass(frozen=True, slots=True)
class EventLine:
    event: Event
    title: str
    words: str

    @property
    def bad(self) -> bool:
        return self.event.type in PROBLEMS


@dataclass(frozen=True, slots=True)
class EventPage:
    """`older` is the number of the oldest event shown where there are older ones."""

    lines: list[EventLine]
    older: int | None


def events_before(
    run: Run, before: int | None, types: Iterable[str], problems: bool, pass_number: int | None = None
) -> EventPage:
    """The newest events in front of number `before`, the newest first: one query."""
    events = Event.objects.filter(run=run)
    if pass_number is not None:
        events = events.filter(pass_number=pass_number)
    if before is not None:
        events = events.filter(seq__lt=before)
    chosen = set(types) | (set(PROBLEMS) if problems else set())
    if chosen:
        events = events.filter(type__in=chosen)
    mask = mask_of(run)
    found = list(events.order_by("-seq")[: PAGE + 1])
    lines = [EventLine(event, TYPES.get(event.type, event.type), _words(event, mask)) for event in found[:PAGE]]
    return EventPage(lines, found[PAGE - 1].seq if len(found) > PAGE else None)


def _words(event: Event, mask: Mask) -> str:
    """What the event's data say, in one line."""
    data: Any = mask.read(event.data or None)
    if not isinstance(data, dict):
        return "" if data is None else str(data)[:300]
    if isinstance(data.get("error"), dict):
        data = {**data, **data.pop("error")}
    said = [f"{name.replace('_', ' ')} {_short(value)}" for name, value in data.items() if name not in UNSAID and _short(value)]
    return " · ".join(said)[:500]


def _short(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (str, int, float)):
        return str(value)
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    return ""
