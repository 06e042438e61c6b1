"""The page of a run: its tabs and the regions that come anew."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from flows.access.querysets import requests_for
from flows.access.refusals import Fault, Invalid
from flows.engine.courses import in_handler
from flows.models import Request
from flows.runs.breakdown import Breakdown, CallPage, breakdown_of, dearest_calls
from flows.runs.events import TYPES, EventPage, events_before
from flows.runs.pages.acts import StepActs, acts_at
from flows.runs.pages.viewing.choices import number_in
from flows.runs.pages.viewing.head import Head
from flows.runs.statehistory import RunState, state_of_run
from flows.runs.timeline import Timeline, timeline_of

REGIONS = ("head", "progress", "inspector", "timeline", "events", "cost", "approvals", "io")


class RunView(Head):
    """A run as one request looks at it. Everything is read when it is first asked for, the run itself before all else: what
    happens meanwhile comes again through the socket, from the number of the run's newest event at that moment on."""

    @cached_property
    def regions(self) -> dict[str, str]:
        """The address of each region with this page's choices; the step is named, so that it stays the same while the run goes
        on."""
        query = self.query.copy()
        if self.info is not None and self.tab == "overview":
            query["step"] = self.info.path
        text = query.urlencode(safe=",:![]")
        root = f"{self.url}/regions"
        return {name: f"{root}/{name}?{text}" if text else f"{root}/{name}" for name in REGIONS}

    @property
    def retry_from(self) -> str:
        """The step that a retry from a step begins with."""
        info = self.info
        return info.path if info is not None and info.item is None and not in_handler(info.path) else ""

    @property
    def step_acts(self) -> StepActs:
        """What is offered at the chosen step; nothing in a pass that is over, nor in an error handler, which runs again only where the flow
        fails again."""
        seen = self.inspected
        if seen is None or seen.line is None or in_handler(seen.info.path) or self.pass_number != self.run.pass_number:
            return StepActs()
        return acts_at(self.actor, self.run, seen.info.kind, seen.line.state)

    @property
    def true_scale(self) -> bool:
        return self.query.get("scale") == "true"

    @property
    def by_cost(self) -> bool:
        return self.may_see_costs and self.query.get("colour") == "cost"

    @cached_property
    def timeline(self) -> Timeline:
        for line in self.counted_lines:
            line.reused_from = self.reused.get(line.path)
        scale = {"true_scale": self.true_scale, "by_cost": self.by_cost}
        return timeline_of(self.run, self.pass_number, self.counted_lines, self.step_at, **scale)

    @cached_property
    def events(self) -> EventPage:
        types = [each for each in ",".join(self.query.getlist("type")).split(",") if each]
        before = self.query.get("before")
        if before is not None and number_in(before) is None:
            raise Invalid("The cursor cannot be used.", problems=[Fault("before", "is no event's number")])
        in_pass = self.pass_number if self.query.get("pass") else None
        return events_before(self.run, number_in(before), types, self.query.get("only") == "problems", in_pass)

    @property
    def kept_names(self) -> tuple[str, ...]:
        """The page's choices beside those of a list in it."""
        return ("tab", "pass", "step", "attempt")

    @property
    def clear_events(self) -> str:
        return self.address(tab="events")

    @cached_property
    def event_fields(self) -> list[dict[str, Any]]:
        return [
            {"name": "type", "label": "Type", "options": list(TYPES.items())},
            {"name": "only", "label": "Show", "options": [("problems", "Problems only")], "many": True},
        ]

    @cached_property
    def breakdown(self) -> Breakdown:
        return breakdown_of(self.run, self.document)

    @cached_property
    def calls(self) -> CallPage:
        return dearest_calls(
            self.run, self.query.get("of", "")[:400], self.query.get("model", "")[:160], self.query.get("after", "")
        )

    @cached_property
    def requests(self) -> list[Request]:
        found = requests_for(self.actor).filter(run=self.run).select_related("decided_by").order_by("-id")
        return list(found.defer("payload", "show", "answer")[:200])

    @cached_property
    def input(self) -> Any:
        return self.mask.read(self.run.input)

    @cached_property
    def output(self) -> Any:
        return self.mask.read(self.run.output)

    @cached_property
    def state(self) -> RunState:
        return state_of_run(self.run, self.pass_number, self.document)
