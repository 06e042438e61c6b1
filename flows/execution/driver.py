"""One run in memory: asks the planner what comes next, has it carried out, and hands what happened to the writer.

At most one record of a run is on its way at a time. What happens meanwhile gathers and is planned together when the verdict is
there, so nothing begins before that on which it depends is stored. Everything here runs on the engine's loop; nothing here waits.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson

from flows.engine.calllimits import CallLimits
from flows.engine.canonical import sha256_of
from flows.engine.failures import Failure, TimedOut, TooDear, UnknownOutcome
from flows.engine.frames import Task
from flows.engine.graph import Flow
from flows.engine.kinds import Done, Role
from flows.engine.nodes import NO_EDITS
from flows.engine.plan import Begin, Child, Decision, End, Entry, Handle, Record, Retry, RunFacts, Withdraw
from flows.engine.planner import Planner
from flows.engine.states import OPEN_REQUEST_STATES
from flows.execution import unknowns
from flows.execution.allowances import Allowances
from flows.execution.carried import Carried
from flows.execution.claims import ClaimedRun, Journal, News, RequestRow
from flows.execution.context import (
    ONCE,
    Answer,
    Ask,
    Enter,
    Intent,
    OpenCall,
    Outcome,
    Past,
    Settlement,
    StepContext,
    Waiting,
    WorkKind,
)
from flows.execution.handling import Handling
from flows.execution.journal import Op, Verdict
from flows.execution.journal import Record as JournalRecord
from flows.execution.jsontext import LARGEST, dump, kept, load, plain
from flows.execution.killswitch import REASON as KILL_SWITCH
from flows.execution.lines import ask_line, begin_op, end_op, handle_op, never_made, note_op, result_op, settle_op, tokens_of
from flows.execution.purse import HeldBack, Purse, Wish
from flows.models.identifiers import new_id, shown

if TYPE_CHECKING:
    from flows.execution.worker import Engine

log = logging.getLogger(__name__)

SHORT_WAIT = 2.0
"""Seconds: a run whose next attempt or timer is nearer than this stays in memory instead of being parked."""

TELLS_OF_WAIT = 0.5
"""Seconds after which a call that waits for a slot of its model says so."""

MOST_CLAIMS = 3
"""Claims in a row without a finished step, after which the run fails instead of killing another worker."""

ANSWERED = frozenset({"approved", "rejected", "changes_requested", "expired"})


class Driver:
    """The owner of one run while it holds its epoch."""

    __slots__ = (
        "_asking",
        "_asks",
        "_begins",
        "_broken_off",
        "_deadline",
        "_deliveries",
        "_dropped",
        "_in_line",
        "_ops",
        "_outstanding",
        "_pasts",
        "_record",
        "_refreshing",
        "_results",
        "_rows",
        "_saves",
        "_scheduled",
        "_signals",
        "_stopped_by_switch",
        "_taken",
        "_takes",
        "_timer",
        "_timers",
        "_withdraws",
        "answers",
        "asked",
        "cancelled",
        "carried",
        "engine",
        "handling",
        "paused",
        "planner",
        "purse",
        "repeats",
        "run",
        "tasks",
    )

    def __init__(self, engine: Engine, run: ClaimedRun, flow: Flow) -> None:
        self.engine = engine
        self.run = run
        started = run.started_at.isoformat().replace("+00:00", "Z")
        facts = {
            "id": shown("run", run.id),
            "number": run.number,
            "flow": run.flow,
            "version": run.version,
            "started_at": started,
            "key": run.key,
            "tags": run.tags,
            "by": run.by,
        }
        state = dict(flow.document.state or {})
        self.planner = Planner(flow, RunFacts(load(run.input), state, facts, run.cap_steps, run.steps, run.at_limit))
        self.handling = Handling.of(run.handling)
        for path, done in self.handling.given.items():
            self.planner.go_past(path, done)
        self.purse = Purse(self, Allowances(self.planner), run.saving)
        self.repeats: dict[str, int] = {}  # path of a step of unknown outcome → the attempt that people allowed
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.asked = run.epoch > 1  # whether requests of this run may be open
        self.cancelled = False
        self.paused = run.paused
        self.carried = Carried()
        self.answers: dict[str, str] = {}  # path of a request → hash of the payload as it was decided
        self._signals = run.signals
        self._stopped_by_switch = False  # the kill switch refused a call: nothing more begins here
        self._record = 0
        self._outstanding = False
        self._scheduled = False
        self._dropped = False
        self._refreshing = False
        self._broken_off: list[str] = []  # steps that were begun and may not have been; begun anew once they may
        self._ops: list[Op] = []
        self._rows: dict[tuple[str, int], Op] = {}  # of `_ops`: those that write an attempt
        self._begins: list[Wish] = []  # of `_ops`: who waits for their verdict
        self._asking: set[str] = set()  # paths of steps whose question is open
        self._saves: list[Op] = []
        self._in_line: set[str] = set()  # paths of steps whose call waits for a permit
        self._asks: list[Op] = []
        self._withdraws: list[Op] = []
        self._takes: list[Op] = []
        self._taken: set[uuid.UUID] = set()  # deliveries that a wait of this run has had
        self._results: list[tuple[StepContext, Outcome | Failure | HeldBack | None]] = []
        self._pasts: dict[str, Past] = {}
        self._timers: dict[str, float] = {}  # path → monotonic time
        self._timer: asyncio.TimerHandle | None = None
        self._deadline: asyncio.TimerHandle | None = None  # the run's own
        self._deliveries: list[tuple[uuid.UUID, str, str]] = []  # (id, event, JSON text), oldest first

    # ------------------------------------------------------------------ beginning

    def start(
        self,
        journal: Journal | None,
        children: Mapping[str, Child] | None = None,
        used: Mapping[str, tuple[Decimal, int]] | None = None,
    ) -> None:
        """Take the run up where its journal ends. `children` are the flows of its open sub-flows, by version; `used` is what those
        with limits of their own have used, by path."""
        self.purse.allowances.remember(used or {})
        if journal is not None:
            self._take_up(journal, children or {})
        if self.run.claims > MOST_CLAIMS:
            self._give_up()
        if self.run.cancel_requested:
            self.cancel()
        elif self.run.seconds_left is not None and self.run.seconds_left <= 0:
            self._stop_for_time()  # at once: a timer would come after the run has been parked again
        else:
            self._set_deadline()
        self._fire_timers()
        self._schedule()

    def _take_up(self, journal: Journal, children: Mapping[str, Child]) -> None:
        now = time.monotonic()
        entries: list[tuple[float, Entry]] = []
        reported: dict[str, int] = {}  # the newest attempt that has an outcome, or waits
        for row in journal.attempts:
            if row.status in {"failed", "waiting"}:
                reported[row.path] = row.n
            entry = Entry(
                row.path,
                row.n,
                row.status,
                row.port,
                load(row.output),
                load(row.state) or {},
                load(row.error),
                row.remaining,
                load(row.checkpoint),
            )
            entries.append((row.seq, entry))
            if row.remaining is not None:
                self._timers[row.path] = now + row.remaining
        for path, row_ in journal.open_paths.items():
            self._pasts[path] = Past(
                row_.n,
                now - row_.elapsed,
                row_.spent,
                row_.tokens,
                row_.last,
                row_.repeat,
                row_.attempt,
                row_.hash or "",
                row_.unresolved,
            )
            begun = Entry(path, row_.attempt, "begun")
            entries.append((row_.seq, begun))
            if path in reported and row_.attempt > reported[path]:
                entries.append((float("inf"), begun))
        entries.sort(key=lambda pair: pair[0])
        self.planner.replay((entry for _, entry in entries), children)
        self._timers = {path: due for path, due in self._timers.items() if path in self.planner.held}
        self._deliveries = [(row.id, row.event, row.payload) for row in journal.deliveries]
        for path, lost in journal.carried.unknown.items():
            self._pasts.setdefault(path, Past(last="unknown", repeat=lost.repeat, hash=lost.hash, unresolved=lost.sent))
        self._heed(journal.carried)
        self._hear(journal.requests)
        self._match_deliveries()

    def _give_up(self) -> None:
        paths = [path for path, past in self._pasts.items() if past.last == "unknown"] or [
            "between two steps" if self.planner.taken_steps else "before its first step"
        ]
        message = f"The worker died {MOST_CLAIMS} times in step {', '.join(paths)}."
        self.planner.break_down({"step": paths[0], "class": "worker_died", "message": message})

    # ------------------------------------------------------------------ what steps report

    async def begin_call(self, context: StepContext, intent: Intent, n: int) -> OpenCall:
        """Commit the intent of one call. See `StepContext.begin`."""
        self._write_settled(context)
        await self.engine.may_begin()
        self.purse.heed_step_limit(context, intent)
        await self.purse.heed_subflow_limits(context.path, intent)
        if self.paused:
            raise asyncio.CancelledError  # broken off before it was sent; begun again when the run is resumed
        key = uuid.uuid5(self.run.id, f"{context.path}/{self.carried.generation(context.path)}")
        call = OpenCall(new_id(), n, key, intent)
        self.purse.allowances.reserve(context.path, call)
        wish = Wish(context, call, begin_op(context, call), self.engine.loop.create_future())
        try:
            limits = self.engine.services.limits_of(intent.kind, intent.target)
            if limits is not None:
                await self._take_permit(context, call, limits)
            if self.engine.budgets.any and intent.kind == "model" and not intent.simulated:
                await self._hold(call)
            self._wish(wish)
            self._schedule()
            await wish.verdict
        except BaseException as error:
            self.purse.allowances.release(call)
            self.engine.permits.give_back(call.id)
            if not isinstance(error, asyncio.CancelledError) or wish in self.purse.refused:
                self.engine.budgets.let_go(call.id)  # else the record's verdict may still come
            raise
        return call

    async def _hold(self, call: OpenCall) -> None:
        """Holds what the call may use in the budgets that apply; where one has no room, does what it says."""
        reached = await self.engine.budgets.hold(self.run.id, self.run.epoch, call.id, call.intent)
        if reached is not None:
            self.purse.heed_budget(reached, call.intent)

    def _wish(self, wish: Wish) -> None:
        self._begins.append(wish)
        self._ops.append(wish.op)

    async def _take_permit(self, context: StepContext, call: OpenCall, limits: CallLimits) -> None:
        """Waits until the model or tool has room. The step's own time goes on meanwhile; pages are told of a wait that lasts."""
        told = self.engine.loop.call_later(TELLS_OF_WAIT, self._tell_of_wait, context.path, limits)
        self._in_line.add(context.path)
        left = context.time_left(float("inf"))
        try:
            async with asyncio.timeout(None if left == float("inf") else left):
                await self.engine.permits.take(limits, self.run.id, call.id, call.intent.reserve_tokens)
        except TimeoutError:
            raise TimedOut(f"The step's time was over before {limits.name} had a slot for it.") from None
        finally:
            told.cancel()
            self._in_line.discard(context.path)

    def _tell_of_wait(self, path: str, limits: CallLimits) -> None:
        if not self._dropped:
            data = orjson.dumps({"for": f"a slot of {limits.name}"}).decode()
            self._ops.append({"op": "note", "event": "call.waiting", "path": path, "data": data})
            self._schedule()

    def settle_call(self, context: StepContext, call: OpenCall, result: Settlement, last: bool) -> None:
        """Write down what became of a call. See `StepContext.settle`."""
        if result.cost is not None:
            context.past.spent += result.cost
        tokens = tokens_of(call.intent, result)
        context.past.tokens += tokens
        self.purse.allowances.release(call, result.cost or Decimal(0), tokens)
        past = context.past
        past.last, past.repeat, past.last_attempt = result.status, call.intent.repeat, context.attempt
        past.hash = past.hash or call.intent.request_hash
        if result.status == "unknown" and call.intent.kind == "tool":
            past.unresolved = unknowns.sent(call, self.engine.database_now())
        self.purse.settled(call)
        self.engine.permits.give_back(call.id)
        op = settle_op(context.path, call, result, last)
        if last:
            context.settled.append(op)  # not before the step's result is there: a record may be about to be sent
        else:
            self._ops.append(op)
            self._schedule()

    def _write_settled(self, context: StepContext) -> None:
        self._ops += context.settled
        context.settled = []

    def text_sink(self, path: str, call: uuid.UUID) -> Callable[[str], None]:
        return self.engine.live.text_sink(self.run.id, path, call)

    async def _perform(self, context: StepContext) -> None:
        """Carry out one attempt. Its outcome reaches the run through `_home`, whatever happens to this task."""
        kind = context.node.kind
        if not isinstance(kind, WorkKind):
            raise TypeError(f"{kind.slug} cannot be carried out")
        if context.node.timeout is None:
            outcome = await kind.perform(context)
        else:
            try:
                async with asyncio.timeout(context.node.timeout):
                    outcome = await kind.perform(context)
            except TimeoutError:
                if context.open_call is not None and context.open_call.intent.repeat in ONCE:
                    raise UnknownOutcome("The step's time was over before the outcome of its call was known.") from None
                raise TimedOut(f"The step took longer than its limit of {context.node.timeout:g} s.", sent=True) from None
        if isinstance(outcome, Done):  # an output that cannot be kept fails the attempt, not the run
            outcome = Done(kept(outcome.output), outcome.port, outcome.state)
        self._results.append((context, outcome))

    def _home(self, context: StepContext, task: asyncio.Task[None]) -> None:
        """A task has ended: with a result, a failure, or broken off. (A task that is cancelled before its first step never enters
        its own `try`, so this is where everything is heard of.)"""
        if self.tasks.get(context.path) is task:
            del self.tasks[context.path]
        if self._dropped:
            return
        failure: Failure | None = None
        if task.cancelled():
            self._close_call(context, "cancelled", "The call was broken off.")
            self._results.append((context, None))
        elif isinstance(error := task.exception(), HeldBack):
            self._results.append((context, error))
        elif error is not None:
            if isinstance(error, Failure):
                failure = error
            else:
                log.error("run %s, step %s: %s", self.run.id, context.path, type(error).__name__, exc_info=error)
                failure = Failure(f"{type(error).__name__} in the step's own code; the worker's log has the details.", sent=True)
            self._close_call(context, failure.slug, failure.message)
            self._results.append((context, failure))
        self._schedule()

    def _close_call(self, context: StepContext, error_class: str, message: str) -> None:
        call = context.open_call
        if call is not None:
            context.settle(
                call,
                Settlement(
                    "unknown",
                    cost=call.intent.reserve if call.intent.priced else None,
                    paid=call.intent.kind == "model",
                    usage_source="estimated",
                    error_class=error_class,
                    error_message=message,
                ),
            )

    # ------------------------------------------------------------------ planning

    def _schedule(self) -> None:
        """Plan as soon as the loop is free. What the steps that begin now have to say comes into the same record."""
        if not (self._scheduled or self._outstanding or self._dropped):
            self._scheduled = True
            self.engine.loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        if self._outstanding or self._dropped:
            return
        try:
            self._plan()
        except Exception:  # the worker's edge: claimed again, and failed after three times, instead of being stuck in memory
            log.exception("run %s could not be planned", self.run.id)
            self.drop()
            return
        # The tasks that were just made take their first steps before this comes round: their intents ride along. What else happens
        # until then is planned after it, so nothing may keep `_schedule` from another turn.
        self.engine.loop.call_soon(self._send)

    def _plan(self) -> None:
        results, self._results = self._results, []
        for context, outcome in results:
            self._take_in(context, outcome)
        if results:
            for wish in self.purse.again():
                self._wish(wish)
        if self._broken_off and self._may_begin:  # a run that was paused, and resumed before it came to rest
            self.planner.take_up(self._broken_off)
            self._broken_off = []
        for decision in self.planner.decide(begin=self._may_begin):
            self._carry_out(decision)
        if self.planner.out_of_steps:
            self.purse.out_of_steps()

    @property
    def _may_begin(self) -> bool:
        return not (self.engine.draining or self.paused or self._stopped_by_switch)

    def _take_in(self, context: StepContext, outcome: Outcome | Failure | HeldBack | None) -> None:
        self._write_settled(context)
        path = context.path
        if isinstance(outcome, Done):
            self._pasts.pop(path, None)
            self.planner.succeed(path, outcome)
        elif isinstance(outcome, UnknownOutcome):
            self._ask_what_happened(context, outcome)
        elif isinstance(outcome, Failure):
            if isinstance(outcome, TooDear):
                self.planner.stop("budget_stopped", outcome.limit)
            repeatable = not (outcome.sent and context.past.repeat in ONCE)
            context.past.calls = context.calls
            self.planner.fail(path, outcome, elapsed=context.elapsed, repeatable=repeatable)
        elif isinstance(outcome, HeldBack):
            context.past.calls = context.calls - 1  # the last one was not made
            self.planner.put_back(path, counted=context.attempt > 1 or context.past.calls > 0)
        elif isinstance(outcome, Waiting):
            self._park_step(context, outcome)
        elif isinstance(outcome, Enter):
            self._pasts.pop(path, None)
            self.planner.enter(path, outcome.child, outcome.given)
        else:
            self.planner.abandon(path)
            self._broken_off.append(path)

    def _ask_what_happened(self, context: StepContext, failure: UnknownOutcome) -> None:
        """Nobody knows what became of a call that may not be repeated. Where only looking it up failed, that is tried again as the
        step's retry policy says; else people are asked."""
        context.past.calls = context.calls
        looking = failure.looking
        if looking is not None and self.planner.may_retry(context.path, looking, context.elapsed):
            self.planner.fail(context.path, looking, elapsed=context.elapsed)
        else:
            self._park_step(context, Waiting(unknowns.question(context, failure)))

    def _park_step(self, context: StepContext, waiting: Waiting) -> None:
        path = context.path
        data: dict[str, Any] = {}
        if waiting.ask is not None:
            data = self._put_question(path, waiting.ask)
        if waiting.event is not None:
            data["event"] = waiting.event
        op: Op = self._result(path, context.attempt, context.node.kind.slug, "waiting", "step.waiting", data)
        seconds = waiting.seconds
        if waiting.until is not None:
            op["until"] = waiting.until.isoformat()
            seconds = (waiting.until - self.engine.database_now()).total_seconds()
        elif seconds is not None:
            op["delay"] = seconds
        if seconds is not None:
            self._timers[path] = time.monotonic() + seconds
        self._ops.append(op)
        self.planner.wait(path)
        self._match_deliveries()

    def _put_question(self, path: str, ask: Ask) -> dict[str, Any]:
        """A question to people, to be written with the next record; what its event says."""
        self.asked = True
        self._asking.add(path)
        line, data = ask_line(self.run.id, path, ask)
        self._asks.append(line)
        return data

    def ask(self, path: str, ask: Ask) -> None:
        """A question that is no step's own: the step at `path`, or the run, has reached a limit."""
        if not self._dropped:
            self.note("request.asked", path, self._put_question(path, ask))
            self._schedule()

    def note(self, event: str, path: str, data: dict[str, Any]) -> None:
        """Writes an event that changes nothing by itself."""
        self._ops.append(note_op(event, path, data))

    def save(self) -> None:
        """From now on only cheaper candidates: kept with the run, so that it holds after a restart, too."""
        self._saves.append({"run": self.run.id})

    def _result(self, path: str, n: int, kind: str, status: str, event: str, data: Any = None) -> Op:
        op = result_op(path, n, kind, status, event, data)
        before = self._rows.get((path, n))
        if before is not None:
            before["op"] = "note"  # one record writes an attempt once: of what it was a moment ago only the event remains
        self._rows[path, n] = op
        return op

    def _carry_out(self, decision: Decision) -> None:
        match decision:
            case Begin():
                self._begin(decision)
            case Record():
                self._ops.append(self._recorded(decision))
            case Retry(path, n, node, delay, error):
                op = self._result(path, n, node.kind.slug, "failed", "step.retrying", {**error, "delay": round(delay, 3)})
                op |= {"error": orjson.dumps(error).decode(), "delay": delay}
                self._ops.append(op)
                self._timers[path] = time.monotonic() + delay
            case Withdraw(path, n, node):
                self._asking.discard(path)
                self._timers.pop(path, None)
                self._ops.append(self._result(path, n, node.kind.slug, "skipped", "step.skipped"))
                self._withdraws.append({"run": self.run.id, "path": path})
            case Handle():
                self._ops.append(handle_op(decision))
            case End():
                self._ops.append(end_op(decision))
                if self.asked:
                    self._withdraws.append({"run": self.run.id, "path": None})

    def _begin(self, decision: Begin) -> None:
        past = self._pasts.setdefault(decision.path, Past())
        if past.calls == 0:
            past.began = time.monotonic()
        context = StepContext(self, decision, past, self.engine.services.under(self.handling))
        task = self.engine.loop.create_task(self._perform(context))
        task.add_done_callback(functools.partial(self._home, context))
        self.tasks[decision.path] = task

    def _recorded(self, record: Record) -> Op:
        kind = record.node.kind.slug
        if record.status == "open":
            return self._opened(record)
        if record.done is not None:
            done = record.done
            data = None if done.port == "done" else {"port": done.port}
            op = self._result(record.path, record.n, kind, "succeeded", "step.succeeded", data)
            op["port"] = done.port
            op["output"] = dump(done.output, most=16 * LARGEST)
            if done.state:
                op["state"] = dump(dict(done.state))
            return op
        self._pasts.pop(record.path, None)
        event = {"failed": "step.failed", "skipped": "step.skipped"}[record.status]
        op = self._result(record.path, record.n, kind, record.status, event, record.error)
        if record.error is not None:
            op["error"] = orjson.dumps(record.error).decode()
        return op

    def _opened(self, record: Record) -> Op:
        """A container that has opened, or a loop's next round: its row says from where it goes on after a crash."""
        kind, facts = record.node.kind.slug, record.checkpoint or {}
        if "round" in facts:
            op = self._result(record.path, record.n, kind, "open", "step.round", {"round": facts["round"]})
        else:
            data = {name: facts[name] for name in ("flow", "number", "version") if name in facts}
            op = self._result(record.path, record.n, kind, "open", "step.opened", data)
        if facts:
            op["checkpoint"] = dump(facts, most=16 * LARGEST)
        return op

    # ------------------------------------------------------------------ writing

    def _send(self) -> None:
        if self._outstanding or self._dropped:
            return
        self._forget_broken_off()
        self._rest()
        if not (self._ops or self._asks or self._withdraws or self._takes):
            if self._results or (self.planner.more and self._may_begin):
                self._schedule()  # something came home while this was on its way
            return
        self._record += 1
        record = JournalRecord(
            self.run.id,
            self.run.epoch,
            self._record,
            self._signals,
            self.planner.taken_steps,
            self._ops,
            self._asks,
            self._withdraws,
            self._takes,
            self._saves,
        )
        begins, self._begins = self._begins, []
        self._ops, self._asks, self._withdraws, self._takes, self._saves = [], [], [], [], []
        self._rows = {}
        self._outstanding = True
        self.engine.writer.submit(record, functools.partial(self._heard, record, begins))

    def _forget_broken_off(self) -> None:
        """Calls whose step was broken off before their intent was sent do not begin at all."""
        gone = {id(wish.op) for wish in self._begins if wish.verdict.cancelled()}
        if gone:
            self._begins = [wish for wish in self._begins if id(wish.op) not in gone]
            self._ops = [op for op in self._ops if id(op) not in gone]

    def _rest(self) -> None:
        """Park the run, or hand it on, where nothing of it is being done here."""
        planner, purse = self.planner, self.purse
        for path in purse.moot():
            self._asking.discard(path)
            self._withdraws.append({"run": self.run.id, "path": path})
        soonest = min(self._timers.values(), default=None)
        seconds = None if soonest is None else soonest - time.monotonic()
        if self.tasks or self._results or planner.ended or purse.preparing or self._refreshing:
            if seconds is not None:  # a wait or a back-off beside what is in flight
                self._set_timer(seconds)
            return
        if self.engine.draining:
            self._ops.append({"op": "fate", "event": None, "next": "queued"})
            return
        if self.paused:
            self._park("waiting", "paused", None)
            return
        if self._stopped_by_switch:
            self._park("waiting", KILL_SWITCH, seconds)
            return
        if planner.more or not (planner.held or purse.questions):
            return
        if seconds is not None and seconds < SHORT_WAIT:
            self._set_timer(seconds)
            return
        status, reason = self._resting()
        self._park(status, reason[:60], seconds)

    def _park(self, status: str, reason: str, seconds: float | None) -> None:
        op: Op = {"op": "fate", "event": "run.parked", "next": status, "reason": reason, "wake": seconds}
        data: dict[str, Any] = {"status": status, "paths": [*self.planner.held, *sorted(self.purse.held)][:20]}
        if reason in {"paused", "budget", "outcome_unknown", KILL_SWITCH}:
            data["reason"] = reason
        op["data"] = orjson.dumps(data).decode()
        self._ops.append(op)

    def _resting(self) -> tuple[str, str]:
        """The state of a run that rests, and why: a question about money, an unknown outcome, or the path that is waited for."""
        held = self.planner.held
        if self.purse.questions:
            return "waiting_approval", "budget"
        for path in held:
            if path in self._asking:
                unknown = held[path].node.kind.role is Role.EFFECT
                return "waiting_approval", "outcome_unknown" if unknown else path
        statuses = {task.status for task in held.values()}
        return next(name for name in ("retrying", "waiting") if name in statuses), next(iter(held))

    def _heard(self, record: JournalRecord, begins: list[Wish], verdict: Verdict | BaseException) -> None:
        """The record has its verdict: the calls that may begin begin; the run goes on, rests or is let go."""
        self._outstanding = False
        if self._dropped:
            return
        if isinstance(verdict, BaseException):
            self._refused_by_database(record, verdict)
            return
        if verdict.fenced:
            log.warning("run %s: fenced at epoch %s", self.run.id, self.run.epoch)
            self.engine.lease.fenced += 1
            self.drop()
            return
        self.engine.live.touch(self.run.id)
        if record.asks or record.withdraws:
            self.engine.live.inbox()
        positions = {id(op): i for i, op in enumerate(record.ops)} if verdict.refused else {}
        alone = True
        for wish in begins:
            reason = verdict.refused.get(positions[id(wish.op)]) if positions else None
            if reason is None and wish.verdict.cancelled():
                self._ops.append(never_made(wish.op))
            elif reason is None:
                self.purse.began(wish.call)
                if not wish.verdict.done():
                    wish.verdict.set_result(None)
            else:
                if wish.verdict.done():
                    self.engine.budgets.let_go(wish.call.id)
                alone = self._refuse(wish, reason, alone) and alone
        if not self._begins:
            for wish in self.purse.next_alone():
                self._wish(wish)
        if verdict.signals is not None or verdict.fate == "signalled":
            self._refresh()
        if verdict.fate == "cancelled":
            self._end_cancelled()
        elif verdict.fate == "open":
            log.error("run %s: calls are open that nobody here makes", self.run.id)
            self.drop()  # claimed again at once, which settles them
            return
        elif verdict.fate is None and record.ops and record.ops[-1]["op"] == "fate":
            self.leave()
            return
        self._schedule()

    def _refuse(self, wish: Wish, reason: str, alone: bool) -> bool:
        """The call may not begin. Gives whether what stands behind it is judged without it."""
        if reason in {"cost", "tokens"}:
            self.purse.turn_away(wish, reason, alone=alone)
            return False
        if reason == "again":
            self._wish(wish)
        elif reason == "deadline":
            self._time_out()
        elif reason == "paused":
            wish.verdict.cancel()
            self._refresh()
        elif reason == KILL_SWITCH:
            self._stopped_by_switch = True  # the step is begun anew when the run is woken
            wish.verdict.cancel()
        else:
            self.cancel()
        return True

    def _refused_by_database(self, record: JournalRecord, error: BaseException) -> None:
        """PostgreSQL takes no such record, alone as it is. The run fails with what it says; its calls are closed without texts."""
        if self.planner.root.failure is not None and self.planner.root.failure["class"] == "internal":
            log.error("run %s: its failure could not be recorded: %s", self.run.id, error)
            self.drop()
            return
        message = f"What happened could not be recorded: {error}"
        self.planner.ended = False  # where the end was part of the record, there is another one now
        self.planner.root.failure = {"step": "", "class": "internal", "message": plain(message, 500)}
        self.planner.stop("failed", "internal")  # without an error handler: what it writes would be refused as well
        for op in record.ops:
            if op["op"] == "settle":
                self._ops.append(op | {"response": None, "error_message": "", "provider_id": ""})
        for task in list(self.tasks.values()):
            task.cancel()
        self._schedule()

    # ------------------------------------------------------------------ news from outside

    def hear_of(self, signals: int, cancel: bool) -> None:
        """What the run's row says: where that is news, find out what changed."""
        if signals != self._signals or (cancel and not self.cancelled):
            self._refresh()

    def _refresh(self) -> None:
        if not (self._refreshing or self._dropped):
            self._refreshing = True
            self.engine.spawn(self._read_news())

    async def _read_news(self) -> None:
        try:
            news, journal = await self.engine.news_of(self.run.id)
        finally:
            self._refreshing = False
        if self._dropped:
            return
        if news is None:  # the run is another's
            self.drop()
            return
        self._signals = news.signals
        if news.cancel_requested:
            self.cancel()
        self._take_up_limits(news)
        self._heed_pause(news.paused)
        self._heed(journal.carried)
        known = {delivery[0] for delivery in self._deliveries} | self._taken
        self._deliveries += [(row.id, row.event, row.payload) for row in journal.deliveries if row.id not in known]
        self._hear(journal.requests)
        self._match_deliveries()
        self._schedule()

    def _heed_pause(self, paused: bool) -> None:
        """Begin nothing while the run is paused. Calls in flight finish; what waits for room is begun again later."""
        self.paused = paused
        if paused:
            for path in self._in_line:
                self.tasks[path].cancel()
            for wish in self.purse.again():
                wish.verdict.cancel()

    def _heed(self, carried: Carried) -> None:
        """What people decided about steps that have not begun."""
        self.carried = carried
        self.planner.edits = carried.inputs
        for path, done in carried.skips.items():
            if self.planner.go_past(path, done):
                self._timers.pop(path, None)

    def _take_up_limits(self, news: News) -> None:
        """Takes up the limits as they are now; what found no room before may try again."""
        run, planner = self.run, self.planner
        run.cap_cost, run.cap_tokens, run.cap_steps, run.at_limit = news.cap_cost, news.cap_tokens, news.cap_steps, news.at_limit
        planner.steps_cap, planner.at_limit = news.cap_steps, news.at_limit
        self.purse.saving = self.purse.saving or news.saving
        if news.seconds_left != run.seconds_left:
            run.seconds_left = news.seconds_left
            self._set_deadline()

    def _hear(self, requests: list[RequestRow]) -> None:
        newest = {(request.path, request.kind): request for request in requests}  # the later rounds come last
        self.purse.hear(newest.values())
        self.planner.begin_again(self.purse.release())
        for request in newest.values():
            if request.kind == "approval" and request.state in ANSWERED:
                self.answers[request.path] = sha256_of(load(request.answer))
            elif request.kind == "unknown" and request.outcome == "repeat":
                self.repeats[request.path] = unknowns.asked_in(request) + 1
            task = self.planner.held.get(request.path)
            if task is None or task.status != "waiting" or request.kind == "budget":
                continue
            if request.state in OPEN_REQUEST_STATES:
                self._asking.add(request.path)
            elif request.state in ANSWERED:
                self._asking.discard(request.path)
                self._take_answer(request, task)

    def _take_answer(self, request: RequestRow, task: Task) -> None:
        path, kind = request.path, task.node.kind
        if request.kind == "unknown":
            if unknowns.asked_in(request) != task.n:
                return  # of an attempt that is over
            if request.outcome == "happened":
                self._pasts.pop(path, None)
                self.planner.succeed(path, unknowns.result_of(request))
            elif request.outcome == "repeat":
                self.planner.repeat(path, UnknownOutcome("It may be repeated, people said."))
            else:
                self.planner.fail(path, unknowns.failure_of(request), repeatable=False)
        elif isinstance(kind, WorkKind):
            answer = Answer(request.state, request.outcome, load(request.answer), request.comment, request.by)
            self._finish_wait(path, kind.on_answer, task.node.settings, answer)

    def _match_deliveries(self) -> None:
        for path, task in list(self.planner.held.items()):
            kind = task.node.kind
            if task.status != "waiting" or not isinstance(kind, WorkKind) or not self._deliveries:
                continue
            rendered = (
                task.rendered
                if task.rendered is not None
                else task.node.render(task.names or {}, self.planner.edits.get(path) or NO_EDITS)
            )
            name = kind.event_name(task.node.settings, rendered)
            found = next((delivery for delivery in self._deliveries if delivery[1] == name), None)
            if name is not None and found is not None:
                self._deliveries.remove(found)
                self._taken.add(found[0])
                self._takes.append({"id": found[0], "path": path})
                self._finish_wait(path, kind.on_event, task.node.settings, load(found[2]))

    def _finish_wait(self, path: str, result: Callable[..., Done], *given: Any) -> None:
        self._asking.discard(path)
        self._timers.pop(path, None)
        try:
            self.planner.succeed(path, result(*given))
        except Failure as failure:
            self.planner.fail(path, failure, repeatable=False)

    # ------------------------------------------------------------------ time

    def _set_timer(self, seconds: float) -> None:
        """Look at the timers in so many seconds, or earlier where that was meant already."""
        loop = self.engine.loop
        if self._timer is not None:
            if self._timer.when() <= loop.time() + seconds:
                return
            self._timer.cancel()
        self._timer = loop.call_later(max(seconds, 0.0), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if not self._dropped:
            self._fire_timers()
            self._schedule()

    def _fire_timers(self) -> None:
        now = time.monotonic()
        for path, due in list(self._timers.items()):
            task = self.planner.held.get(path)
            if task is None:
                del self._timers[path]
            elif due <= now:
                del self._timers[path]
                if task.status == "retrying":
                    self.planner.resume(path)
                elif isinstance(task.node.kind, WorkKind):
                    self._finish_wait(path, task.node.kind.on_time, task.node.settings)

    def _time_out(self) -> None:
        """The run's deadline has come: nothing more begins, and what is in flight is broken off."""
        if not self._dropped:
            self._stop_for_time()
            self._break_off()
            self._schedule()

    def _set_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self.run.seconds_left is not None:
            self._deadline = self.engine.loop.call_later(max(self.run.seconds_left, 0.0), self._time_out)

    def _stop_for_time(self) -> None:
        if self.run.at_limit == "finish":
            self.planner.stop("succeeded", "limited", otherwise="timed_out")
        else:
            self.planner.stop("failed", "timed_out")

    # ------------------------------------------------------------------ endings

    def cancel(self) -> None:
        """Begin nothing more, break off what is in flight, and end as cancelled."""
        if not self.cancelled:
            self.cancelled = True
            self.planner.stopping = ("cancelled", "cancelled_by")
            self._break_off()
            self._schedule()

    def _break_off(self) -> None:
        self.purse.refused = []
        for task in list(self.tasks.values()):
            task.cancel()

    def _end_cancelled(self) -> None:
        """The run was cancelled while its end was on its way: it ends as cancelled."""
        self.cancelled = True
        self._ops.append(end_op(End("cancelled", "cancelled_by")))
        if self.asked:
            self._withdraws.append({"run": self.run.id, "path": None})

    def leave(self) -> None:
        """The run has ended, or rests in the database: nothing of it is needed here."""
        self._dropped = True
        for timer in (self._timer, self._deadline):
            if timer is not None:
                timer.cancel()
        self.engine.forget(self)

    def drop(self) -> None:
        """Somebody else drives the run, or will: forget everything, write nothing."""
        self.engine.permits.let_go(self.run.id)
        self.leave()
        for task in list(self.tasks.values()):
            task.cancel()
