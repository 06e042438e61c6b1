"""What comes next in a run: a function of the flow's version and the run's journal, and of nothing else.

The planner is fed what happened (`replay` for the journal of an earlier life, `succeed`, `fail`, `wait` for what happens now) and
`decide` answers with what to do. The same facts in the same order always give the same decisions, so a run goes on after a crash
exactly where its journal ends, and the rules are tested by simulation without a clock, a network or a database.

Rules (design: edges, joins, dead paths, errors): an edge is pending until its source finishes, then taken or dead. A step with
`join: all` is decided when none of its edges is pending: it runs if one was taken, else it is skipped and its own edges die.
With `join: any` it runs once at the first taken edge. A frame whose step failed without an error edge begins nothing new; it has
failed when what is in flight has come home. Then a flow's error handler runs, where it has one, and the failure stands.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from flows.engine.containers import Container, SubflowContainer, open_container
from flows.engine.failures import BadRequest, CheckFailed, ExpressionFailed, Failure, TimedOut
from flows.engine.frames import NOTHING, Frame, Level, Task, tasks_below
from flows.engine.graph import Flow
from flows.engine.kinds import Done, PureKind, Role
from flows.engine.nodes import NO_EDITS
from flows.engine.paths import last_items
from flows.engine.plan import Begin, Child, Decision, End, Entry, Handle, Record, Retry, RunFacts, Withdraw

MAX_DEPTH = 10
"""The sub-flows that may stand in one another."""

MAX_PATH = 400
"""The characters of a step's path."""

DEFAULT_RETRY_ON = frozenset({"rate_limit", "timeout", "unavailable", "invalid_output"})
"""The error classes that are tried again where a step's `retry` names none."""

FAILING_PORTS: Mapping[str, type[Failure]] = {"timeout": TimedOut, "fail": CheckFailed, "limit": Failure}
"""Ports that fail the step when nothing is connected to them."""

DECISIONS_AT_ONCE = 500
"""About how many decisions `decide` hands out at a time, so that one record stays small."""

HELD = frozenset({"waiting", "retrying"})


