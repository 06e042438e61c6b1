"""States as people see them: glyph and label, the run strip, ticks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from flows.engine.states import ROLL_UP

register = template.Library()


@dataclass(frozen=True, slots=True)
class Look:
    """The label of a state and the sentence that explains it."""

    label: str
    meaning: str


RUN_LOOKS: Mapping[str, Look] = {
    "queued": Look("Queued", "Accepted; no worker yet"),
    "running": Look("Running", "A worker is executing now"),
    "waiting_approval": Look("Needs approval", "A person must decide"),
    "waiting": Look("Waiting", "Waits for a time, an event, a limit or the end of a pause"),
    "retrying": Look("Retrying", "An attempt failed; the next is scheduled"),
    "succeeded": Look("Succeeded", "Finished as designed"),
    "failed": Look("Failed", "Ended by an error"),
    "cancelled": Look("Cancelled", "Stopped by a person or the API"),
    "skipped": Look("Skipped", "This branch was not taken"),
    "budget_stopped": Look("Stopped by budget", "A limit prevented the next call"),
}
REQUEST_LOOKS: Mapping[str, Look] = {
    "pending": Look("Pending", "Waits for a decision"),
    "info_requested": Look("Question asked", "Waits for an answer before it is decided"),
    "changes_requested": Look("Changes requested", "Goes back to the step; a new revision will come"),
    "approved": Look("Approved", "Decided: yes"),
    "rejected": Look("Rejected", "Decided: no"),
    "expired": Look("Expired", "Nobody decided in time"),
    "withdrawn": Look("Withdrawn", "The run ended before it was decided"),
}
LOOKS = {**RUN_LOOKS, **REQUEST_LOOKS}


@register.filter
def state_label(name: str) -> str:
    """The words for a state."""
    return LOOKS[name].label if name in LOOKS else str(name).replace("_", " ").capitalize()


@register.inclusion_tag("components/state.html")
def state(name: str, reason: str = "", style: str = "") -> dict[str, Any]:
    """A state. `reason` follows the label ("until 11:00"); `style` is empty, ``glyph`` (no words beside it) or ``plain`` (no tint)."""
    return {
        "name": name,
        "label": state_label(name),
        "meaning": LOOKS[name].meaning if name in LOOKS else "",
        "reason": reason,
        "style": style,
    }


@dataclass(frozen=True, slots=True)
class Segment:
    """A step in a strip: its state, how long it took, its name."""

    state: str
    seconds: float = 0.0
    name: str = ""


NOMINAL, LEAST, MOST, HEIGHT = 160.0, 4.0, 40, 12  # pixels, segments, pixels
_BAR = {"failed": (0, 12), "cancelled": (3.5, 5)}  # y and height; all others are (1, 10)
ATTENTION = ("failed", "budget_stopped", "waiting_approval", "retrying", "running", "waiting")


@register.simple_tag
def strip(segments: Iterable[Any], wide: bool = False) -> SafeString:
    """The run strip of `segments` (objects or mappings with `state`, `seconds`, `name`): one bar, a piece a step."""
    steps = [each if isinstance(each, Segment) else _segment(each) for each in segments]
    if not steps:
        return SafeString("")
    return format_html(
        '<svg class="strip{}" width="{}" height="{}" role="img" aria-label="{}" data-testid="strip">{}</svg>',
        " wide" if wide else "",
        int(NOMINAL),
        HEIGHT,
        in_words(steps),
        format_html_join("", "{}", ((each,) for each in _bars(_bucketed(steps)))),
    )


def _segment(each: Any) -> Segment:
    if isinstance(each, Mapping):
        return Segment(str(each["state"]), float(each.get("seconds") or 0), str(each.get("name") or ""))
    return Segment(str(each.state), float(getattr(each, "seconds", 0) or 0), str(getattr(each, "name", "")))


def in_words(steps: list[Segment]) -> str:
    """The strip for those who do not see it: how many succeeded, and where it stands."""
    done = sum(each.state == "succeeded" for each in steps)
    words = f"{done} of {len(steps)} steps succeeded"
    worst = min((each for each in steps if each.state in ATTENTION), key=lambda each: ROLL_UP.index(each.state), default=None)
    return words + (f", {state_label(worst.state)} at {worst.name}" if worst is not None and worst.name else "")


def _bucketed(steps: list[Segment]) -> list[Segment]:
    """At most 40 pieces: neighbours share one, which shows the state that stands for them."""
    if len(steps) <= MOST:
        return steps
    pieces = []
    for _, group in groupby(enumerate(steps), key=lambda pair: pair[0] * MOST // len(steps)):
        bucket = [step for _, step in group]
        pieces.append(Segment(rolled_up([step.state for step in bucket]), sum(step.seconds for step in bucket)))
    return pieces


def rolled_up(states: Iterable[str]) -> str:
    """The state that stands for several."""
    present = set(states)
    return next((each for each in ROLL_UP if each in present), "queued")


def _widths(steps: list[Segment]) -> list[float]:
    """Widths in pixels of the nominal strip: by duration, none under the least."""
    widths = [LEAST] * len(steps)
    spare, total = NOMINAL - LEAST * len(steps), sum(each.seconds for each in steps)
    for at, each in enumerate(steps):
        widths[at] += spare * (each.seconds / total if total > 0 else 1 / len(steps))
    return widths


def _bars(steps: list[Segment]) -> Iterable[SafeString]:
    x = 0.0
    for each, width in zip(steps, _widths(steps), strict=True):
        gap = 1.0 if width <= 6 else 1.5
        y, height = _BAR.get(each.state, (1, 10))
        if each.state == "running" and width > 10:  # open to the right: it goes on
            yield _bar("running", x, width - gap - 6, y, height)
            yield _bar("running", x + width - gap - 5, 1.4, y, height)
            yield _bar("running", x + width - gap - 2, 1.4, y, height)
        elif each.state == "queued":  # only an outline, which stands on its line
            yield _bar("queued", x + 0.5, width - gap - 1, y + 0.5, height - 1)
        else:
            yield _bar(each.state, x, width - gap, y, height)
        x += width


def _bar(name: str, x: float, width: float, y: float, height: float) -> SafeString:
    share = 100 / NOMINAL
    return format_html(
        '<rect class="{}" x="{}%" width="{}%" y="{}" height="{}"/>',
        name,
        f"{x * share:.4g}",
        f"{max(width, 1) * share:.4g}",
        f"{y:g}",
        f"{height:g}",
    )
