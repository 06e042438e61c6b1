"""The planner's memory: a frame for each body that is being run, a task for each step in it.

A frame knows, for every step, how many incoming edges are undecided and whether one was taken, so that finishing a step costs a
look at its successors and nothing else, whatever the size of the flow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flows.engine.graph import Graph, Node
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


class Frame:
    """One run of one graph: the flow's own, or a container's body for one item."""

    __slots__ = ("base", "failure", "graph", "missing", "owner", "position", "prefix", "steps", "taken", "tasks", "unsettled")

    def __init__(self, graph: Graph, prefix: str, base: Mapping[str, Any], outer: Mapping[str, Any], owner: Task | None) -> None:
        self.graph = graph
        self.prefix = prefix
        self.base = base  # the names that do not change while the frame runs
        self.owner = owner  # the container's task
        self.position = 0  # the item's index in the container
        self.steps: dict[str, Any] = dict(outer)
        self.tasks: dict[str, Task] = {}
        self.missing: dict[str, int] = {}
        self.taken: set[str] = set()
        self.unsettled = len(graph.nodes)  # steps that have neither finished nor been skipped
        self.failure: Mapping[str, Any] | None = None  # {step, class, message}: nothing new begins in this frame
        for key, node in graph.nodes.items():
            self.steps[key] = NOTHING
            self.tasks[key] = Task(self, node)
            self.missing[key] = len(node.incoming)

    def names(self, state: Mapping[str, Any], error: Mapping[str, Any] | None) -> dict[str, Any]:
        """The scope of one evaluation."""
        names = {**self.base, "steps": self.steps, "state": state}
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


class Container:
    """A map that is open: its items, the bodies in progress, the results so far."""

    __slots__ = ("collects", "failed", "frames", "items", "limit", "next_index", "results")

    def __init__(self, items: list[Any], limit: int, collects: bool) -> None:
        self.items = items
        self.limit = limit  # bodies that may run at once
        self.collects = collects  # whether an item's error is one of the results, instead of ending the map
        self.next_index = 0
        self.frames: dict[int, Frame] = {}
        self.results: list[Any] = [None] * len(items)
        self.failed: dict[int, Mapping[str, Any]] = {}

    @property
    def stopped(self) -> bool:
        """An item has failed, and no new one begins."""
        return bool(self.failed) and not self.collects

    def room(self, reached: int = -1) -> bool:
        """Whether the next item may begin. One up to `reached` has begun already, whatever the limit."""
        return self.next_index < len(self.items) and (len(self.frames) < self.limit or self.next_index <= reached)


def tasks_below(frame: Frame) -> Iterator[Task]:
    """Every task of the frame and of the bodies that run inside it."""
    for task in frame.tasks.values():
        yield task
        if task.container is not None:
            for inner in task.container.frames.values():
                yield from tasks_below(inner)
