"""How far runs have come, step by step: for the strip of many runs at once, and for the step list and graph of one.

The number of queries does not depend on how many runs, steps or items there are: rows inside maps are counted by the database.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from operator import itemgetter
from typing import Any, Final
from uuid import UUID

from django.db.models import CharField, Count, DateTimeField, DecimalField, F, Func, Max, Min, Q, Sum, Value
from django.db.models.functions import Cast
from django.utils import timezone

from flows.costs.reports import UNPRICED
from flows.engine.document import FlowDocument
from flows.engine.drawing import in_order, label_of
from flows.engine.states import OPEN_REQUEST_STATES, TERMINAL_STATES
from flows.models import Attempt, Call, Request, Run
from flows.runs.documents import documents_of
from flows.runs.reads import value_of

MOST_ROWS = 20_000  # attempts of top-level steps that are read at once


Row = tuple[UUID, int, str, int, str, datetime | None, datetime, datetime | None]
HANDLER: Final = "error"  # the path of the error handler's own row


@dataclass(slots=True)
class StepLine:
    """One step of a run as a list shows it. `cost` is what is known; `counts` are a map's items by state."""

    path: str
    name: str
    kind: str
    state: str = "queued"
    started_at: datetime | None = None
    ended_at: datetime | None = None
    attempts: int = 0
    calls: int = 0
    cost: Decimal = Decimal(0)
    unpriced: int = 0
    simulated: bool = False
    estimated: bool = False
    next_at: datetime | None = None
    counts: dict[str, int] = field(default_factory=dict)
    depth: int = 0
    reused_from: int | None = None  # the pass whose result it has, 0: the run that this one repeats

    @property
    def seconds(self) -> float | None:
        """How long it took, or has taken so far; None before it began."""
        if self.started_at is None or self.state in ("skipped", "queued"):
            return None
        until = self.ended_at or timezone.now()
        return max((until - self.started_at).total_seconds(), 0.0)

    @property
    def since(self) -> datetime | None:
        """When it began, while it goes on."""
        return None if self.ended_at is not None or self.seconds is None else self.started_at

    @property
    def items(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Spent:
    """What the calls of one step cost and when they ran."""

    first: datetime | None
    last: datetime | None
    in_flight: int
    calls: int
    cost: Decimal
    unpriced: int
    simulated: bool
    estimated: bool


def progress_of(runs: Sequence[Run], pass_number: int | None = None) -> dict[UUID, list[StepLine]]:
    """The top-level steps of each run in its newest pass (or in `pass_number`): at most two queries, however many there are."""
    if not runs:
        return {}
    documents = documents_of(run.version_id for run in runs)
    wanted = {run.id: pass_number or run.pass_number for run in runs}
    attempts, spent, asked = _told(wanted)
    lines: dict[UUID, list[StepLine]] = {}
    for run in runs:
        ended = run.status in TERMINAL_STATES or wanted[run.id] < run.pass_number
        document = documents.get(run.version_id)
        if document is None:
            lines[run.id] = []
            continue
        lines[run.id] = [
            _line(
                StepLine(key, label_of(key, document.steps[key].label), document.steps[key].kind),
                attempts.get((run.id, key), []),
                spent.get((run.id, key)),
                (run.id, key) in asked,
                ended,
            )
            for key in in_order(document)
        ]
        lines[run.id] += _handler_lines(run, document, attempts, spent, asked, ended)
        if run.status == "budget_stopped" and wanted[run.id] == run.pass_number:
            _mark_the_limit(run, lines[run.id])
    return lines


def _handler_lines(
    run: Run,
    document: FlowDocument,
    attempts: Mapping[tuple[UUID, str], list[Row]],
    spent: Mapping[tuple[UUID, str], Spent],
    asked: set[tuple[UUID, str]],
    ended: bool,
) -> list[StepLine]:
    """The steps of the flow's error handler, where it has begun."""
    if document.on_error is None or (run.id, HANDLER) not in attempts:
        return []
    lines = []
    for key, step in document.on_error.steps.items():
        path = f"{HANDLER}.{key}"
        line = StepLine(path, label_of(key, step.label), step.kind, depth=1)
        if step.kind != "note":
            lines.append(_line(line, attempts.get((run.id, path), []), spent.get((run.id, path)), (run.id, path) in asked, ended))
    return lines


def _mark_the_limit(run: Run, lines: list[StepLine]) -> None:
    """The step whose next call found no room did not fail by itself: a limit stopped it."""
    error = value_of(run.error)
    step = top_level(str(error.get("step") or "")) if isinstance(error, dict) else ""
    for line in lines:
        if line.path == step and line.state == "failed":
            line.state = "budget_stopped"


TOP_LEVEL = Q(path__regex=r"^(error\.)?[a-z0-9_]+$")


def top_level(path: str) -> str:
    """The step of the flow itself that a path is, or is inside of; of its error handler with ``error.`` before it."""
    handler = "error." if path.startswith("error.") else ""
    return handler + _INSIDE.split(path[len(handler) :], maxsplit=1)[0]


_INSIDE = re.compile(r"[\[/.]")


class TopLevel(Func):
    """`top_level` of a path, in the database."""

    function = "substring"
    output_field = CharField()

    def __init__(self, path: str) -> None:
        super().__init__(F(path), Value(r"^(?:error\.)?[a-z0-9_]+"))


Steps = tuple[dict[tuple[UUID, str], list[Row]], dict[tuple[UUID, str], Spent], set[tuple[UUID, str]]]


def _told(wanted: Mapping[UUID, int]) -> Steps:
    """The attempts of each step, what its calls cost, and the steps that wait for an answer: one query."""
    made: Any = Call.objects.filter(run_id__in=wanted).annotate(step=TopLevel("path")).order_by()
    calls = made.values("run_id", "pass_number", "step").annotate(**sums(), what=Value("calls"), nth=Value(0), again=NEVER)
    still: Any = (
        Request.objects.filter(run_id__in=wanted, state__in=OPEN_REQUEST_STATES).annotate(step=TopLevel("path")).order_by()
    )
    asking = {"first": NEVER, "last": NEVER, "what": Value("asked"), "nth": Value(0), "again": NEVER}
    requests = still.values("run_id", "pass_number", "step").annotate(**NOTHING_SPENT, **asking)
    tries: Any = Attempt.objects.filter(TOP_LEVEL, run_id__in=wanted).order_by("run_id", "path", "n").annotate(**NOTHING_SPENT)
    tried = {"step": "path", "first": "started_at", "last": "ended_at", "what": "status", "nth": "n", "again": "next_at"}
    tries = tries.annotate(**{name: F(column) for name, column in tried.items()})
    names = ("run_id", "pass_number", "step", "first", "last", "in_flight", "calls", "cost", "unpriced", "sim", "guessed")
    rows = (each.values_list(*names, "what", "nth", "again") for each in (calls, requests, tries[:MOST_ROWS]))
    attempts: dict[tuple[UUID, str], list[Row]] = {}
    spent, asked = {}, set()
    for run, number, step, first, last, in_flight, n, cost, unpriced, sim, guessed, what, nth, again in next(rows).union(
        *rows, all=True
    ):
        if number != wanted[run]:
            continue
        if what == "calls":
            spent[run, step] = Spent(first, last, in_flight, n, cost or Decimal(0), unpriced, bool(sim), bool(guessed))
        elif what == "asked":
            asked.add((run, step or ""))
        else:
            attempts.setdefault((run, step), []).append((run, number, step, nth, what, again, first, last))
    for each in attempts.values():
        each.sort(key=itemgetter(3))
    return attempts, spent, asked


def sums() -> dict[str, Any]:
    """What is added up over the calls of a step."""
    return {
        "first": Min("started_at"),
        "last": Max("ended_at"),
        "in_flight": Count("id", filter=Q(status="started")),
        "calls": Count("id"),
        "cost": Sum("settled"),
        "unpriced": Count("id", filter=UNPRICED),
        "sim": Count("id", filter=Q(simulated=True)),
        "guessed": Count("id", filter=Q(usage_source="estimated", settled__gt=0)),
    }


NEVER: Final = Cast(Value(None), DateTimeField())
NOTHING_SPENT: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("in_flight", "calls", "unpriced", "sim", "guessed"), Value(0)),
    "cost": Value(None, DecimalField()),
}


