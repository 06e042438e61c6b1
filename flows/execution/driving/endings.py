"""How a run comes to its end before its steps do, and how its driver lets go of it."""

from __future__ import annotations

from collections.abc import Callable

from flows.engine.plan import End
from flows.execution.driving.desk import Desk
from flows.execution.driving.lines import end_op
from flows.execution.driving.purse import Purse
from flows.execution.driving.steps import Steps
from flows.execution.driving.timers import Timers
from flows.execution.jsontext import plain


class Endings:
    """Cancelled, out of time, broken, or somebody else's."""

    __slots__ = ("_desk", "_forget", "_purse", "_steps", "_timers")

    def __init__(self, desk: Desk, purse: Purse, steps: Steps, timers: Timers, forget: Callable[[], None]) -> None:
        self._desk = desk
        self._purse = purse
        self._steps = steps
        self._timers = timers
        self._forget = forget

    # ------------------------------------------------------------------ ends of the run

    def cancel(self) -> None:
        """Begin nothing more, break off what is in flight, and end as cancelled."""
        desk = self._desk
        if not desk.cancelled:
            desk.cancelled = True
            desk.planner.stopping = ("cancelled", "cancelled_by")
            self._break_off()
            desk.schedule()

    def cancel_instead(self) -> None:
        """The run was cancelled while its end was on its way: it ends as cancelled."""
        self._desk.cancelled = True
        self.write(End("cancelled", "cancelled_by"))

    def time_out(self) -> None:
        """The run's deadline has come: nothing more begins, and what is in flight is broken off."""
        if not self._desk.dropped:
            self.stop_for_time()
            self._break_off()
            self._desk.schedule()

    def stop_for_time(self) -> None:
        """Begin nothing more; what is in flight comes home."""
        if self._desk.run.at_limit == "finish":
            self._desk.planner.stop("succeeded", "limited", otherwise="timed_out")
        else:
            self._desk.planner.stop("failed", "timed_out")

    def break_down(self, error: BaseException) -> bool:
        """What happened cannot be recorded: the run fails with what PostgreSQL said. False where it has failed so already."""
        planner = self._desk.planner
        if planner.root.failure is not None and planner.root.failure["class"] == "internal":
            return False
        message = f"What happened could not be recorded: {error}"
        planner.ended = False  # where the end was part of the record, there is another one now
        planner.root.failure = {"step": "", "class": "internal", "message": plain(message, 500)}
        planner.stop("failed", "internal")  # without an error handler: what it writes would be refused as well
        self._steps.break_off()
        return True

    def write(self, end: End) -> None:
        """The run's end, as part of the next record."""
        desk = self._desk
        desk.sheet.ops.append(end_op(end))
        if desk.asked:
            desk.sheet.withdraw(None)

    def watch_deadline(self) -> None:
        """Ends the run when its time is over, as its row says by now."""
        self._timers.set_deadline(self._desk.run.seconds_left, self.time_out)

    def _break_off(self) -> None:
        self._purse.refused = []
        self._steps.break_off()

    # ------------------------------------------------------------------ letting go

    def leave(self) -> None:
        """The run has ended, or rests in the database: nothing of it is needed here."""
        self._desk.dropped = True
        self._timers.stop()
        self._forget()

    def drop(self) -> None:
        """Somebody else drives the run, or will: forget everything, write nothing."""
        self._desk.engine.permits.let_go(self._desk.run.id)
        self.leave()
        self._steps.break_off()