class Planner:
    """The course of one run."""

    def __init__(self, flow: Flow, facts: RunFacts) -> None:
        self.flow = flow
        self.facts = facts
        self.taken_steps = facts.steps_taken
        self.ended = False
        self.stopping: tuple[str, str] | None = None  # (status, reason): nothing new begins anywhere
        self.steps_cap = facts.steps_cap
        self.at_limit = facts.at_limit
        self.out_of_steps: list[Task] = []  # one step more than the run may take: they wait until it may take more
        self._otherwise = ""  # why the run is stopped where it cannot end as `stopping` says
        self.tasks: dict[str, Task] = {}
        self.in_flight = 0
        self.held: dict[str, Task] = {}  # waiting or between two attempts
        self.edits: Mapping[str, Mapping[str, Any]] = {}  # by path: fields that somebody set before the step begins
        self._skips: dict[str, Done] = {}  # by path: results of steps that are gone past instead of being begun
        self._reached: dict[str, int] = {}  # by path of a container: the last item of which the journal tells
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

    # ------------------------------------------------------------------ what happened

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
            if task.node.body is None and checkpoint is not None:
                self._open(task, SubflowContainer(children[checkpoint["version"]], checkpoint["input"]))
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
        """An error handler's own row, or a step inside a body that has ended: of that only what it did to the state is left."""
        level = self.levels.get(entry.path[: entry.path.rfind("/") + 1])
        if level is None:
            return
        if entry.path == level.handler_path and entry.error is not None:
            if entry.status == "open":
                self._handle(level, entry.error)
        elif entry.state:
            level.state = {**level.state, **entry.state}

    def succeed(self, path: str, done: Done) -> None:
        """The step at `path` has its result."""
        task = self._working(path)
        failing = FAILING_PORTS.get(done.port)
        if failing is not None and done.port not in task.node.outgoing:
            error = _error(failing(_why(done)))
            self._decisions.append(Record(path, task.n, task.node, "failed", error=error))
            self._fail(task, error)
        else:
            self._decisions.append(Record(path, task.n, task.node, "succeeded", done=done))
            self._succeed(task, done)

    def fail(self, path: str, failure: Failure, *, elapsed: float = 0.0, repeatable: bool = True) -> None:
        """The attempt at `path` failed. `elapsed` are the seconds since the step's first attempt began; `repeatable` is false
        where another attempt might do twice what may happen once."""
        task = self._working(path)
        error = _error(failure)
        if repeatable and self.may_retry(path, failure, elapsed):
            self._decisions.append(Retry(path, task.n, task.node, self._delay(task, failure), error))
            self._hold(task, "retrying")
            return
        self._decisions.append(Record(path, task.n, task.node, "failed", error=error))
        self._fail(task, error)

    def may_retry(self, path: str, failure: Failure, elapsed: float = 0.0) -> bool:
        """Whether the step's retry policy has another attempt for this failure."""
        task = self.tasks[path]
        retry = task.node.retry
        if task.n >= retry.attempts or failure.slug not in (retry.on or DEFAULT_RETRY_ON) or self._halted(task.frame):
            return False
        return task.node.deadline is None or elapsed + self._delay(task, failure) < task.node.deadline

    def wait(self, path: str) -> None:
        """The step at `path` has asked and waits for its answer."""
        task = self._working(path)
        if self._halted(task.frame):
            self._decisions.append(Withdraw(path, task.n, task.node))
            self._release(task, "skipped")
            self._settle(task.frame)
        else:
            self._hold(task, "waiting")

    def abandon(self, path: str) -> None:
        """What was in flight at `path` was broken off and has no result: the run is being cancelled, or handed to another worker."""
        task = self._working(path)
        self.in_flight -= 1
        task.status = "ready"

    def take_up(self, paths: Iterable[str]) -> None:
        """Begin again what was abandoned: the run goes on here after all."""
        found = (self.tasks.get(path) for path in paths)
        self._ready.extend(task for task in found if task is not None and task.status == "ready" and task not in self._ready)

    def put_back(self, path: str, *, counted: bool) -> None:
        """The step at `path` could not begin after all: it waits for `begin_again`. `counted` says whether it has done anything
        before; else it counts as a step only when it begins again."""
        task = self._working(path)
        self.in_flight -= 1
        task.status = "ready"
        if not counted:
            self.taken_steps -= 1
            task.names = task.rendered = None
        self._settle(task.frame)

    def begin_again(self, paths: Iterable[str]) -> None:
        """Steps that were put back may try again, and so may those for which there were no steps left."""
        waiting = [*self.out_of_steps, *(task for path in paths if (task := self.tasks.get(path)) is not None)]
        self.out_of_steps = []
        self._ready.extend(task for task in waiting if task.status == "ready" and task not in self._ready)

    def wants(self, path: str) -> bool:
        """Whether the step at `path` is still to be carried out, or is being carried out."""
        task = self.tasks.get(path)
        return task is not None and task.status in {"ready", "begun"} and not self._halted(task.frame)

    def repeat(self, path: str, failure: Failure) -> None:
        """People said that the step at `path`, which waits, may be tried once more: at once, whatever its retry policy says."""
        task = self._working(path)
        self._decisions.append(Retry(path, task.n, task.node, 0.0, _error(failure)))
        self._hold(task, "retrying")

    def resume(self, path: str) -> None:
        """The time between two attempts of the step at `path` is over."""
        task = self.held[path]
        self._unhold(task)
        task.n += 1
        self._make_ready(task)

    def go_past(self, path: str, done: Done) -> bool:
        """Somebody decided that the step at `path` need not be done: `done` stands for its result. False where that comes too late,
        or where the step is not there yet (then it holds as soon as it is)."""
        task = self.tasks.get(path)
        if task is not None and task.status not in {"idle", "ready", "waiting", "retrying"}:
            return False
        if task is not None and task.status == "waiting":
            self.succeed(path, done)
            return True
        self._skips[path] = done
        if task is not None and task.status == "retrying":
            self.resume(path)
            return True
        return False

    def break_down(self, failure: Mapping[str, Any]) -> None:
        """The run itself cannot go on: it fails with this error, whatever its steps would have done. Its error handler runs, if
        that is not what could not go on."""
        if self.level.handler is not None:
            self.level.handler.failure = failure
        else:
            self.root.failure = failure

    def stop(self, status: str, reason: str, *, otherwise: str = "") -> None:
        """Begin nothing new; end with this state when what is in flight has come home. With ``succeeded`` the run's output is made
        of what there is; where that cannot be done, the run ends as ``budget_stopped`` with the reason `otherwise`."""
        if self.stopping is None:
            self.stopping = (status, reason)
            self._otherwise = otherwise

    # ------------------------------------------------------------------ what comes next

    def decide(self, *, begin: bool = True) -> list[Decision]:
        """What to do now. Decisions are handed out once; while `more` is true there are others behind them. With `begin` false
        nothing new begins: what has happened is written down, and that is all."""
        while begin and self._ready and len(self._decisions) < DECISIONS_AT_ONCE:
            task = self._ready.popleft()
            if task.status == "ready" and not self._halted(task.frame):
                self._begin(task)
        if not self.ended and self.in_flight == 0:
            self._try_to_end(begin)
        decisions, self._decisions = self._decisions, []
        return decisions

    @property
    def more(self) -> bool:
        """Whether `decide` would have more to say without anything new happening."""
        return bool(self._ready) and not self.ended

    def enter(self, path: str, child: Child, given: Any) -> None:
        """The sub-flow step at `path` has its flow and the input for it."""
        task = self._working(path)
        if self._halted(task.frame):
            self._release(task, "skipped")
            self._settle(task.frame)
            return
        try:
            if task.frame.level.depth >= MAX_DEPTH:
                inside = " > ".join([*(level.slug for level in self._levels_around(task.frame)), child.slug])
                raise BadRequest(f"Sub-flows stand in one another more than {MAX_DEPTH} deep: {inside}.")
            self._open(task, SubflowContainer(child, given))
        except Failure as failure:
            self.fail(path, failure)

    # ------------------------------------------------------------------ frames

    def _levels_around(self, frame: Frame) -> list[Level]:
        """The flows that a frame stands in, the run's own first."""
        found = [frame.level]
        top = frame.level.frame
        while top is not None and top.owner is not None:
            found.append(top.owner.frame.level)
            top = found[-1].frame
        return found[::-1]

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

    def _settled(self, frame: Frame) -> bool:
        """Nothing can happen in the frame any more: all its steps have come to an end, or it has failed and nothing is in flight."""
        if frame.failure is None:
            return frame.unsettled == 0
        return all(task.status != "begun" for task in tasks_below(frame))

    def _halted(self, frame: Frame) -> bool:
        if self.stopping is not None:
            return True
        at: Frame | None = frame
        while at is not None:
            if at.failure is not None:
                return True
            at = at.owner.frame if at.owner is not None else None
        return False

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

    # ------------------------------------------------------------------ steps

    def _working(self, path: str) -> Task:
        task = self.tasks[path]
        if task.status not in {"begun", "waiting"}:
            raise ValueError(f"{path} is {task.status}: it has nothing to report")
        return task

    def _scope(self, task: Task) -> dict[str, Any]:
        if task.names is None:
            task.names = task.frame.names(task.scope_error)
        return task.names

    def _begin(self, task: Task) -> None:
        node = task.node
        if task.n == 1 and task.names is None:
            if self.steps_cap is not None and self.taken_steps >= self.steps_cap:
                self._refuse_step(task)
                return
            self.taken_steps += 1
        skip = self._skips.pop(task.path, None)
        if skip is not None:
            self._mark_begun(task)
            self.succeed(task.path, skip)
            return
        names = self._scope(task)
        try:
            if node.body is not None:
                self._open(task, open_container(node, task.path, names, None))
                return
            edits = self.edits.get(task.path)
            if task.rendered is None or edits is not None:
                task.rendered = node.render(names, edits or NO_EDITS)
            if node.role is Role.PURE and isinstance(node.kind, PureKind):
                done = node.kind.evaluate(node.settings, task.rendered, names)
                self._mark_begun(task)
                self.succeed(task.path, done)
                return
        except Failure as failure:
            self._mark_begun(task)
            self.fail(task.path, failure)
            return
        self._mark_begun(task)
        self._decisions.append(Begin(task.path, task.n, node, task.frame.graph, task.rendered, names))

    def _refuse_step(self, task: Task) -> None:
        if self.at_limit == "pause":
            self.out_of_steps.append(task)
        elif self.at_limit == "finish":
            self.stop("succeeded", "limited", otherwise="steps")
        else:
            self.stop("budget_stopped", "steps")

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

    def _succeed(self, task: Task, done: Done) -> None:
        self._drop_container(task)
        self._release(task, "succeeded")
        if done.state:
            level = task.frame.level
            level.state = {**level.state, **done.state}
        task.frame.publish(task, done)
        self._follow(task, done.port)
        self._settle(task.frame)

    def _drop_container(self, task: Task) -> None:
        if task.container is None:
            return
        for frame in task.container.frames.values():
            self._leave(frame)
        if isinstance(task.container, SubflowContainer):
            self.levels.pop(f"{task.path}/", None)
        task.container = None

    def _skip(self, task: Task) -> None:
        task.status = "skipped"
        task.frame.unsettled -= 1
        if not self._replaying:
            self._decisions.append(Record(task.path, task.n, task.node, "skipped"))
        self._follow(task, None)

    def _fail(self, task: Task, error: Mapping[str, Any]) -> None:
        """The step has failed for good: its error edge, its `on_error`, or the frame takes the consequence."""
        frame, node = task.frame, task.node
        self._drop_container(task)
        self._release(task, "failed")
        task.error = {"step": task.path, **error, "attempts": task.n}
        frame.steps[node.key] = {**NOTHING, "error": task.error}
        if "error" in node.outgoing:
            self._follow(task, "error")
        elif node.on_error == "continue":
            self._follow(task, "done")
        elif frame.failure is None:
            frame.failure = task.error
            self._withdraw(frame)
        self._settle(frame)

    def _withdraw(self, frame: Frame) -> None:
        """What a failed frame waits for is no longer wanted. (The end of a run withdraws the root's.)"""
        for task in tasks_below(frame):
            if task.status in HELD:
                self._release(task, "skipped")
                if not self._replaying:
                    self._decisions.append(Withdraw(task.path, task.n, task.node))

    def _delay(self, task: Task, failure: Failure) -> float:
        """Seconds until the next attempt: the step's back-off, spread by up to a fifth so that many runs that failed together
        do not come back together, and never sooner than the other side asked."""
        base = task.node.retry.delay(task.n)
        digest = hashlib.blake2s(f"{self.facts.run.get('id')}/{task.path}/{task.n}".encode(), digest_size=4).digest()
        spread = 0.8 + 0.4 * int.from_bytes(digest, "big") / 0xFFFFFFFF
        return max(base * spread, failure.retry_after or 0.0)

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
        while not self._halted(task.frame) and (taken := container.take(reached)) is not None:
            position, names = taken
            if not self._replaying:
                self.taken_steps += 1
            frame = self._frame(task, container, position, names)
            container.frames[position] = frame
            self._enter(frame)
        if container.exhausted and not container.frames and task.status == "open":
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
            frame = Frame(container.graph, level, prefix, {**task.frame.base, **behind, **names}, task.frame.steps, task)
        frame.position = position
        return frame

    def _settle(self, frame: Frame) -> None:
        """Hand a body's result to its container once nothing can happen in it; then look at what is around it, which may have
        waited for just this."""
        while frame.owner is not None:
            if self._settled(frame):
                self._hand_over(frame, frame.owner)
                return
            frame = frame.owner.frame
            if frame.failure is None:
                return

    def _hand_over(self, frame: Frame, task: Task) -> None:
        container = task.container
        if container is None or container.frames.get(frame.position) is not frame:
            return
        output, failure = self._result_of(frame)
        level = frame.level
        if frame.handles is not None:
            self._handled(frame, failure)
            failure = frame.handles
        elif failure is not None and frame is level.frame and level.flow.handler is not None and not self._halted(task.frame):
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
                failure = {"step": task.path, **_error(problem)}
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
            return None, {"step": frame.prefix + "output", **_error(problem)}

    def _close(self, task: Task, container: Container) -> None:
        if self._replaying:
            return  # `replay` comes by again when it knows the whole journal
        ending = container.ending(task.node, task.path)
        if isinstance(ending, Done):
            self._decisions.append(Record(task.path, task.n, task.node, "succeeded", done=ending))
            self._succeed(task, ending)
            return
        where, message = str(ending["step"]), str(ending["message"])
        said = message if where == task.path or message.startswith(task.path) else f"{where}: {message}"
        error = {"class": ending["class"], "message": said}
        self._decisions.append(Record(task.path, task.n, task.node, "failed", error=error))
        self._fail(task, error)

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

    # ------------------------------------------------------------------ the end

    def _try_to_end(self, begin: bool) -> None:
        """End the run if nothing can happen in it any more, its error handler included."""
        root, handler = self.root, self.level.handler
        if self.stopping is not None:
            self._end(self._stopped(*self.stopping))
            return
        output = None
        if root.failure is None:
            if root.unsettled:
                return
            output, root.failure = self._result_of(root)
        if root.failure is None:
            self._end(End("succeeded", output=output))
        elif handler is None and self.flow.handler is not None:
            if begin:
                self._handle(self.level, root.failure)
        elif handler is None or self._settled(handler):
            if handler is not None:
                self._handled(handler, handler.failure)
            self._end(End("failed", str(root.failure["class"]), error=root.failure))

    def _stopped(self, status: str, reason: str) -> End:
        if status != "succeeded":
            return End(status, reason, error=self.root.failure)
        failed = self.root.failure
        output, failure = self._result_of(self.root)
        if failed is not None:
            return End("failed", str(failed["class"]), error=failed)
        if failure is not None:
            return End("budget_stopped", self._otherwise, error=failure)
        return End(status, reason, output=output)

    def _end(self, end: End) -> None:
        self.ended = True
        self._decisions.append(end)


def _error(failure: Failure) -> dict[str, Any]:
    return {"class": failure.slug, "message": failure.message}


def _why(done: Done) -> str:
    """What an operator reads when a step leaves by a port that fails it."""
    findings = done.output.get("findings") if isinstance(done.output, dict) else None
    if findings:
        return "; ".join(str(item.get("message", item)) if isinstance(item, dict) else str(item) for item in findings[:5])
    return f"The step left by its port {done.port!r}, which leads nowhere."
