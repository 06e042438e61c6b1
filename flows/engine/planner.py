"""What comes next in a run: a function of the flow's version and the run's journal, and of nothing else.

The planner is fed what happened (`replay` for the journal of an earlier life, `succeed`, `fail`, `wait` for what happens now) and
`decide` answers with what to do. The same facts in the same order always give the same decisions, so a run goes on after a crash
exactly where its journal ends, and the rules are tested by simulation without a clock, a network or a database.

Rules (design: edges, joins, dead paths, errors): an edge is pending until its source finishes, then taken or dead. A step with
`join: all` is decided when none of its edges is pending: it runs if one was taken, else it is skipped and its own edges die.
With `join: any` it runs once at the first taken edge. A frame whose step failed without an error edge begins nothing new; it has
failed when what is in flight has come home.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from flows.engine.failures import CheckFailed, ExpressionFailed, Failure, TimedOut
from flows.engine.frames import NOTHING, Container, Frame, Task, tasks_below
from flows.engine.graph import Flow
from flows.engine.kinds import Done, PureKind, Role
from flows.engine.nodes import NO_EDITS
from flows.engine.paths import last_items
from flows.engine.plan import Begin, Decision, End, Entry, Record, Retry, RunFacts, Withdraw

MAX_ITEMS = 10_000
"""The items that one map may hold."""

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
        self.state: Mapping[str, Any] = facts.state
        self.taken_steps = facts.steps_taken
        self.ended = False
        self.stopping: tuple[str, str] | None = None  # (status, reason): nothing new begins anywhere
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
        self.root = Frame(flow.graph, "", {"input": facts.input, "run": facts.run}, {}, None)
        self._enter(self.root)

    # ------------------------------------------------------------------ what happened

    def replay(self, entries: Iterable[Entry]) -> None:
        """Take up the journal of an earlier life, in the order in which it was written."""
        self._replaying = True
        entries = list(entries)
        self._reached = last_items(entry.path for entry in entries)
        for entry in entries:
            task = self.tasks.get(entry.path)
            if task is None or task.status in {"succeeded", "failed", "skipped"}:
                continue  # inside a container that has finished, or a path that died
            task.n = entry.n
            self._unhold(task)
            if entry.status == "open":
                self._open(task)
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
        self._replaying = False
        self._decisions.clear()
        self._ready = deque(task for task in self.tasks.values() if task.status == "ready")
        for task in [task for task in self.tasks.values() if task.status == "open"]:
            self._fill(task)

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
        retry = task.node.retry
        again = retry.on or DEFAULT_RETRY_ON
        if repeatable and task.n < retry.attempts and failure.slug in again and not self._halted(task.frame):
            delay = self._delay(task, failure)
            if task.node.deadline is None or elapsed + delay < task.node.deadline:
                self._decisions.append(Retry(path, task.n, task.node, delay, error))
                self._hold(task, "retrying")
                return
        self._decisions.append(Record(path, task.n, task.node, "failed", error=error))
        self._fail(task, error)

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

    def stop(self, status: str, reason: str) -> None:
        """Begin nothing new; end with this state when what is in flight has come home."""
        if self.stopping is None:
            self.stopping = (status, reason)

    # ------------------------------------------------------------------ what comes next

    def decide(self, *, begin: bool = True) -> list[Decision]:
        """What to do now. Decisions are handed out once; while `more` is true there are others behind them. With `begin` false
        nothing new begins: what has happened is written down, and that is all."""
        while begin and self._ready and len(self._decisions) < DECISIONS_AT_ONCE:
            task = self._ready.popleft()
            if task.status == "ready" and not self._halted(task.frame):
                self._begin(task)
        halted = self.stopping is not None or self.root.failure is not None
        if not self.ended and self.in_flight == 0 and (halted or self.root.unsettled == 0):
            self._end()
        decisions, self._decisions = self._decisions, []
        return decisions

    @property
    def more(self) -> bool:
        """Whether `decide` would have more to say without anything new happening."""
        return bool(self._ready) and not self.ended

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

    def _settled(self, frame: Frame) -> bool:
        """Nothing can happen in the frame any more: all its steps have come to an end, or it has failed and nothing is in flight."""
        if frame.failure is None:
            return frame.unsettled == 0
        return all(task.status != "begun" for task in tasks_below(frame))

    def _halted(self, frame: Frame) -> bool:
        if self.stopping is not None or self.root.failure is not None:
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
            task.names = task.frame.names(self.state, task.scope_error)
        return task.names

    def _begin(self, task: Task) -> None:
        node = task.node
        if task.n == 1 and task.names is None:
            self.taken_steps += 1
            cap = self.facts.steps_cap
            if cap is not None and self.taken_steps > cap:
                self.stop("budget_stopped", "steps")
                return
        skip = self._skips.pop(task.path, None)
        if skip is not None:
            self._mark_begun(task)
            self.succeed(task.path, skip)
            return
        if node.kind.role is Role.STRUCTURE:
            self._open(task)
            return
        names = self._scope(task)
        try:
            edits = self.edits.get(task.path)
            if task.rendered is None or edits is not None:
                task.rendered = node.render(names, edits or NO_EDITS)
            if isinstance(node.kind, PureKind):
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
        if task.container is not None:
            for frame in task.container.frames.values():
                self._leave(frame)
        self._release(task, "succeeded")
        task.container = None
        if done.state:
            self.state = {**self.state, **done.state}
        task.frame.publish(task, done)
        self._follow(task, done.port)
        self._settle(task.frame)

    def _skip(self, task: Task) -> None:
        task.status = "skipped"
        task.frame.unsettled -= 1
        if not self._replaying:
            self._decisions.append(Record(task.path, task.n, task.node, "skipped"))
        self._follow(task, None)

    def _fail(self, task: Task, error: Mapping[str, Any]) -> None:
        """The step has failed for good: its error edge, its `on_error`, or the frame takes the consequence."""
        frame, node = task.frame, task.node
        self._release(task, "failed")
        task.container = None
        task.error = {"step": task.path, **error, "attempts": task.n}
        frame.steps[node.key] = {**NOTHING, "error": task.error}
        if "error" in node.outgoing:
            self._follow(task, "error")
        elif node.on_error == "continue":
            self._follow(task, "done")
        elif frame.failure is None:
            frame.failure = {"step": task.path, **error}
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

    # ------------------------------------------------------------------ maps

    def _open(self, task: Task) -> None:
        node, names = task.node, self._scope(task)
        try:
            items = node.expressions["over"].evaluate(names)
            if not isinstance(items, list):
                raise ExpressionFailed(f"`over` of {task.path} is no list but {type(items).__name__}; give a list to map over.")
            if len(items) > MAX_ITEMS:
                raise ExpressionFailed(f"`over` of {task.path} has {len(items)} items; a map holds at most {MAX_ITEMS}.")
        except Failure as failure:
            self._mark_begun(task)
            if self._replaying:
                self._fail(task, _error(failure))
            else:
                self.fail(task.path, failure)
            return
        task.status = "open"
        task.container = Container(
            items, getattr(node.settings, "concurrency", 1), getattr(node.settings, "on_item_error", "stop") == "collect"
        )
        if not self._replaying:
            self._decisions.append(Record(task.path, task.n, node, "open"))
        self._fill(task)

    def _fill(self, task: Task) -> None:
        """Begin as many items as there is room for; close the container when none is left."""
        container = task.container
        node = task.node
        if container is None or node.body is None:
            return
        reached = self._reached.get(task.path, -1) if self._replaying else -1  # a new pass can leave gaps before finished items
        while container.room(reached) and not container.stopped and not self._halted(task.frame):
            index = container.next_index
            container.next_index += 1
            if not self._replaying:
                self.taken_steps += 1
            base = {**task.frame.base, "item": container.items[index], "index": index}
            name = getattr(node.settings, "as_", None)
            if name:
                base[name] = container.items[index]
            frame = Frame(node.body, f"{task.path}[{index}].", base, task.frame.steps, task)
            frame.position = index
            container.frames[index] = frame
            self._enter(frame)
        done = container.next_index == len(container.items) or container.stopped or self._halted(task.frame)
        if done and not container.frames and task.status == "open":
            self._close(task, container)

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
        del container.frames[frame.position]
        self._leave(frame)
        failure = frame.failure
        output = None
        if failure is None and frame.graph.output is not None:
            try:
                output = frame.graph.output.render(frame.names(self.state, None))
            except Failure as problem:
                failure = {"step": frame.prefix + "output", **_error(problem)}
        if failure is not None:
            container.failed[frame.position] = failure
            container.results[frame.position] = {"error": failure}
        else:
            container.results[frame.position] = {"output": output} if container.collects else output
        self._fill(task)

    def _close(self, task: Task, container: Container) -> None:
        if self._replaying:
            return  # `replay` comes by again when it knows the whole journal
        if container.stopped:
            error = container.failed[min(container.failed)]
            error = {"class": error["class"], "message": f"{error['step']}: {error['message']}"}
            self._decisions.append(Record(task.path, task.n, task.node, "failed", error=error))
            self._fail(task, error)
            return
        if container.next_index < len(container.items):
            return  # halted before all items had begun: the run is ending
        done = Done(container.results)
        self._decisions.append(Record(task.path, task.n, task.node, "succeeded", done=done))
        self._succeed(task, done)

    # ------------------------------------------------------------------ the end

    def _end(self) -> None:
        self.ended = True
        error = self.root.failure
        if self.stopping is not None:
            status, reason = self.stopping
            self._decisions.append(End(status, reason, error=error))
            return
        if error is not None:
            self._decisions.append(End("failed", str(error["class"]), error=error))
            return
        output = None
        if self.flow.graph.output is not None:
            try:
                output = self.flow.graph.output.render(self.root.names(self.state, None))
            except Failure as failure:
                error = {"step": "output", **_error(failure)}
                self._decisions.append(End("failed", failure.slug, error=error))
                return
        self._decisions.append(End("succeeded", output=output))


def _error(failure: Failure) -> dict[str, Any]:
    return {"class": failure.slug, "message": failure.message}


def _why(done: Done) -> str:
    """What an operator reads when a step leaves by a port that fails it."""
    findings = done.output.get("findings") if isinstance(done.output, dict) else None
    if findings:
        return "; ".join(str(item.get("message", item)) if isinstance(item, dict) else str(item) for item in findings[:5])
    return f"The step left by its port {done.port!r}, which leads nowhere."
