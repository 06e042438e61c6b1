"""How frames stand in one another: what a finished step means for the graph that it stands in, a finished body for its container,
a failed flow for its error handler.

A frame whose step failed without an error edge begins nothing new; it has failed when what is in flight has come home. Then a flow's
error handler runs, where it has one, and the failure stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flows.engine.containers import Container, SubflowContainer
from flows.engine.failures import ExpressionFailed, Failure, error_of
from flows.engine.frames import NOTHING, Frame, Level, Task, tasks_below
from flows.engine.graph import Flow
from flows.engine.kinds import Done
from flows.engine.plan import Handle, Record, RunFacts, Withdraw
from flows.engine.walking import Walk

MAX_PATH = 400
"""The characters of a step's path."""

HELD = frozenset({"waiting", "retrying"})


class Nest(Walk):
    """The frames of one run, from the flow's own to the innermost body."""

    def __init__(self, flow: Flow, facts: RunFacts) -> None:
        self._reached: dict[str, int] = {}  # by path of a container: the last item of which the journal tells
        super().__init__(flow, facts)

    # ------------------------------------------------------------------ how a step ends

    def _succeed(self, task: Task, done: Done) -> None:
        self._drop_container(task)
        self._release(task, "succeeded")
        if done.state:
            level = task.frame.level
            level.state = {**level.state, **done.state}
        task.frame.publish(task, done)
        self._follow(task, done.port)
        self._settle(task.frame)

    def _fail(self, task: Task, error: Mapping[str, Any]) -> None:
        """The step has failed for good: its error edge, its `on_error`, or the frame takes the consequence. Where the run fails by
        it, nothing of that is asked."""
        frame, node = task.frame, task.node
        self._fail_run(task.path, error)
        self._drop_container(task)
        self._release(task, "failed")
        facts = {name: error[name] for name in ("class", "message")}
        task.error = {"step": task.path, **facts, "attempts": task.n}
        frame.steps[node.key] = {**NOTHING, "error": task.error}
        if "error" in node.outgoing:
            self._follow(task, "error")
        elif node.on_error == "continue":
            self._follow(task, "done")
        elif frame.failure is None:
            frame.failure = task.error
            self._withdraw(frame)
        self._settle(frame)

    def _fail_run(self, path: str, error: Mapping[str, Any]) -> None:
        """Where the step at `path` failed by an error that fails the run, the run fails, unless it has failed before."""
        if error.get("fails_run") and self.root.failure is None:
            self.break_down({"step": path, "class": error["class"], "message": error["message"]})

    def _drop_container(self, task: Task) -> None:
        if task.container is None:
            return
        for frame in task.container.frames.values():
            self._leave(frame)
        if isinstance(task.container, SubflowContainer):
            self.levels.pop(f"{task.path}/", None)
        task.container = None

    def _withdraw(self, frame: Frame) -> None:
        """What a failed frame waits for is no longer wanted. (The end of a run withdraws the root's.)"""
        for task in tasks_below(frame):
            if task.status in HELD:
                self._release(task, "skipped")
                if not self._replaying:
                    self._decisions.append(Withdraw(task.path, task.n, task.node))

    def break_down(self, failure: Mapping[str, Any]) -> None:
        """The run itself cannot go on: it fails with this error, whatever its steps would have done. Its error handler runs, if
        that is not what could not go on."""
        if self.level.handler is not None:
            self.level.handler.failure = failure
        else:
            self.root.failure = failure

    # ------------------------------------------------------------------ containers

    def _open(self, task: Task, container: Container) -> None:
        """Begin the bodies of a map, loop or sub-flow. Raises ExpressionFailed where their paths would be too long."""
        longest = len(container.prefix(task.path, 9999)) + max(map(len, container.graph.nodes), default=0)
        if longest > MAX_PATH:
            raise ExpressionFailed(f"The paths of the steps in {task.path[:80]}… would be longer than {MAX_PATH} characters.")
        if task.status == "begun":
            self.in_flight -= 1
        task.status = "open"
        task.container = container
        if not self._replaying:
            self._decisions.append(Record(task.path, task.n, task.node, "open", checkpoint=container.checkpoint))
        self._fill(task)

    def _fill(self, task: Task) -> None:
        """Begin as many bodies as there is room for; close the container when none is left."""
        container = task.container
        if container is None:
            return
        reached = self._reached.get(task.path, -1) if self._replaying else -1  # a new pass can leave gaps before finished items
        while not self._halted(task.frame) and container.broken is None and (taken := container.take(reached)) is not None:
            position, names = taken
            frame = self._frame(task, container, position, names)
            if container.counted and not self._replaying:
                self._count(frame)
            container.frames[position] = frame
            self._enter(frame)
        if (container.exhausted or container.broken) and not container.frames and task.status == "open":
            self._close(task, container)

    def _frame(self, task: Task, container: Container, position: int, names: Mapping[str, Any]) -> Frame:
        prefix = container.prefix(task.path, position)
        level = task.frame.level
        if isinstance(container, SubflowContainer):
            child = container.child
            level = self.levels[prefix] = Level(child.flow, child.slug, prefix, level.depth + 1)
            frame = level.frame = Frame(container.graph, level, prefix, {**names, "run": self.facts.run}, {}, task)
        else:
            behind = {} if task.scope_error is None else {"error": task.scope_error}
            frame = Frame(
                container.graph_at(position), level, prefix, {**task.frame.base, **behind, **names}, task.frame.steps, task
            )
        frame.position = position
        return frame

    def _count(self, frame: Frame) -> None:
        """One step more has begun in the frame, or the frame itself, which is an item or round."""
        self.taken_steps += 1
        for owner in frame.counted:
            owner.taken += 1

    def _break(self, task: Task, container: Container, error: Mapping[str, Any]) -> None:
        """The container ends with this error: what waits in it is withdrawn, what is in flight is awaited, nothing more begins."""
        container.broken = {"step": task.path, **error}
        for frame in list(container.frames.values()):
            if frame.failure is None:
                frame.failure = container.broken
            self._withdraw(frame)
            self._settle(frame)
        self._fill(task)

    def _close(self, task: Task, container: Container) -> None:
        if self._replaying:
            return  # `replay` comes by again when it knows the whole journal
        ending = container.broken or container.ending(task.node, task.path)
        if isinstance(ending, Done):
            self._decisions.append(Record(task.path, task.n, task.node, "succeeded", done=ending))
            self._succeed(task, ending)
            return
        where, message = str(ending["step"]), str(ending["message"])
        said = message if where == task.path or message.startswith(task.path) else f"{where}: {message}"
        error = {"class": ending["class"], "message": said}
        self._decisions.append(Record(task.path, task.n, task.node, "failed", error=error))
        self._fail(task, error)

    # ------------------------------------------------------------------ how a body ends

    def _settle(self, frame: Frame) -> None:
        """Hand a body's result to its container once nothing can happen in it; then look at all that is around it: a frame that has
        failed, at any depth, may have waited for just this."""
        while frame.owner is not None:
            owner = frame.owner
            if self._settled(frame):
                self._hand_over(frame, owner)
                if owner.status != "open":
                    return  # with its end what is around it was looked at
            frame = owner.frame

    def _settled(self, frame: Frame) -> bool:
        """Nothing can happen in the frame any more: all its steps have come to an end, or it has failed and nothing is in flight."""
        if frame.failure is None:
            return frame.unsettled == 0
        return all(task.status != "begun" for task in tasks_below(frame))

    def _hand_over(self, frame: Frame, task: Task) -> None:
        container = task.container
        if container is None or container.frames.get(frame.position) is not frame:
            return
        output, failure = self._result_of(frame)
        level = frame.level
        if frame.handles is not None:
            self._handled(frame, failure)
            failure = frame.handles
        elif (
            failure is not None
            and frame is level.frame
            and level.flow.handler is not None
            and not (container.broken or self._halted(task.frame))
        ):
            frame.failure = failure
            if not self._replaying:  # else its row in the journal says so, or `replay` comes by again
                self._handle(level, failure)
            return
        del container.frames[frame.position]
        self._leave(frame)
        if failure is None:
            try:
                checkpoint = container.settle(frame.position, output, frame.names(None))
            except Failure as problem:
                failure = {"step": task.path, **error_of(problem)}
            else:
                if checkpoint is not None and not self._replaying:
                    self._decisions.append(Record(task.path, task.n, task.node, "open", checkpoint=checkpoint))
        if failure is not None:
            container.fail(frame.position, failure)
        self._fill(task)

    def _result_of(self, frame: Frame) -> tuple[Any, Mapping[str, Any] | None]:
        """The output of a frame that has settled, or the failure that it ended with."""
        if frame.failure is not None or frame.graph.output is None:
            return None, frame.failure
        try:
            return frame.graph.output.render(frame.names(None)), None
        except Failure as problem:
            return None, {"step": frame.prefix + "output", **error_of(problem)}

    # ------------------------------------------------------------------ error handlers

    def _handle(self, level: Level, failure: Mapping[str, Any]) -> None:
        """Begin a flow's error handler for the failure that the flow will end with."""
        failed, graph = level.frame, level.flow.handler
        if failed is None or graph is None or level.handler is not None:
            return
        failed.failure = failure
        self._withdraw(failed)
        names = {**failed.base, "error": {"attempts": 1, **failure}}
        frame = level.handler = Frame(graph, level, f"{level.handler_path}.", names, failed.steps, failed.owner)
        frame.handles = failure
        if failed.owner is not None and failed.owner.container is not None:
            failed.owner.container.frames[0] = frame
            self._leave(failed)
        if not self._replaying:
            self._decisions.append(Handle(level.handler_path, "open", failure))
        self._enter(frame)

    def _handled(self, frame: Frame, failure: Mapping[str, Any] | None) -> None:
        """An error handler has come to its own end; a failure inside it is written down, and changes nothing else."""
        status = "succeeded" if failure is None else "failed"
        if not self._replaying:
            self._decisions.append(Handle(frame.level.handler_path, status, failure))