def _line(line: StepLine, attempts: list[Row], spent: Spent | None, asked: bool, ended: bool) -> StepLine:
    """Fills in how far the step has come."""
    if spent is not None:
        line.calls, line.cost, line.unpriced = spent.calls, spent.cost, spent.unpriced
        line.simulated, line.estimated = spent.simulated, spent.estimated
    newest = attempts[-1] if attempts else None
    in_flight = bool(spent is not None and spent.in_flight)
    begun = newest is not None or spent is not None
    line.state = (
        state_of(newest[4] if newest else None, newest[5] if newest else None, in_flight, asked, ended)
        if begun
        else ("skipped" if ended else "queued")
    )
    line.attempts = max((row[3] for row in attempts), default=1 if spent else 0)
    starts = [row[6] for row in attempts] + ([spent.first] if spent is not None and spent.first is not None else [])
    line.started_at = min(starts, default=None)
    if newest is not None and newest[7] is not None and line.state in ("succeeded", "failed", "skipped", "cancelled"):
        line.ended_at = newest[7]
    elif line.state in TERMINAL_STATES:
        line.ended_at = (spent.last if spent is not None else None) or line.started_at
    line.next_at = newest[5] if newest is not None and line.state in ("retrying", "waiting") else None
    return line


def state_of(newest: str | None, next_at: datetime | None, in_flight: bool, asked: bool, ended: bool) -> str:
    """A step's state from its newest attempt's, in the words of runs, `skipped` beside them. It has begun."""
    if newest in ("succeeded", "skipped"):
        return newest
    if newest == "failed" and (next_at is None or ended):
        return "running" if in_flight and not ended else "failed"
    if ended:
        return "cancelled"
    if asked:
        return "waiting_approval"
    if in_flight:
        return "running"
    return {"failed": "retrying", "waiting": "waiting"}.get(newest or "", "running")


