"""What comes next in a run: a function of the flow's version and the run's journal, and of nothing else.

The planner is fed what happened (`replay` for the journal of an earlier life, `succeed`, `fail`, `wait` for what happens now) and
`decide` answers with what to do. The same facts in the same order always give the same decisions, so a run goes on after a crash
exactly where its journal ends, and the rules are tested by simulation without a clock, a network or a database.

The rules stand in layers: edges in `walking.py`, frames and containers in `nesting.py`, the journal in `replaying.py`; here is what
the driver tells and asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flows.engine.agents import AgentContainer, Conversing
from flows.engine.containers import SubflowContainer, open_container
from flows.engine.failures import BadRequest, CheckFailed, Failure, Supposed, TimedOut, error_of
from flows.engine.frames import Frame, Level, Task
from flows.engine.graph import Flow
from flows.engine.kinds import Done, PureKind, Role
from flows.engine.nodes import NO_EDITS
from flows.engine.plan import Begin, Child, Decision, End, Record, Retry, RunFacts, Withdraw
from flows.engine.replaying import Replay
from flows.engine.retrying import delay_after, policies_of

MAX_DEPTH = 10
"""The sub-flows that may stand in one another."""

FAILING_PORTS: Mapping[str, type[Failure]] = {"timeout": TimedOut, "fail": CheckFailed, "limit": Failure}
"""Ports that fail the step when nothing is connected to them."""

DECISIONS_AT_ONCE = 500
"""About how many decisions `decide` hands out at a time, so that one record stays small."""


class Planner(Replay):
    """The course of one run."""

    def __init__(self, flow: Flow, facts: RunFacts) -> None:
        self.steps_cap = facts.steps_cap
        self.at_limit = facts.at_limit
        self.out_of_steps: dict[str, list[Task]] = {}  # by where the limit stands ("": the run's): one step more than it allows
        self.raised: dict[str, int] = {}  # by path of a container: its limit on steps, where people have raised it
        self.chosen: dict[str, str] = {}  # by path of a container: what people chose at its limit instead
        self.edits: Mapping[str, Mapping[str, Any]] = {}  # by path: fields that somebody set before the step begins
        self._skips: dict[str, Done | Supposed] = {}  # by path: what stands for steps that are gone past instead of being begun
        self._otherwise = ""  # why the run is stopped where it cannot end as `stopping` says
        super().__init__(flow, facts)

    # ------------------------------------------------------------------ what steps report

    def succeed(self, path: str, done: Done) -> None:
        """The step at `path` has its result."""
        task = self._working(path)
        failing = FAILING_PORTS.get(done.port)
        if failing is not None and done.port not in task.node.outgoing:
            self.fail(path, failing(_why(done)))
        else:
            self._decisions.append(Record(path, task.n, task.node, "succeeded", done=done))
            self._succeed(task, done)

    def fail(self, path: str, failure: Failure, *, elapsed: float = 0.0, repeatable: bool = True) -> None:
        """The attempt at `path` failed. `elapsed` are the seconds since the step's first attempt began; `repeatable` is false
        where another attempt might do twice what may happen once."""
        task = self._working(path)
        error = error_of(failure)
        delay = self.delay(path, failure, elapsed) if repeatable else None
        if delay is not None:
            self._decisions.append(Retry(path, task.n, task.node, delay, error))
            self._hold(task, "retrying")
            return
        self._decisions.append(Record(path, task.n, task.node, "failed", error=error))
        self._fail(task, error)

    def may_retry(self, path: str, failure: Failure, elapsed: float = 0.0) -> bool:
        """Whether the step is tried again after this failure."""
        return self.delay(path, failure, elapsed) is not None

    def delay(self, path: str, failure: Failure, elapsed: float) -> float | None:
        """Seconds until the step is tried again after this failure; None where it is not."""
        task = self.tasks[path]
        if self._halted(task.frame):
            return None
        delay = delay_after(policies_of(task), task.n, failure, f"{self.facts.run.get('id')}/{path}/{task.n}")
        late = delay is not None and task.node.deadline is not None and elapsed + delay >= task.node.deadline
        return None if late else delay

    def wait(self, path: str) -> None:
        """The step at `path` has asked and waits for its answer."""
        task = self._working(path)
        if self._halted(task.frame):
            self._decisions.append(Withdraw(path, task.n, task.node))
            self._release(task, "skipped")
            self._settle(task.frame)
        else:
            self._hold(task, "waiting")

    def enter(self, path: str, child: Child, given: Any, within: float | None = None) -> None:
        """The step at `path` goes on as a flow, with this input, for `within` seconds at most."""
        task = self._working(path)
        if self._halted(task.frame):
            self._release(task, "skipped")
            self._settle(task.frame)
            return
        try:
            if task.frame.level.depth >= MAX_DEPTH:
                inside = " > ".join([*(level.slug for level in _around(task.frame)), child.slug])
                raise BadRequest(f"Sub-flows stand in one another more than {MAX_DEPTH} deep: {inside}.")
            self._open(task, SubflowContainer(child, given, within))
        except Failure as failure:
            self.fail(path, failure)

    def repeat(self, path: str, failure: Failure) -> None:
        """People said that the step at `path`, which waits, may be tried once more: at once, whatever its retry policy says."""
        task = self._working(path)
        self._decisions.append(Retry(path, task.n, task.node, 0.0, error_of(failure)))
        self._hold(task, "retrying")

    def resume(self, path: str) -> None:
        """The time between two attempts of the step at `path` is over."""
        task = self.held[path]
        self._unhold(task)
        task.n += 1
        self._make_ready(task)

    # ------------------------------------------------------------------ what could not go on

    def abandon(self, path: str) -> None:
        """What was in flight at `path` was broken off and has no result: the run is being cancelled, or handed to another worker."""
        task = self._working(path)
        self.in_flight -= 1
        task.status = "ready"
        self._settle(task.frame)

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
            for owner in task.frame.counted:
                owner.taken -= 1
            task.names = task.rendered = None
        self._settle(task.frame)

    def begin_again(self, paths: Iterable[str]) -> None:
        """Steps that were put back may try again, and so may those for which there were no steps left."""
        refused = [task for tasks in self.out_of_steps.values() for task in tasks]
        waiting = [*refused, *(task for path in paths if (task := self.tasks.get(path)) is not None)]
        self.out_of_steps = {}
        self._ready.extend(task for task in waiting if task.status == "ready" and task not in self._ready)

    def wants(self, path: str) -> bool:
        """Whether the step at `path` is still to be carried out, or is being carried out."""
        task = self.tasks.get(path)
        return task is not None and task.status in {"ready", "begun"} and not self._halted(task.frame)

    # ------------------------------------------------------------------ what people and limits say

    def suppose(self, path: str, failure: Supposed) -> None:
        """The step at `path`, which has not begun, will fail by this instead of being carried out."""
        self._skips[path] = failure

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

    def time_out(self, path: str, failure: Failure, *, repeatable: bool) -> None:
        """The time of the container or of the waiting step at `path` is over: it fails, unless a wait may be tried again. What is in
        flight inside is to be broken off by the caller; the container fails when it has come home."""
        task = self.tasks.get(path)
        if task is None:
            return
        if task.container is not None:
            self._break(task, task.container, error_of(failure))
        elif task.status == "waiting":
            self.fail(path, failure, repeatable=repeatable)

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

    def _begin(self, task: Task) -> None:
        node = task.node
        if task.n == 1 and task.names is None:
            if not self._has_steps_left(task):
                return
            self._count(task.frame)
        skip = self._skips.pop(task.path, None)
        if skip is not None:
            self._mark_begun(task)
            if isinstance(skip, Supposed):
                self.fail(task.path, skip, repeatable=False)
            else:
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
            if isinstance(node.kind, Conversing):
                self._open(task, AgentContainer(node, node.kind, task.rendered))
                return
        except Failure as failure:
            self._mark_begun(task)
            self.fail(task.path, failure)
            return
        self._mark_begun(task)
        self._decisions.append(Begin(task.path, task.n, node, task.frame.graph, task.rendered, names))

    def _has_steps_left(self, task: Task) -> bool:
        """Whether the run, and each container around the step, may take one step more; else does what the limit says."""
        if self.steps_cap is not None and self.taken_steps >= self.steps_cap:
            self._refuse_step(task, "", self.at_limit)
            return False
        for owner in task.frame.counted:
            for limits in owner.limits:
                cap = self.raised.get(owner.path, limits.steps)
                if cap is not None and owner.taken >= cap:
                    self._refuse_step(task, owner.path, self.chosen.get(owner.path, limits.at_limit))
                    return False
        return True

    def _refuse_step(self, task: Task, path: str, at_limit: str) -> None:
        reason = f"steps of {path}"[:60] if path else "steps"
        if at_limit == "pause":
            self.out_of_steps.setdefault(path, []).append(task)
        elif at_limit == "finish":
            self.stop("succeeded", "limited", otherwise=reason)
        else:
            self.stop("budget_stopped", reason)

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


def _why(done: Done) -> str:
    """What an operator reads when a step leaves by a port that fails it."""
    findings = done.output.get("findings") if isinstance(done.output, dict) else None
    if findings:
        return "; ".join(str(item.get("message", item)) if isinstance(item, dict) else str(item) for item in findings[:5])
    return f"The step left by its port {done.port!r}, which leads nowhere."


def _around(frame: Frame) -> list[Level]:
    """The flows that a frame stands in, the run's own first."""
    found = [frame.level]
    top = frame.level.frame
    while top is not None and top.owner is not None:
        found.append(top.owner.frame.level)
        top = found[-1].frame
    return found[::-1]
