"""How results travel along edges: every step of a run in memory, what it is doing, and which edges into it are decided.

An edge is pending until its source finishes, then taken or dead. A step with `join: all` is decided when none of its edges is
pending: it runs if one was taken, else it is skipped and its own edges die. With `join: any` it runs once at the first taken edge.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from flows.engine.containers import SubflowContainer
from flows.engine.frames import Frame, Level, Task, tasks_below
from flows.engine.graph import Flow
from flows.engine.plan import Decision, Record, RunFacts


class Walk:
    """The steps of one run and the edges between them."""

    def __init__(self, flow: Flow, facts: RunFacts) -> None:
        self.flow = flow
        self.facts = facts
        self.ended = False
        self.stopping: tuple[str, str] | None = None  # (status, reason): nothing new begins anywhere
        self.tasks: dict[str, Task] = {}
        self.in_flight = 0
        self.held: dict[str, Task] = {}  # waiting or between two attempts
        self.taken_steps = facts.steps_taken
        self._ready: deque[Task] = deque()
        self._leaving: deque[tuple[Task, str | None]] = deque()
        self._decisions: list[Decision] = []
        self._replaying = False
        self.level = Level(flow, str(facts.run.get("flow", "")), "", 0)
        self.level.state = facts.state
        self.levels: dict[str, Level] = {"": self.level}  # by the prefix of their paths
        self.root = Frame(flow.graph, self.level, "", {"input": facts.input, "run": facts.run}, {}, None)
        self.level.frame = self.root
        self._enter(self.root)

    @property
    def state(self) -> Mapping[str, Any]:
        """The state of the run's own flow."""
        return self.level.state

    # ------------------------------------------------------------------ frames

    def _enter(self, frame: Frame) -> None:
        for task in frame.tasks.values():
            self.tasks[task.path] = task
        for key in frame.graph.start:
            self._arrive(frame, key, taken=True, error=None)
        self._settle(frame)

    def _leave(self, frame: Frame) -> None:
        """Forget a body that has ended."""
        for task in tasks_below(frame):
            self.tasks.pop(task.path, None)
            self.held.pop(task.path, None)
            if isinstance(task.container, SubflowContainer):
                self.levels.pop(f"{task.path}/", None)

    def _halted(self, frame: Frame) -> bool:
        if self.stopping is not None:
            return True
        at: Frame | None = frame
        while at is not None:
            if at.failure is not None:
                return True
            at = at.owner.frame if at.owner is not None else None
        return False

    def _settle(self, frame: Frame) -> None:
        """Something has come to rest in the frame: what is around it may have waited for just this."""
        raise NotImplementedError

    # ------------------------------------------------------------------ edges

    def _arrive(self, frame: Frame, key: str, *, taken: bool, error: Mapping[str, Any] | None) -> None:
        """One incoming edge of the step has been decided."""
        task = frame.tasks[key]
        frame.missing[key] -= 1
        if taken:
            frame.taken.add(key)
            if error is not None and task.status == "idle":
                task.scope_error = error
        if task.status != "idle":
            return  # `join: any` has begun already
        if taken and task.node.join == "any":
            self._make_ready(task)
        elif frame.missing[key] == 0:
            if key in frame.taken:
                self._make_ready(task)
            else:
                self._skip(task)

    def _make_ready(self, task: Task) -> None:
        task.status = "ready"
        if not self._replaying:
            self._ready.append(task)

    def _skip(self, task: Task) -> None:
        task.status = "skipped"
        task.frame.unsettled -= 1
        if not self._replaying:
            self._decisions.append(Record(task.path, task.n, task.node, "skipped"))
        self._follow(task, None)

    def _follow(self, task: Task, port: str | None) -> None:
        """Decide every edge that leaves a finished step: those of `port` are taken, the others are dead."""
        self._leaving.append((task, port))
        if len(self._leaving) > 1:
            return  # a dead path goes on dying: the loop below has it next, however long the path is
        while self._leaving:
            task, port = self._leaving[0]
            for name, targets in task.node.outgoing.items():
                taken = name == port
                error = task.error if name == "error" else task.scope_error
                for target in targets:
                    self._arrive(task.frame, target, taken=taken, error=error if taken else None)
            self._leaving.popleft()

    # ------------------------------------------------------------------ what a step is doing

    def _working(self, path: str) -> Task:
        task = self.tasks[path]
        if task.status not in {"begun", "waiting"}:
            raise ValueError(f"{path} is {task.status}: it has nothing to report")
        return task

    def _scope(self, task: Task) -> dict[str, Any]:
        if task.names is None:
            task.names = task.frame.names(task.scope_error)
        return task.names

    def _mark_begun(self, task: Task) -> None:
        task.status = "begun"
        self.in_flight += 1

    def _hold(self, task: Task, status: str) -> None:
        if task.status == "begun":
            self.in_flight -= 1
        task.status = status
        self.held[task.path] = task
        self._settle(task.frame)

    def _unhold(self, task: Task) -> None:
        if self.held.pop(task.path, None) is not None:
            task.status = "idle"

    def _release(self, task: Task, status: str) -> None:
        """The step has come to its end, whatever it was doing."""
        if task.status == "begun":
            self.in_flight -= 1
        self.held.pop(task.path, None)
        task.status = status
        task.names = task.rendered = None
        task.frame.unsettled -= 1
