"""What others changed of a run while it is driven: it was paused, cancelled, answered, given more, steered."""

from __future__ import annotations

from flows.execution import claims
from flows.execution.carried import Carried
from flows.execution.claims import RequestRow
from flows.execution.driving.calls import Calls
from flows.execution.driving.desk import Desk
from flows.execution.driving.endings import Endings
from flows.execution.driving.purse import Purse
from flows.execution.driving.steps import Steps
from flows.execution.driving.timers import Timers
from flows.execution.driving.waits import Waits


class News:
    """Reads what changed, and has each part of the driver heed it."""

    __slots__ = ("_calls", "_desk", "_endings", "_purse", "_steps", "_timers", "_waits")

    def __init__(
        self, desk: Desk, purse: Purse, calls: Calls, steps: Steps, timers: Timers, waits: Waits, endings: Endings
    ) -> None:
        self._desk = desk
        self._purse = purse
        self._calls = calls
        self._steps = steps
        self._timers = timers
        self._waits = waits
        self._endings = endings

    def hear_of(self, signals: int, cancel: bool) -> None:
        """What the run's row says: where that is news, find out what changed."""
        if signals != self._desk.signals or (cancel and not self._desk.cancelled):
            self.refresh()

    def refresh(self) -> None:
        """Read the news, unless that is being done."""
        desk = self._desk
        if not (desk.refreshing or desk.dropped):
            desk.refreshing = True
            desk.engine.spawn(self._read())

    async def _read(self) -> None:
        desk = self._desk
        try:
            news, journal = await desk.engine.news_of(desk.run.id)
        finally:
            desk.refreshing = False
        if desk.dropped:
            return
        if news is None:  # the run is another's
            self._endings.drop()
            return
        desk.signals = news.signals
        if news.cancel_requested:
            self._endings.cancel()
        self._heed_limits(news)
        self._heed_pause(news.paused)
        self.heed(journal.carried)
        self.hear(journal.requests)
        self._waits.deliver(journal.deliveries)
        desk.schedule()

    def heed(self, carried: Carried) -> None:
        """What people decided about steps that have not begun."""
        self._desk.carried = carried
        self._desk.planner.edits = carried.inputs
        for path, done in carried.skips.items():
            if self._desk.planner.go_past(path, done):
                self._timers.forget(path)

    def hear(self, requests: list[RequestRow]) -> None:
        """What people were asked, and what they answered."""
        newest = {(request.path, request.kind): request for request in requests}.values()  # the later rounds come last
        self._purse.hear(newest)
        self._desk.planner.begin_again(self._purse.release())
        self._waits.hear(newest)

    def _heed_pause(self, paused: bool) -> None:
        """Begin nothing while the run is paused. Calls in flight finish; what waits for room is begun again later."""
        self._desk.paused = paused
        if paused:
            for path in self._calls.waiting_for_room:
                self._steps.tasks[path].cancel()
            for wish in self._purse.again():
                wish.verdict.cancel()

    def _heed_limits(self, news: claims.News) -> None:
        """Takes up the limits as they are now; what found no room before may try again."""
        run, planner = self._desk.run, self._desk.planner
        run.cap_cost, run.cap_tokens, run.cap_steps, run.at_limit = news.cap_cost, news.cap_tokens, news.cap_steps, news.at_limit
        planner.steps_cap, planner.at_limit = news.cap_steps, news.at_limit
        self._purse.saving = self._purse.saving or news.saving
        if news.seconds_left != run.seconds_left:
            run.seconds_left = news.seconds_left
            self._endings.watch_deadline()