def steps_below(run: Run, pass_number: int, prefix: str, names: Mapping[str, tuple[str, str]]) -> list[StepLine]:
    """The steps directly below an item (`prefix` is ``rate[3].``), by `names` key → (label, kind); three queries."""
    paths = {f"{prefix}{key}": key for key in names}
    attempts: dict[str, list[Row]] = {}
    rows = Attempt.objects.filter(run=run, pass_number=pass_number, path__in=paths).order_by("n")
    for row in rows.values_list("run_id", "pass_number", "path", "n", "status", "next_at", "started_at", "ended_at"):
        attempts.setdefault(row[2], []).append(row)
    names_of = ("path", "first", "last", "in_flight", "calls", "cost", "unpriced", "sim", "guessed")
    calls = Call.objects.filter(run=run, pass_number=pass_number, path__in=paths).values("path").annotate(**sums())
    spent = {
        path: Spent(first, last, in_flight, count, cost or Decimal(0), unpriced, bool(sim), bool(guessed))
        for path, first, last, in_flight, count, cost, unpriced, sim, guessed in calls.values_list(*names_of)
    }
    asked = set(Request.objects.filter(run=run, path__in=paths, state__in=OPEN_REQUEST_STATES).values_list("path", flat=True))
    ended = run.status in TERMINAL_STATES or pass_number < run.pass_number
    return [
        _line(StepLine(path, *names[key]), attempts.get(path, []), spent.get(path), path in asked, ended)
        for path, key in paths.items()
    ]
