"""The next record of one run, while it gathers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from flows.engine.memories import Keep
from flows.execution.context import Ask, Intent, OpenCall, StepContext
from flows.execution.driving.lines import ask_line, note_op, result_op
from flows.execution.journal import Op, Record
from flows.execution.keeping import keep_line


@dataclass(slots=True, eq=False)
class Wish:
    """A call that wants to begin: its line of the record, and who waits for the verdict."""

    context: StepContext
    call: OpenCall
    op: Op
    verdict: asyncio.Future[None]
    reason: str = ""  # cost | tokens: which cap refused it
    alone: bool = False  # refused with nothing in front of it, since something last settled
    sent: bool = False  # its record is on its way: whether the call began is not known yet

    @property
    def intent(self) -> Intent:
        return self.call.intent

    @property
    def size(self) -> tuple[Decimal, int]:
        return self.intent.reserve, self.intent.reserve_tokens

    def fail(self, failure: BaseException) -> None:
        if not self.verdict.done():
            self.verdict.set_exception(failure)


class Sheet:
    """What has happened since the last record was sent, in its order."""

    __slots__ = ("_asks", "_drill", "_hide", "_keeps", "_rows", "_run", "_saves", "_takes", "_withdraws", "ops", "wishes")

    def __init__(self, run: UUID, *, drill: bool, hide: Callable[[str], str]) -> None:
        """`hide` takes out of a title what must not be shown: a title goes into notices, and into logs that are never altered."""
        self._run = run
        self._hide = hide
        self._drill = drill
        self._begin()

    def _begin(self) -> None:
        self.ops: list[Op] = []
        self.wishes: list[Wish] = []  # of `ops`: who waits for their verdict
        self._rows: dict[tuple[str, int], Op] = {}  # of `ops`: those that write an attempt
        self._asks: list[Op] = []
        self._withdraws: list[Op] = []
        self._takes: list[Op] = []
        self._saves: list[Op] = []
        self._keeps: list[Op] = []

    @property
    def empty(self) -> bool:
        return not (self.ops or self._asks or self._withdraws or self._takes)

    def note(self, event: str, path: str, data: dict[str, Any]) -> None:
        """An event that changes nothing by itself."""
        self.ops.append(note_op(event, path, data))

    def result(self, path: str, n: int, kind: str, status: str, event: str, data: Any = None) -> Op:
        """What an attempt has come to; the caller fills in further columns."""
        op = result_op(path, n, kind, status, event, data)
        before = self._rows.get((path, n))
        if before is not None:
            before["op"] = "note"  # one record writes an attempt once: of what it was a moment ago only the event remains
        self._rows[path, n] = op
        self.ops.append(op)
        return op

    def wish(self, wish: Wish) -> None:
        """A call that is to begin once the record has been accepted."""
        self.wishes.append(wish)
        self.ops.append(wish.op)

    def ask(self, path: str, ask: Ask) -> dict[str, Any]:
        """A question to people; gives what its event says. What a drill asks is nobody's to answer."""
        if self._drill:
            ask = replace(ask, kind="test")
        line, data = ask_line(self._run, path, replace(ask, title=self._hide(ask.title)))
        self._asks.append(line)
        return data

    def withdraw(self, path: str | None) -> None:
        """The open questions of this path, or of the whole run, are not wanted any more."""
        self._withdraws.append({"run": self._run, "path": path})

    def take(self, delivery: UUID, path: str) -> None:
        """The event that was delivered is what the step at `path` waited for."""
        self._takes.append({"id": delivery, "path": path})

    def save(self) -> None:
        """From now on only cheaper candidates: kept with the run, so that it holds after a restart, too."""
        self._saves.append({"run": self._run})

    def keep(self, path: str, keep: Keep) -> None:
        """A name of a memory holds this once the record has been accepted."""
        self._keeps.append(keep_line(self._run, path, keep))

    def forget_broken_off(self) -> None:
        """Calls whose step was broken off before their intent was sent do not begin at all."""
        gone = {id(wish.op) for wish in self.wishes if wish.verdict.cancelled()}
        if gone:
            self.wishes = [wish for wish in self.wishes if id(wish.op) not in gone]
            self.ops = [op for op in self.ops if id(op) not in gone]

    def tear_off(self, epoch: int, number: int, signals: int, steps: int) -> tuple[Record, list[Wish]]:
        """The record as it is to be sent, and who waits for its verdict; a new one begins."""
        beside = (self._asks, self._withdraws, self._takes, self._saves, self._keeps)
        record = Record(self._run, epoch, number, signals, steps, self.ops, *beside)
        wishes = self.wishes
        for wish in wishes:
            wish.sent = True
        self._begin()
        return record, wishes
