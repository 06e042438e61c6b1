"""The planner's memory: a level for each flow on the way, a frame for each graph that is being run, a task for each step in it.

A frame knows, for every step, how many incoming edges are undecided and whether one was taken, so that finishing a step costs a
look at its successors and nothing else, whatever the size of the flow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flows.engine.containers import Container, SubflowContainer
from flows.engine.document import Limits
from flows.engine.graph import Flow, Graph, Node
from flows.engine.kinds import Done

NOTHING: Mapping[str, Any] = {"output": None, "outcome": None, "payload": None, "error": None}
"""What expressions see of a step that was skipped or has not run."""


class Task:
    """One step of one frame."""

    __slots__ = (
        "container",
        "error",
        "frame",
        "n",
        "names",
        "node",
        "path",
        "rendered",
        "scope_error",
        "status",
        "taken",
    )

    def __init__(self, frame: Frame, node: Node) -> None:
        self.frame = frame
        self.node = node
        self.path = frame.prefix + node.key
        self.status = "idle"  # idle | ready | begun | waiting | retrying | open | succeeded | failed | skipped
        self.n = 1
        self.names: dict[str, Any] | None = None  # the scope at its begin, kept for its later attempts
        self.rendered: Mapping[str, Any] | None = None
        self.error: Mapping[str, Any] | None = None
        self.scope_error: Mapping[str, Any] | None = None  # `error` in expressions, behind an error edge
        self.container: Container | None = None
        self.taken = 0  # steps that have begun inside, where a limit counts them

    @property
    def limits(self) -> Iterator[Limits]:
        """Its own limits, and, of an open sub-flow, those of the other flow."""
        if self.node.limits is not None:
            yield self.node.limits
        if isinstance(self.container, SubflowContainer) and self.container.child.flow.document.limits is not None:
            yield self.container.child.flow.document.limits


class Level:
    """One flow on the way: the run's own, or a sub-flow. Its frames share its state; `flow.document.limits` are its limits."""

    __slots__ = ("depth", "flow", "frame", "handler", "prefix", "slug", "state")

    def __init__(self, flow: Flow, slug: str, prefix: str, depth: int) -> None:
        self.flow = flow
        self.slug = slug
        self.prefix = prefix  # of the paths of its own steps: "" for the run's flow, ``sub/`` for a sub-flow
        self.depth = depth  # how many sub-flows stand around it, itself included
        self.state: Mapping[str, Any] = dict(flow.document.state or {})
        self.frame: Frame | None = None  # of its own steps
        self.handler: Frame | None = None  # of its error handler, once that has begun

    @property
    def handler_path(self) -> str:
        """The path of the error handler's row in the journal."""
        return f"{self.prefix}error"


class Frame:
    """One run of one graph: a flow's own, a container's body for one item or round, or an error handler."""

    __slots__ = (
        "base",
        "counted",
        "failure",
        "graph",
        "handles",
        "level",
        "missing",
        "owner",
        "position",
        "prefix",
        "steps",
        "taken",
        "tasks",
        "unsettled",
    )

    def __init__(
        self, graph: Graph, level: Level, prefix: str, base: Mapping[str, Any], outer: Mapping[str, Any], owner: Task | None
    ) -> None:
        self.graph = graph
        self.level = level
        self.prefix = prefix
        self.base = base  # the names that do not change while the frame runs
        self.owner = owner  # the container's task
        self.counted: tuple[Task, ...] = () if owner is None else owner.frame.counted  # containers around with a limit on steps
        if (
            owner is not None
            and not (owner.container is not None and owner.container.bounds_itself)
            and any(limits.steps is not None for limits in owner.limits)
        ):
            self.counted = (*self.counted, owner)
        self.position = 0  # the item or round in the container, from 0
        self.steps: dict[str, Any] = dict(outer)
        self.tasks: dict[str, Task] = {}
        self.missing: dict[str, int] = {}
        self.taken: set[str] = set()
        self.unsettled = len(graph.nodes)  # steps that have neither finished nor been skipped
        self.failure: Mapping[str, Any] | None = None  # {step, class, message}: nothing new begins in this frame
        self.handles: Mapping[str, Any] | None = None  # the failure that this frame, an error handler, was begun for
        for key, node in graph.nodes.items():
            self.steps[key] = NOTHING
            self.tasks[key] = Task(self, node)
            self.missing[key] = len(node.incoming)

    def names(self, error: Mapping[str, Any] | None) -> dict[str, Any]:
        """The scope of one evaluation."""
        names = {**self.base, "steps": self.steps, "state": self.level.state}
        if error is not None:
            names["error"] = error
        return names

    def publish(self, task: Task, done: Done) -> None:
        """Make a finished step's result visible to expressions."""
        payload = done.output.get("payload") if isinstance(done.output, dict) else None
        self.steps[task.node.key] = {
            "output": done.output,
            "outcome": done.port,
            "payload": payload,
            "error": task.error,
        }


def containers_around(task: Task) -> Iterator[Task]:
    """The open containers that a step stands in, from the innermost."""
    owner = task.frame.owner
    while owner is not None:
        yield owner
        owner = owner.frame.owner


def tasks_below(frame: Frame) -> Iterator[Task]:
    """Every task of the frame and of the bodies that run inside it."""
    for task in frame.tasks.values():
        yield task
        if task.container is not None:
            for inner in task.container.frames.values():
                yield from tasks_below(inner)
