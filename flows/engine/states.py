"""The states of runs and requests, and every legal move between the states of a run."""

from __future__ import annotations

TERMINAL_STATES = frozenset({"succeeded", "failed", "cancelled", "budget_stopped"})
"""A run in one of these has ended; only a new pass leaves it."""

PARKED_STATES = frozenset({"waiting_approval", "waiting", "retrying"})
"""Nobody drives the run: it holds no worker, task or connection until something wakes it."""

MOVES: dict[str, frozenset[str]] = {
    "queued": frozenset({"running", "waiting", "cancelled", "failed"}),
    "running": frozenset({"queued"}) | PARKED_STATES | TERMINAL_STATES,
    "waiting_approval": frozenset({"queued", "waiting", "cancelled", "failed"}),
    "waiting": frozenset({"queued", "cancelled", "failed"}),
    "retrying": frozenset({"queued", "waiting", "cancelled", "failed"}),
    "succeeded": frozenset({"queued"}),
    "failed": frozenset({"queued"}),
    "cancelled": frozenset({"queued"}),
    "budget_stopped": frozenset({"queued"}),
}
"""From each state the states that a run may move to; a move from a terminal state begins a new pass."""

RUN_STATES = frozenset(MOVES)

OPEN_REQUEST_STATES = frozenset({"pending", "info_requested"})
"""A request in one of these waits for a person."""

ROLL_UP = (
    "failed",
    "budget_stopped",
    "waiting_approval",
    "retrying",
    "running",
    "waiting",
    "queued",
    "cancelled",
    "succeeded",
    "skipped",
)
"""Which state stands for a group that holds several: the first of these that occurs."""
