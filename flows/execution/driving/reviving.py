"""A run taken up where its journal ends: what happened in its earlier lives, told to the planner in its order."""

from __future__ import annotations

import time
from collections.abc import Mapping

from flows.engine.plan import Child, Entry
from flows.execution.claims import AttemptRow, Journal, OpenPath
from flows.execution.context import Past
from flows.execution.driving.desk import Desk
from flows.execution.driving.inside import Inside
from flows.execution.driving.timers import Timers
from flows.execution.jsontext import load


def revive(desk: Desk, timers: Timers, journal: Journal, children: Mapping[str, Child], inside: Mapping[str, Inside]) -> None:
    """Replays the journal. `children` are the flows of its open sub-flows, by version; `inside` is what was done in containers."""
    now = time.monotonic()
    entries: list[tuple[float, Entry]] = []
    reported: dict[str, int] = {}  # the newest attempt that has an outcome, or waits
    for row in journal.attempts:
        if row.status in {"failed", "waiting"}:
            reported[row.path] = row.n
        entries.append((row.seq, _entry(row)))
        if row.remaining is not None:
            timers.set(row.path, row.remaining)
    for path, open_path in journal.open_paths.items():
        desk.pasts[path] = _past(open_path, now)
        begun = Entry(path, open_path.attempt, "begun")
        entries.append((open_path.seq, begun))
        if path in reported and open_path.attempt > reported[path]:
            entries.append((float("inf"), begun))
    entries.sort(key=lambda pair: pair[0])
    desk.planner.replay((entry for _, entry in entries), children)
    for path, known in inside.items():
        if path in desk.planner.tasks:
            desk.planner.tasks[path].taken = known.steps
    timers.keep(desk.planner.held)
    for path, lost in journal.carried.unknown.items():
        desk.pasts.setdefault(path, Past(last="unknown", repeat=lost.repeat, hash=lost.hash, unresolved=lost.sent))


def _entry(row: AttemptRow) -> Entry:
    return Entry(
        row.path,
        row.n,
        row.status,
        row.port,
        load(row.output),
        load(row.state) or {},
        load(row.error),
        row.remaining,
        load(row.checkpoint),
    )


def _past(path: OpenPath, now: float) -> Past:
    return Past(
        path.n,
        now - path.elapsed,
        path.spent,
        path.tokens,
        path.last,
        path.repeat,
        path.attempt,
        path.hash or "",
        path.unresolved,
    )
