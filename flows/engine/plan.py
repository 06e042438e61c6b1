"""The vocabulary between planner and driver: what the journal says has happened, and what the planner decides comes next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flows.engine.graph import Flow, Graph, Node
from flows.engine.kinds import Done


@dataclass(frozen=True, slots=True)
class Entry:
    """One fact of the journal, as it is read back after a crash or a wait.

    `status` is an attempt's (open, waiting, succeeded, failed), or ``begun`` for a step whose call was interrupted.
    `remaining` are the seconds until the next attempt or the end of a wait by the database's clock, None where none is set.
    """

    path: str
    n: int
    status: str
    port: str = ""
    output: Any = None
    state: Mapping[str, Any] = field(default_factory=dict)
    error: Mapping[str, Any] | None = None
    remaining: float | None = None
    checkpoint: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a run is given: its input, its initial state, what `run` names in expressions, and how many steps it may take."""

    input: Any
    state: Mapping[str, Any] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)
    steps_cap: int | None = None
    steps_taken: int = 0  # in an earlier life
    at_limit: str = "stop"  # what happens when the steps are used up


@dataclass(frozen=True, slots=True)
class Begin:
    """Carry out this step: an effect, or a wait that is to be asked for."""

    path: str
    n: int  # the attempt, from 1
    node: Node
    graph: Graph  # the one that the step stands in
    rendered: Mapping[str, Any]
    names: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Child:
    """A flow that a sub-flow step runs: the version that was found when the step began, and its identifier."""

    flow: Flow
    slug: str
    number: int
    version: str


@dataclass(frozen=True, slots=True)
class Record:
    """Write this down: a step succeeded, failed for good, was opened (a container) or skipped.

    `checkpoint` is what an open container goes on from: a loop, again after each round, the number of rounds, the last one's output
    and whether `until` was met; a sub-flow, which version it runs on which input.
    """

    path: str
    n: int
    node: Node
    status: str  # succeeded | failed | open | skipped
    done: Done | None = None
    error: Mapping[str, Any] | None = None  # {class, message}
    checkpoint: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """The attempt failed; attempt `n` + 1 begins after `delay` seconds."""

    path: str
    n: int
    node: Node
    delay: float
    error: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Withdraw:
    """What this step waits for is no longer wanted: its branch has failed."""

    path: str
    n: int
    node: Node


@dataclass(frozen=True, slots=True)
class Handle:
    """A flow's error handler begins (`open`, with the error that it is begun for) or has come to its own end: written down at
    `path`, which is ``error`` behind the flow's prefix."""

    path: str
    status: str  # open | succeeded | failed
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class End:
    """The run ends. `error` is ``{step, class, message}`` where it failed."""

    status: str
    reason: str = ""
    output: Any = None
    error: Mapping[str, Any] | None = None


Decision = Begin | Record | Retry | Withdraw | Handle | End
