"""The conversation of an agent: its turns in order, what each called and what that gave, in three queries whatever its length.

Of the calls' requests nothing is read: each holds the whole conversation before it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from flows.access.masking import masks_of, tools_of
from flows.engine.masking import Mask
from flows.engine.states import TERMINAL_STATES
from flows.models import Attempt, Call, Request, Run, ToolEntry
from flows.models.identifiers import shown
from flows.runs.progress import state_of
from flows.runs.reads import is_unpriced
from flows.runs.texts import text_so_far

LONGEST = 4_000
"""Characters of one text or result that the page holds; the call's own page has all of it."""

_INSIDE = re.compile(r"turn\[(\d+)\]\.(?:model|(?:call|permission)\[\d+\])")


@dataclass(slots=True)
class ToolLine:
    """One tool call that a turn asked for."""

    tool: str
    arguments: Any
    verdict: str
    why: str
    state: str = "queued"
    result: Any = None
    error: str = ""
    effect: str = ""  # read | write, as the catalogue says now
    seconds: float | None = None
    cost: Decimal | None = None  # dollars, where it is a flow that made calls of its own
    call: Call | None = None
    request: Request | None = None

    @property
    def call_id(self) -> str:
        return shown("call", self.call.id) if self.call is not None else ""


@dataclass(slots=True)
class TurnLine:
    """One turn: what the model said, and what it called."""

    index: int
    text: str = ""
    cut: int = 0  # characters that are not shown
    state: str = "running"
    ended: str = ""
    concluding: str = ""
    summed_up: int = 0  # how many of the first turns were not sent any more from here on
    summary: str = ""  # what was sent in their stead
    error: str = ""
    model: str = ""
    seconds: float | None = None
    cost: Decimal | None = None
    unpriced: bool = False
    simulated: bool = False
    tools: list[ToolLine] = field(default_factory=list)
    writing: str = ""  # the call that is being answered now
    streamed: str = ""

    @property
    def number(self) -> int:
        return self.index + 1


@dataclass(slots=True)
class Conversation:
    """What the agent was asked, and its turns."""

    opening: list[tuple[str, str]] = field(default_factory=list)  # (role, text)
    turns: list[TurnLine] = field(default_factory=list)


def conversation_at(run: Run, pass_number: int, path: str) -> Conversation:
    """The conversation of the agent at this path in one pass."""
    below = f"{path}.turn["
    rows = Attempt.objects.filter(run=run, pass_number=pass_number, path__startswith=below).order_by("path", "n")
    calls = Call.objects.filter(run=run, pass_number=pass_number, path__startswith=below).defer("request", "response")
    requests = Request.objects.filter(run=run, pass_number=pass_number, path__startswith=below).select_related("decided_by")
    newest = {row.path: row for row in rows}
    by_path: dict[str, list[Call]] = {}
    for call in calls.order_by("seq"):
        by_path.setdefault(call.path, []).append(call)
    asked = {each.path: each for each in requests.defer("payload", "show", "answer").order_by("round")}
    ended = run.status in TERMINAL_STATES or pass_number < run.pass_number
    tools = ToolEntry.objects.defer("settings").in_bulk(tools_of([run]))
    mask = masks_of([run], tools)[run.id]
    found = Conversation(_opening(run, pass_number, path, mask))
    for index in sorted({int(match[1]) for each in {*newest, *by_path} if (match := _INSIDE.fullmatch(each[len(path) + 1 :]))}):
        prefix = f"{path}.turn[{index}]."
        found.turns.append(_turn(index, prefix, newest, by_path, asked, ended, mask))
    _add_effects(found, tools)
    return found


def _opening(run: Run, pass_number: int, path: str, mask: Mask) -> list[tuple[str, str]]:
    row = Attempt.objects.filter(run=run, pass_number=pass_number, path=path).order_by("-n").values_list("checkpoint", flat=True)
    opening = (mask.read(row[0]) or {}).get("opening") if row else None
    if not isinstance(opening, dict):
        return []
    said = [("system", opening["system"])] if opening.get("system") else []
    if opening.get("messages"):
        return [*said, *((str(each["role"]), str(each["content"])) for each in opening["messages"])]
    return [*said, ("user", str(opening.get("prompt") or ""))]


