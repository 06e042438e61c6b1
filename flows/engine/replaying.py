"""Taking a run up where its journal ends: the same steps, edges and frames as when it was written, and no decision twice."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from flows.engine.agents import AgentContainer, Conversing
from flows.engine.containers import SubflowContainer, open_container
from flows.engine.kinds import Done
from flows.engine.nesting import Nest
from flows.engine.paths import last_items
from flows.engine.plan import Child, Entry


class Replay(Nest):
    """A run that may have had an earlier life."""

    def replay(self, entries: Iterable[Entry], children: Mapping[str, Child] | None = None) -> None:
        """Take up the journal of an earlier life, in the order in which it was written. `children` are the flows of the sub-flows
        that are open, by the version that their entries name."""
        self._replaying = True
        entries = list(entries)
        self._reached = last_items(entry.path for entry in entries)
        for entry in entries:
            self._take_up(entry, children or {})
        self._replaying = False
        self._decisions.clear()
        self._ready = deque(task for task in self.tasks.values() if task.status == "ready")
        for task in [task for task in self.tasks.values() if task.status == "open"]:
            frames = task.container.frames.values() if task.container is not None else ()
            for frame in list(frames):
                self._settle(frame)
            if task.status == "open":
                self._fill(task)

    def _take_up(self, entry: Entry, children: Mapping[str, Child]) -> None:
        task = self.tasks.get(entry.path)
        if task is None:
            self._take_up_of_the_past(entry)
            return
        if task.status in {"succeeded", "failed", "skipped"}:
            return  # a path that died
        task.n = entry.n
        self._unhold(task)
        if entry.status == "open":
            names, checkpoint = self._scope(task), entry.checkpoint
            if isinstance(task.node.kind, Conversing) and checkpoint is not None:
                self._open(task, AgentContainer(task.node, task.node.kind, checkpoint["opening"]))
            elif task.node.body is None and checkpoint is not None:
                child = children[checkpoint["version"]]
                self._open(task, SubflowContainer(child, checkpoint["input"], checkpoint.get("within")))
            else:
                self._open(task, open_container(task.node, task.path, names, checkpoint))
        elif entry.status == "begun":
            self._scope(task)
            task.status = "ready"  # interrupted: to be begun again with the scope it had
        elif entry.status == "waiting":
            self._scope(task)
            self._hold(task, "waiting")
        elif entry.status == "succeeded":
            self._succeed(task, Done(entry.output, entry.port, entry.state))
        elif entry.status == "failed" and entry.error is not None:
            self._scope(task)
            if entry.remaining is not None:
                self._hold(task, "retrying")
            else:
                self._fail(task, entry.error)

    def _take_up_of_the_past(self, entry: Entry) -> None:
        """An error handler's own row, or a step inside a body that has ended: of that only what it did to the run and to the state
        is left."""
        if entry.error is not None and entry.remaining is None:
            self._fail_run(entry.path, entry.error)
        level = self.levels.get(entry.path[: entry.path.rfind("/") + 1])
        if level is None:
            return
        if entry.path == level.handler_path and entry.error is not None:
            if entry.status == "open":
                self._handle(level, entry.error)
        elif entry.state:
            level.state = {**level.state, **entry.state}
