"""What the parts of a driver share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from flows.engine.failures import Supposed
from flows.engine.graph import Flow
from flows.engine.masking import Mask, has_marks, hidden_in
from flows.engine.plan import RunFacts
from flows.engine.planner import Planner
from flows.execution.carried import Carried
from flows.execution.claims import ClaimedRun
from flows.execution.context import Past
from flows.execution.driving.sheet import Sheet
from flows.execution.handling import Handling
from flows.execution.jsontext import load
from flows.models.identifiers import shown

if TYPE_CHECKING:
    from flows.execution.worker import Engine


class Desk:
    """One run in memory: its facts, its planner, the record that gathers, and what people decided.

    Whoever changes anything here calls `schedule`, which has the run planned as soon as the loop is free; for what only has to be
    written, `post` is enough.
    """

    __slots__ = (
        "answers",
        "asked",
        "cancelled",
        "carried",
        "dropped",
        "engine",
        "handling",
        "pasts",
        "paused",
        "planner",
        "post",
        "refreshing",
        "repeats",
        "run",
        "schedule",
        "sheet",
        "signals",
        "stopped_by_switch",
    )

    def __init__(
        self, engine: Engine, run: ClaimedRun, flow: Flow, schedule: Callable[[], None], post: Callable[[], None]
    ) -> None:
        self.engine = engine
        self.run = run
        self.schedule = schedule
        self.post = post
        self.planner = _planner(run, flow)
        self.handling = Handling.of(run.handling)
        for path, done in self.handling.given.items():
            self.planner.go_past(path, done)
        for path, failure in self.handling.fails.items():
            self.planner.suppose(path, Supposed(failure["class"], failure["message"]))
        self.sheet = Sheet(run.id, drill=bool(self.handling.drill), hide=functools.partial(_shown, run, flow))
        self.pasts: dict[str, Past] = {}  # by path, of steps that have not come to their end
        self.carried = Carried()
        self.answers: dict[str, str] = {}  # path of a request → hash of the payload as it was decided
        self.repeats: dict[str, int] = {}  # path of a step of unknown outcome → the attempt that people allowed
        self.asked = run.epoch > 1  # whether requests of this run may be open
        self.cancelled = False
        self.paused = run.paused
        self.signals = run.signals  # what is known of: what others did to the run since raises its row's
        self.refreshing = False  # what others did is being read
        self.stopped_by_switch = False  # the kill switch refused a call: nothing more begins here
        self.dropped = False  # nothing of the run is driven here any more

    @property
    def may_begin(self) -> bool:
        """Whether steps may begin: not while what others did to the run is being read, so that no step begins past it."""
        return not (self.engine.draining or self.paused or self.stopped_by_switch or self.refreshing)


def _shown(run: ClaimedRun, flow: Flow, text: str) -> str:
    """The text without what the input's schema marks as secret or personal."""
    return Mask(hidden_in(load(run.input), flow.document.input)).text(text) if has_marks(flow.document.input) else text


def _planner(run: ClaimedRun, flow: Flow) -> Planner:
    facts = {
        "id": shown("run", run.id),
        "number": run.number,
        "flow": run.flow,
        "version": run.version,
        "started_at": run.started_at.isoformat().replace("+00:00", "Z"),
        "key": run.key,
        "tags": run.tags,
        "by": run.by,
    }
    state = dict(flow.document.state or {})
    return Planner(flow, RunFacts(load(run.input), state, facts, run.cap_steps, run.steps, run.at_limit))