def _turn(
    index: int,
    prefix: str,
    newest: dict[str, Attempt],
    by_path: dict[str, list[Call]],
    asked: dict[str, Request],
    ended: bool,
    mask: Mask,
) -> TurnLine:
    path = f"{prefix}model"
    row, calls = newest.get(path), by_path.get(path, [])
    line = TurnLine(index, state=_state(row, calls, False, ended))
    if calls:
        line.model, line.simulated = calls[-1].target, any(call.simulated for call in calls)
        line.cost = sum((call.settled or Decimal(0) for call in calls), Decimal(0))
        line.unpriced = any(is_unpriced(call) for call in calls)
        line.seconds = _seconds(calls[0].started_at, calls[-1].ended_at)
        if calls[-1].status == "started":
            line.writing, line.streamed = shown("call", calls[-1].id), "" if mask else text_so_far(calls[-1].id)
    if row is None:
        return line
    error, record = mask.read(row.error), mask.read(row.output)
    line.error = str(error.get("message", "")) if isinstance(error, dict) else ""
    if isinstance(record, dict):
        text = str(record.get("text") or "")
        line.text, line.cut = text[:LONGEST], max(len(text) - LONGEST, 0)
        line.ended, line.concluding = str(record.get("ended") or ""), str(record.get("concluding") or "")
        summary = record.get("summary") or {}
        line.summed_up, line.summary = int(summary.get("turns") or 0), str(summary.get("text") or "")[:LONGEST]
        line.tools = [
            _tool(call, f"{prefix}call[{number}]", f"{prefix}permission[{number}]", newest, by_path, asked, ended, mask)
            for number, call in enumerate(record.get("calls") or [])
        ]
    return line


def _tool(
    said: dict[str, Any],
    path: str,
    permission: str,
    newest: dict[str, Attempt],
    by_path: dict[str, list[Call]],
    asked: dict[str, Request],
    ended: bool,
    mask: Mask,
) -> ToolLine:
    line = ToolLine(str(said["tool"]), said["arguments"], str(said["verdict"]), str(said.get("why") or ""))
    if line.verdict == "no":
        line.state = "skipped"
        return line
    row, calls = newest.get(path), by_path.get(path, [])
    line.request = asked.get(path) or asked.get(permission)
    waits = line.request is not None and line.request.decided_at is None
    line.state = _state(row, calls, waits, ended) if row is not None or calls or not waits else "waiting_approval"
    if calls:
        line.call = calls[-1]
        line.seconds = _seconds(calls[0].started_at, calls[-1].ended_at)
    within = [call for at, each in by_path.items() if at.startswith(f"{path}/") for call in each]
    if within:
        line.cost = sum((call.settled or Decimal(0) for call in within), Decimal(0))
    if row is not None:
        error = mask.read(row.error)
        line.error = str(error.get("message", "")) if isinstance(error, dict) else ""
        line.result = _shortened(mask.read(row.output))
        if line.call is None:
            line.seconds = _seconds(row.started_at, row.ended_at)
    return line


def _state(row: Attempt | None, calls: list[Call], asked: bool, ended: bool) -> str:
    in_flight = any(call.status == "started" for call in calls)
    if row is None and not calls and not ended:
        return "queued"
    return state_of(row.status if row is not None else None, row.next_at if row is not None else None, in_flight, asked, ended)


def _shortened(value: Any) -> Any:
    return f"{value[:LONGEST]}… ({len(value):,} characters)" if isinstance(value, str) and len(value) > LONGEST else value


def _seconds(began: datetime, ended: datetime | None) -> float | None:
    return (ended - began).total_seconds() if ended is not None else None


def _add_effects(found: Conversation, known: Mapping[str, ToolEntry]) -> None:
    for turn in found.turns:
        for tool in turn.tools:
            tool.effect = known[tool.tool].effect if tool.tool in known else ""
