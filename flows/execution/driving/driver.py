"""One run in memory: asks the planner what comes next, has it carried out, and hands what happened to the writer.

At most one record of a run is on its way at a time. What happens meanwhile gathers and is planned together when the verdict is
there, so nothing begins before that on which it depends is stored. Everything here runs on the engine's loop; nothing here waits.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from flows.engine.failures import Failure, TooDear, UnknownOutcome
from flows.engine.graph import Flow
from flows.engine.kinds import Done
from flows.engine.plan import Begin, Child, Decision, End, Handle, Record, Retry, Withdraw
from flows.execution.claims import ClaimedRun, Journal
from flows.execution.context import ONCE, Enter, Waiting
from flows.execution.driving.allowances import Allowances
from flows.execution.driving.bounds import Bounds
from flows.execution.driving.calls import Calls
from flows.execution.driving.desk import Desk
from flows.execution.driving.endings import Endings
from flows.execution.driving.inside import Inside
from flows.execution.driving.lines import handle_op
from flows.execution.driving.news import News
from flows.execution.driving.purse import HeldBack, Purse
from flows.execution.driving.recording import write_end_of_step, write_opening, write_retry, write_withdrawal
from flows.execution.driving.resting import Resting
from flows.execution.driving.reviving import revive
from flows.execution.driving.sending import Sending
from flows.execution.driving.steps import Result, Steps
from flows.execution.driving.timers import Timers
from flows.execution.driving.waits import Waits

if TYPE_CHECKING:
    from flows.execution.worker import Engine

log = logging.getLogger(__name__)

MOST_CLAIMS = 3
"""Claims in a row without a finished step, after which the run fails instead of killing another worker."""


class Driver:
    """The owner of one run while it holds its epoch."""

    __slots__ = (
        "_bounds",
        "_broken_off",
        "_calls",
        "_endings",
        "_news",
        "_purse",
        "_resting",
        "_scheduled",
        "_sending",
        "_sends_soon",
        "_timers",
        "_waits",
        "desk",
        "run",
        "steps",
    )

    def __init__(self, engine: Engine, run: ClaimedRun, flow: Flow) -> None:
        self.run = run
        self.desk = desk = Desk(engine, run, flow, self.look, self.post)
        self._scheduled = self._sends_soon = False
        self._broken_off: list[str] = []  # steps that were begun and may not have been; begun anew once they may
        self._timers = timers = Timers(engine.loop, self._look_at_times)
        self._purse = purse = Purse(desk, Allowances(desk.planner), run.saving)
        self._calls = calls = Calls(desk, purse)
        self.steps = steps = Steps(desk, calls)
        self._waits = waits = Waits(desk, timers)
        self._bounds = bounds = Bounds(desk, purse, steps, waits)
        self._resting = Resting(desk, purse, steps, timers, waits, bounds)
        self._endings = endings = Endings(desk, purse, steps, timers, self._forget)
        self._news = News(desk, purse, calls, steps, timers, waits, endings)
        self._sending = Sending(desk, purse, steps, endings, self._news)

    # ------------------------------------------------------------------ for the engine

    def start(
        self,
        journal: Journal | None,
        children: Mapping[str, Child] | None = None,
        inside: Mapping[str, Inside] | None = None,
    ) -> None:
        """Take the run up where its journal ends. `children` are the flows of its open sub-flows, by version; `inside` is what an
        earlier owner did in those steps that have limits or times, by path."""
        if journal is not None:
            revive(self.desk, self._timers, journal, children or {}, inside or {})
            self._purse.allowances.remember(inside or {})
            self._news.heed(journal.carried)
            self._news.hear(journal.requests)
            self._waits.deliver(journal.deliveries)
            self._bounds.take_up(inside or {})
        if self.run.claims > MOST_CLAIMS:
            self._give_up()
        if self.run.cancel_requested:
            self._endings.cancel()
        elif self.run.seconds_left is not None and self.run.seconds_left <= 0:
            self._endings.stop_for_time()  # at once: a timer would come after the run has been parked again
        else:
            self._endings.watch_deadline()
        self._waits.look_at_times()
        self._bounds.look()
        self.look()

    def hear_of(self, signals: int, cancel: bool) -> None:
        """What the run's row says: where that is news, find out what changed."""
        self._news.hear_of(signals, cancel)

    def look(self) -> None:
        """Plan as soon as the loop is free, and no record is on its way. What the steps that begin now have to say comes into the
        same record."""
        if self._sending.outstanding:
            self._sending.look_after = True
        elif not (self._scheduled or self.desk.dropped):
            self._scheduled = True
            self.desk.engine.loop.call_soon(self._turn)

    def post(self) -> None:
        """Have the sheet sent. Nothing is to be planned for it, so where it is about to be sent that is all."""
        if not self._sends_soon:
            self.look()

    def drop(self) -> None:
        """Somebody else drives the run, or will: forget everything, write nothing."""
        self._endings.drop()

    # ------------------------------------------------------------------ one turn

    def _turn(self) -> None:
        self._scheduled = False
        if self.desk.dropped:
            return
        if self._sending.outstanding:
            self._sending.look_after = True
            return
        try:
            self._plan()
        except Exception:  # the worker's edge: claimed again, and failed after three times, instead of being stuck in memory
            log.exception("run %s could not be planned", self.run.id)
            self.drop()
            return
        # The tasks that were just made take their first steps before this comes round: their intents ride along. What else happens
        # until then is planned after it, so nothing may keep `look` from another turn.
        self._sends_soon = True
        self.desk.engine.loop.call_soon(self._send)

    def _plan(self) -> None:
        desk, planner = self.desk, self.desk.planner
        results = self.steps.take_results()
        for result in results:
            self._take_in(result)
        if results:
            for wish in self._purse.again():
                desk.sheet.wish(wish)
        if self._broken_off and desk.may_begin:  # a run that was paused, and resumed before it came to rest
            planner.take_up(self._broken_off)
            self._broken_off = []
        for decision in planner.decide(begin=desk.may_begin):
            self._carry_out(decision)
        if planner.out_of_steps:
            self._purse.out_of_steps()

    def _send(self) -> None:
        desk = self.desk
        self._sends_soon = False
        if self._sending.outstanding or desk.dropped:
            return
        desk.sheet.forget_broken_off()
        self._resting.settle()
        if not desk.sheet.empty:
            self._sending.send()
        elif self.steps.results or (desk.planner.more and desk.may_begin):
            self.look()  # something came home while this was on its way

    # ------------------------------------------------------------------ what steps came to

    def _take_in(self, result: Result) -> None:
        context, outcome = result
        self._calls.write_settled(context)
        path, planner, past = context.path, self.desk.planner, context.past
        if isinstance(outcome, Done):
            self.desk.pasts.pop(path, None)
            planner.succeed(path, outcome)
        elif isinstance(outcome, UnknownOutcome):
            self._waits.ask_what_happened(context, outcome)
        elif isinstance(outcome, Failure):
            if isinstance(outcome, TooDear):
                planner.stop("budget_stopped", outcome.limit)
            repeatable = not (outcome.sent and past.repeat in ONCE)
            past.calls = context.calls
            planner.fail(path, outcome, elapsed=context.elapsed, repeatable=repeatable)
        elif isinstance(outcome, HeldBack):
            past.calls = context.calls - 1  # the last one was not made
            planner.put_back(path, counted=context.attempt > 1 or past.calls > 0)
        elif isinstance(outcome, Waiting):
            self._waits.park(context, outcome)
            self._bounds.watch(path)
        elif isinstance(outcome, Enter):
            self.desk.pasts.pop(path, None)
            planner.enter(path, outcome.child, outcome.given, outcome.within)
        else:
            past.calls = context.calls  # where it is begun anew, its calls are counted on
            planner.abandon(path)
            self._broken_off.append(path)

    # ------------------------------------------------------------------ what the planner decided

    def _carry_out(self, decision: Decision) -> None:
        sheet = self.desk.sheet
        match decision:
            case Begin():
                self.steps.begin(decision)
            case Record(status="open"):
                write_opening(sheet, decision)
                self._bounds.watch(decision.path)
            case Record():
                if decision.done is None:
                    self.desk.pasts.pop(decision.path, None)
                write_end_of_step(sheet, decision)
            case Retry():
                decision = replace(decision, delay=self.desk.handling.back_off(decision.delay))
                write_retry(sheet, decision)
                self._timers.set(decision.path, decision.delay)
            case Withdraw():
                self._waits.forget(decision.path)
                write_withdrawal(sheet, decision)
            case Handle():
                sheet.ops.append(handle_op(decision))
            case End():
                self._endings.write(decision)

    def _look_at_times(self) -> None:
        if not self.desk.dropped:
            self._waits.look_at_times()
            self._bounds.look()
            self.look()

    def _give_up(self) -> None:
        planner = self.desk.planner
        paths = [path for path, past in self.desk.pasts.items() if past.last == "unknown"] or [
            "between two steps" if planner.taken_steps else "before its first step"
        ]
        message = f"The worker died {MOST_CLAIMS} times in step {', '.join(paths)}."
        planner.break_down({"step": paths[0], "class": "worker_died", "message": message})

    def _forget(self) -> None:
        self.desk.engine.forget(self)
