"""When what happened in a pass: a row a step, a bar an attempt, a thinner one a call, on an axis without the long pauses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Q
from django.utils import timezone

from flows.engine.states import TERMINAL_STATES
from flows.models import Attempt, Call, Run, RunPass
from flows.runs.axis import Axis
from flows.runs.inspection import CALL_STATES, StepInfo
from flows.runs.progress import StepLine

FOLDED_ABOVE = 20  # items or rounds; more share one row
MOST_ROWS = 300
MOST_READ = 4000  # attempts, and calls
LEVELS = 5  # of cost
LEAST = 0.4  # percent: nothing is thinner
WAITING_KINDS = frozenset({"wait", "approval"})
CONTAINERS = frozenset({"map", "loop", "subflow"})
IDLE = frozenset({"wait", "backoff", "around", "queue"})  # stretches in which nothing is carried out by themselves


@dataclass(frozen=True, slots=True)
class Bar:
    """A piece of a row, in percent. `look` is a state, `queue`, `backoff`, or `cost-1` … `cost-5`; `words` are for those who point
    at it."""

    kind: str  # attempt | call | wait | queue | backoff | around (a map, loop or sub-flow)
    look: str
    x: float
    width: float
    state: str
    seconds: float
    cost: Decimal | None = None
    n: int = 0

    @property
    def end(self) -> float:
        return self.x + self.width


@dataclass(slots=True)
class Row:
    """One step, item or round. `folded` is the number of items that share the row."""

    path: str
    name: str
    depth: int = 0
    state: str = ""
    began: datetime | None = None
    seconds: float | None = None
    cost: Decimal = Decimal(0)
    calls: int = 0
    folded: int = 0
    reused: bool = False
    bars: list[Bar] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Timeline:
    """`complete` is False where there are more rows than are shown."""

    axis: Axis | None
    rows: tuple[Row, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class _Stretch:
    path: str
    kind: str
    begin: datetime
    end: datetime
    state: str
    cost: Decimal | None = None
    n: int = 0
    carried: bool = False


def timeline_of(
    run: Run,
    pass_number: int,
    lines: Sequence[StepLine],
    step_at: Callable[[str], StepInfo | None],
    *,
    true_scale: bool = False,
    by_cost: bool = False,
) -> Timeline:
    """The timeline of a pass. `lines` are its top-level steps with their items counted. Four queries, and those of `step_at` for
    what stands inside sub-flows."""
    now = (
        timezone.now()
        if run.status not in TERMINAL_STATES and pass_number == run.pass_number
        else (run.ended_at or timezone.now())
    )
    folded = {line.path: line.items for line in lines if line.items > FOLDED_ABOVE}
    found = [*_attempts(run, pass_number, folded, now), *_calls(run, pass_number, folded, now)]
    asked = run.created_at
    if pass_number > 1:
        asked = RunPass.objects.filter(run=run, number=pass_number).values_list("at", flat=True).first() or asked
    if not found:
        return Timeline(None, (), complete=True)
    begins = min(each.begin for each in found if not each.carried) if any(not each.carried for each in found) else asked
    queue = _Stretch("", "queue", asked, max(begins, asked), "queued")
    every = [queue, *found]
    axis = Axis(
        min(each.begin for each in every),
        max(each.end for each in every),
        [(each.begin, each.end) for each in every if each.kind not in IDLE],
        [(each.begin, each.end) for each in every if each.kind in IDLE - {"around"}],
        true_scale=true_scale,
    )
    dearest = max((each.cost for each in found if each.cost is not None), default=Decimal(0))
    rows = _rows(lines, found, folded, step_at)
    shown = rows[:MOST_ROWS]
    by_path = {row.path: row for row in shown}
    for each in found:
        row = by_path.get(each.path) or next((by_path[path] for path in folded if each.path.startswith(f"{path}[")), None)
        if row is not None:
            row.bars.append(_bar(axis, each, dearest if by_cost else None))
    for row in shown:
        row.bars.sort(key=lambda bar: bar.kind == "call")  # calls are drawn over their attempts
    waited = Row("", "Queued", state="queued", began=asked, seconds=(queue.end - queue.begin).total_seconds())
    waited.bars.append(_bar(axis, queue, None))
    return Timeline(axis, (waited, *shown), complete=len(rows) <= MOST_ROWS and len(found) < MOST_READ)


def _below(folded: Mapping[str, int]) -> Q:
    """What stands inside the steps whose items share a row."""
    condition = Q()
    for path in folded:
        condition |= Q(path__startswith=f"{path}[")
    return condition


def _attempts(run: Run, pass_number: int, folded: Mapping[str, int], now: datetime) -> Iterable[_Stretch]:
    rows = Attempt.objects.filter(run=run, pass_number=pass_number).exclude(status="skipped").order_by("path", "n")
    if folded:
        rows = rows.exclude(_below(folded))
    first = dict[tuple[str, int], datetime]()
    begun = Call.objects.filter(run=run, pass_number=pass_number, n=1)
    begun = begun.exclude(_below(folded)) if folded else begun
    for path, n, began in begun.values_list("path", "attempt", "started_at")[:MOST_READ]:
        first[path, n] = began
    tries = list(rows.values_list("path", "n", "kind", "status", "started_at", "ended_at", "next_at", "carried")[:MOST_READ])
    for at, (path, n, kind, status, started, ended, next_at, carried) in enumerate(tries):
        begin = min(started, first.get((path, n), started))
        end = max(ended or now, begin)
        state = {"open": "running", "failed": "retrying" if next_at is not None else "failed"}.get(status, status)
        if status in {"open", "waiting"} and run.status in TERMINAL_STATES:
            state = "cancelled"
        what = "wait" if kind in WAITING_KINDS or status == "waiting" else "around" if kind in CONTAINERS else "attempt"
        yield _Stretch(path, what, begin, end, state, n=n, carried=carried)
        if status == "failed" and next_at is not None:
            follows = tries[at + 1] if at + 1 < len(tries) and tries[at + 1][0] == path else None
            until = (
                min(follows[4], first.get((path, n + 1), follows[4])) if follows else first.get((path, n + 1), min(next_at, now))
            )
            yield _Stretch(path, "backoff", end, max(until, end), "retrying", n=n)


def _calls(run: Run, pass_number: int, folded: Mapping[str, int], now: datetime) -> Iterable[_Stretch]:
    rows: Any = Call.objects.filter(run=run, pass_number=pass_number).order_by("started_at", "id")
    names = ("path", "attempt", "status", "error_class", "settled", "started_at", "ended_at")
    for path, n, status, error, settled, started, ended in rows.values_list(*names)[:MOST_READ]:
        state = "cancelled" if error == "cancelled" else CALL_STATES.get(status, "running")
        inside = next((each for each in folded if path.startswith(f"{each}[")), None)
        yield _Stretch(inside or path, "call", started, max(ended or now, started), state, settled, n)


def _rows(
    lines: Sequence[StepLine],
    found: Sequence[_Stretch],
    folded: Mapping[str, int],
    step_at: Callable[[str], StepInfo | None],
) -> list[Row]:
    """The top-level steps, and below each what happened inside it, in the order in which it began."""
    inside: dict[str, dict[str, datetime]] = {}
    tops = {line.path for line in lines}
    for each in sorted(found, key=lambda stretch: stretch.begin):
        top = next((path for path in tops if each.path.startswith((f"{path}[", f"{path}/"))), None)
        if top is not None and top not in folded:
            inside.setdefault(top, {}).setdefault(each.path, each.begin)
    figures = _figures(found)
    rows = []
    for line in lines:
        rows.append(
            Row(
                line.path,
                line.name,
                state=line.state,
                began=line.started_at,
                seconds=line.seconds,
                cost=line.cost,
                calls=line.calls,
                folded=folded.get(line.path, 0),
                reused=line.reused_from is not None,
            )
        )
        for path in inside.get(line.path, {}):
            if len(rows) > MOST_ROWS:
                return rows
            info = step_at(path)
            row = Row(path, path if info is None else _name_inside(info), depth=1)
            row.state, row.began, row.seconds, row.cost, row.calls = figures[path]
            rows.append(row)
    return rows


def _name_inside(info: StepInfo) -> str:
    """What a step inside a top-level one is called there: "Item 3 › Assess"."""
    parts = [label.rpartition(" · ")[2] for _, label in info.parents[1:]]
    return " › ".join(part[:1].upper() + part[1:] for part in [*parts, info.label])


def _figures(found: Sequence[_Stretch]) -> dict[str, tuple[str, datetime, float, Decimal, int]]:
    """By path: state, beginning, seconds, cost and number of calls."""
    figures: dict[str, tuple[str, datetime, float, Decimal, int]] = {}
    ends: dict[str, datetime] = {}
    for each in found:
        if each.kind == "backoff":
            continue
        state, began, _, cost, calls = figures.get(each.path, ("", each.begin, 0.0, Decimal(0), 0))
        ends[each.path] = max(ends.get(each.path, each.end), each.end)
        began = min(began, each.begin)
        is_call = each.kind == "call"
        figures[each.path] = (
            state if is_call and state else each.state,
            began,
            (ends[each.path] - began).total_seconds(),
            cost + (each.cost or 0),
            calls + is_call,
        )
    return figures


def _bar(axis: Axis, each: _Stretch, dearest: Decimal | None) -> Bar:
    x = axis.at(each.begin)
    width = max(axis.at(each.end) - x, LEAST)
    look = {"wait": "waiting", "queue": "queue", "backoff": "backoff"}.get(each.kind, each.state)
    if each.kind == "wait" and each.state not in {"waiting", "cancelled", "failed"}:
        look = "waiting"
    if dearest is not None and each.kind in {"attempt", "call", "around"}:
        look = "cost-0" if not each.cost or not dearest else f"cost-{max(int(each.cost * LEVELS / dearest), 1)}"
    return Bar(
        each.kind, look, min(x, 100 - LEAST), width, each.state, (each.end - each.begin).total_seconds(), each.cost, each.n
    )
