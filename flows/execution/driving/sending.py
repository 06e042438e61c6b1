"""A run's record on its way: at most one at a time, and what its verdict changes."""

from __future__ import annotations

import functools
import logging

from flows.execution.driving.desk import Desk
from flows.execution.driving.endings import Endings
from flows.execution.driving.lines import never_made
from flows.execution.driving.news import News
from flows.execution.driving.purse import Purse
from flows.execution.driving.sheet import Wish
from flows.execution.driving.steps import Steps
from flows.execution.journal import Record, Verdict
from flows.execution.killswitch import REASON as KILL_SWITCH

log = logging.getLogger(__name__)


class Sending:
    """Hands the sheet to the process's writer and does what the verdict says."""

    __slots__ = ("_desk", "_endings", "_news", "_number", "_purse", "_steps", "look_after", "outstanding")

    def __init__(self, desk: Desk, purse: Purse, steps: Steps, endings: Endings, news: News) -> None:
        self._desk = desk
        self._purse = purse
        self._steps = steps
        self._endings = endings
        self._news = news
        self._number = 0  # of the record that was sent last
        self.outstanding = False  # a record is on its way
        self.look_after = False  # something has happened since it was sent

    def send(self) -> None:
        desk = self._desk
        self._number += 1
        record, wishes = desk.sheet.tear_off(desk.run.epoch, self._number, desk.signals, desk.planner.taken_steps)
        self.outstanding, self.look_after = True, False
        desk.engine.writer.submit(record, functools.partial(self._heard, record, wishes))

    def _heard(self, record: Record, wishes: list[Wish], verdict: Verdict | BaseException) -> None:
        """The record has its verdict: the calls that may begin begin; the run goes on, rests or is let go."""
        self.outstanding = False
        desk, engine = self._desk, self._desk.engine
        if desk.dropped:
            return
        if isinstance(verdict, BaseException):
            self._refused_by_database(record, verdict)
            return
        if verdict.fenced:
            log.warning("run %s: fenced at epoch %s", desk.run.id, desk.run.epoch)
            engine.lease.fenced += 1
            self._endings.drop()
            return
        engine.live.touch(desk.run.id)
        if record.asks or record.withdraws:
            engine.live.inbox()
        self._begin_calls(record, wishes, verdict)
        if verdict.signals is not None or verdict.fate == "signalled":
            self._news.refresh()
        if verdict.fate == "cancelled":
            self._endings.cancel_instead()
        elif verdict.fate == "open":
            log.error("run %s: calls are open that nobody here makes", desk.run.id)
            self._endings.drop()  # claimed again at once, which settles them
            return
        elif verdict.fate is None and record.ops and record.ops[-1]["op"] == "fate":
            self._endings.leave()
            return
        # Else nothing is to be planned before a call that begins now has come home.
        if self.look_after or not desk.sheet.empty or not self._steps.tasks or desk.planner.more:
            desk.schedule()

    def _begin_calls(self, record: Record, wishes: list[Wish], verdict: Verdict) -> None:
        """Tells each call whether it may begin."""
        desk = self._desk
        positions = {id(op): i for i, op in enumerate(record.ops)} if verdict.refused else {}
        alone = True
        for wish in wishes:
            reason = verdict.refused.get(positions[id(wish.op)]) if positions else None
            if reason is None and wish.verdict.cancelled():
                desk.sheet.ops.append(never_made(wish.op))
            elif reason is None:
                self._purse.began(wish.call)
                if not wish.verdict.done():
                    wish.verdict.set_result(None)
            else:
                wish.sent = False
                if wish.verdict.done():
                    desk.engine.budgets.let_go(wish.call.id)
                alone = self._refuse(wish, reason, alone) and alone
        if not desk.sheet.wishes:
            for wish in self._purse.next_alone():
                desk.sheet.wish(wish)

    def _refuse(self, wish: Wish, reason: str, alone: bool) -> bool:
        """The call may not begin. Gives whether what stands behind it is judged without it."""
        if reason in {"cost", "tokens"}:
            self._purse.turn_away(wish, reason, alone=alone)
            return False
        if reason == "again":
            self._desk.sheet.wish(wish)
        elif reason == "deadline":
            self._endings.time_out()
        elif reason in {"paused", "signalled"}:  # begun anew when that is over, or what is new has been read
            wish.verdict.cancel()
            self._news.refresh()
        elif reason == KILL_SWITCH:
            self._desk.stopped_by_switch = True  # the step is begun anew when the run is woken
            wish.verdict.cancel()
        else:
            self._endings.cancel()
        return True

    def _refused_by_database(self, record: Record, error: BaseException) -> None:
        """PostgreSQL takes no such record, alone as it is. The run fails with what it says; its calls are closed without texts."""
        desk = self._desk
        if not self._endings.break_down(error):
            log.error("run %s: its failure could not be recorded: %s", desk.run.id, error)
            self._endings.drop()
            return
        for op in record.ops:
            if op["op"] == "settle":
                desk.sheet.ops.append(op | {"response": None, "error_message": "", "provider_id": ""})
        desk.schedule()
