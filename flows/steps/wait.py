"""Waits for a while, until a time, or for an event from outside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from flows.engine.durations import Duration, parse_duration
from flows.engine.failures import ExpressionFailed
from flows.engine.kinds import Done, Fault, Role, Settings, Surroundings
from flows.engine.markers import TemplateText
from flows.execution.context import StepContext, Waiting, WorkKind


class WaitSettings(Settings):
    """One of `for` (a duration), `until` (an RFC 3339 time) and `event` (a name); `timeout` bounds the wait for an event."""

    for_: TemplateText | None = Field(default=None, alias="for")
    until: TemplateText | None = None
    event: TemplateText | None = Field(default=None, min_length=1)
    timeout: Duration | None = None

    @model_validator(mode="after")
    def _one_of_three(self) -> WaitSettings:
        if sum(value is not None for value in (self.for_, self.until, self.event)) != 1:
            raise PydanticCustomError("wait", "give one of `for`, `until` and `event`")
        return self


class WaitKind(WorkKind):
    slug = "wait"
    label = "Wait"
    icon = "waiting"
    begins_with = {"for": "1h"}
    ports_from = ("done", "timeout")
    role = Role.WAIT
    Settings = WaitSettings

    def ports(self, settings: WaitSettings) -> frozenset[str]:
        return frozenset({"done", "timeout"})

    def faults(self, settings: WaitSettings, around: Surroundings) -> Iterable[Fault]:
        if settings.for_ is not None and "{{" not in settings.for_:
            try:
                parse_duration(settings.for_)
            except ValueError as error:
                yield Fault(("for",), str(error))
        if settings.until is not None and "{{" not in settings.until:
            try:
                zone = datetime.fromisoformat(settings.until).tzinfo
            except ValueError:
                zone = None
            if zone is None:
                yield Fault(
                    ("until",), f"`{settings.until[:40]}` is not a time with its zone", "Write one like 2030-01-31T09:00:00Z."
                )
        if settings.timeout is not None and settings.event is None:
            yield Fault(("timeout",), "`timeout` belongs to a wait for an event", "Remove it.")

    async def perform(self, context: StepContext) -> Waiting | Done:
        """Says what it waits for; in a test that does not wait, it is there at once.

        Raises `ExpressionFailed` where that is no duration or time."""
        settings: WaitSettings = context.settings
        rendered = context.rendered
        if context.handling.skip_waits:
            return Done()
        try:
            if settings.for_ is not None:
                return Waiting(seconds=parse_duration(str(rendered["for_"])))
            if settings.until is not None:
                return Waiting(until=_time(str(rendered["until"])))
        except ValueError as error:
            raise ExpressionFailed(f"{context.path}: {error}.") from error
        return Waiting(event=str(rendered["event"]), seconds=settings.timeout.seconds if settings.timeout is not None else None)

    def on_time(self, settings: WaitSettings) -> Done:
        return Done(None, "done" if settings.event is None else "timeout")

    def event_name(self, settings: WaitSettings, rendered: Mapping[str, Any]) -> str | None:
        return None if settings.event is None else str(rendered["event"])


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"`{text[:40]}` has no time zone; write one like 2030-01-31T09:00:00Z")
    return at
