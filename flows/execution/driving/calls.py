"""The way of a run's steps to models and tools: intents before, settlements after, and what a step may know of its run."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from flows.engine.calllimits import CallLimits
from flows.engine.document import Limits
from flows.engine.failures import TimedOut
from flows.engine.plan import Child
from flows.execution.context import Intent, OpenCall, Settlement, StepContext
from flows.execution.driving import unknowns
from flows.execution.driving.desk import Desk
from flows.execution.driving.lines import begin_op, settle_op, tokens_of
from flows.execution.driving.purse import Purse
from flows.execution.driving.sheet import Wish
from flows.execution.handling import Handling
from flows.models.identifiers import keys_of, new_id

log = logging.getLogger(__name__)

TELLS_OF_WAIT = 0.5
"""Seconds after which a call that waits for a slot of its model says so."""


class Calls:
    """The host of each step's context (`flows.execution.context.Host`)."""

    __slots__ = ("_desk", "_in_line", "_key_of", "_purse")

    def __init__(self, desk: Desk, purse: Purse) -> None:
        self._desk = desk
        self._purse = purse
        self._key_of = keys_of(desk.run.id)
        self._in_line: set[str] = set()  # paths of steps whose call waits for a permit

    @property
    def waiting_for_room(self) -> list[str]:
        """The paths of steps whose call waits until its model or tool has room."""
        return list(self._in_line)

    # ------------------------------------------------------------------ what a step may know

    @property
    def handling(self) -> Handling:
        return self._desk.handling

    @property
    def saving(self) -> bool:
        return self._purse.saving

    @property
    def run(self) -> uuid.UUID:
        return self._desk.run.id

    @property
    def now(self) -> datetime:
        return self._desk.engine.database_now()

    def limits_of(self, path: str) -> Limits | None:
        return self._desk.planner.tasks[path].node.limits

    def left_of(self, path: str) -> tuple[Decimal | None, int | None]:
        return self._purse.left_of(path)

    def edits(self, path: str) -> Mapping[str, Any] | None:
        return self._desk.carried.inputs.get(path)

    def decided_hash(self, path: str) -> str | None:
        return self._desk.answers.get(path)

    def may_repeat(self, path: str, attempt: int) -> bool:
        return self._desk.repeats.get(path) == attempt

    def has_cost_cap(self, path: str) -> bool:
        return self._desk.run.cap_cost is not None or self._purse.allowances.cap_cost(path)

    async def find_flow(self, slug: str, version: int | None) -> Child:
        return await self._desk.engine.find_flow(slug, version)

    def text_sink(self, path: str, call: uuid.UUID) -> Callable[[str], None]:
        return self._desk.engine.live.text_sink(self._desk.run.id, path, call)

    # ------------------------------------------------------------------ before the call

    async def begin(self, context: StepContext, intent: Intent, n: int) -> OpenCall:
        """Commit the intent of one call. See `StepContext.begin`."""
        desk, engine, purse = self._desk, self._desk.engine, self._purse
        self.write_settled(context)
        if not engine.lease.may_begin:
            await engine.may_begin()
        purse.heed_step_limit(context, intent)
        await purse.heed_limits_around(context.path, intent)
        if desk.paused:
            raise asyncio.CancelledError  # broken off before it was sent; begun again when the run is resumed
        key = self._key_of(f"{context.path}/{desk.carried.generation(context.path)}")
        call = OpenCall(new_id(), n, key, intent)
        purse.allowances.reserve(context.path, call)
        wish = Wish(context, call, begin_op(context, call), engine.loop.create_future())
        try:
            limits = engine.services.limits_of(intent.kind, intent.target)
            if limits is not None:
                await self._take_permit(context, call, limits)
            if engine.budgets.any and intent.kind == "model" and not intent.simulated:
                await self._hold(context.path, call)
            desk.sheet.wish(wish)
            desk.post()
            await wish.verdict
        except BaseException:
            purse.allowances.release(call)
            engine.permits.give_back(call.id)
            if not wish.sent:
                engine.budgets.let_go(call.id)
            raise
        if desk.handling.drill == "dead_worker" and desk.run.epoch == 1:
            self._play_dead()
        return call

    def _play_dead(self) -> None:
        """A drill: what the death of this process would leave of the run is left of it, while a call is in flight."""
        run = self._desk.run
        log.warning("run %s: a drill lets go of it as if its worker had died", run.id)
        self._desk.engine.drivers[run.id].drop()
        raise asyncio.CancelledError

    async def _hold(self, path: str, call: OpenCall) -> None:
        """Holds what the call may use in the budgets that apply; where one has no room, does what it says."""
        run = self._desk.run
        reached = await self._desk.engine.budgets.hold(run.id, run.epoch, call.id, call.intent, path)
        if reached is not None:
            self._purse.heed_budget(path, reached, call.intent)

    async def _take_permit(self, context: StepContext, call: OpenCall, limits: CallLimits) -> None:
        """Waits until the model or tool has room. The step's own time goes on meanwhile; pages are told of a wait that lasts."""
        engine = self._desk.engine
        told = engine.loop.call_later(TELLS_OF_WAIT, self._tell_of_wait, context.path, limits)
        self._in_line.add(context.path)
        left = context.time_left(float("inf"))
        try:
            async with asyncio.timeout(None if left == float("inf") else left):
                await engine.permits.take(limits, self._desk.run.id, call.id, call.intent.reserve_tokens)
        except TimeoutError:
            raise TimedOut(f"The step's time was over before {limits.name} had a slot for it.") from None
        finally:
            told.cancel()
            self._in_line.discard(context.path)

    def _tell_of_wait(self, path: str, limits: CallLimits) -> None:
        if not self._desk.dropped:
            self._desk.sheet.note("call.waiting", path, {"for": f"a slot of {limits.name}"})
            self._desk.post()

    # ------------------------------------------------------------------ after it

    def settle(self, context: StepContext, call: OpenCall, result: Settlement, last: bool) -> None:
        """Write down what became of a call. See `StepContext.settle`."""
        desk, past = self._desk, context.past
        if result.cost is not None:
            past.spent += result.cost
        tokens = tokens_of(call.intent, result)
        past.tokens += tokens
        self._purse.allowances.release(call, result.cost or Decimal(0), tokens)
        past.last, past.repeat, past.last_attempt = result.status, call.intent.repeat, context.attempt
        past.hash = past.hash or call.intent.request_hash
        if result.status == "unknown" and call.intent.kind == "tool":
            past.unresolved = unknowns.sent(call, desk.engine.database_now())
        self._purse.settled(call)
        desk.engine.permits.give_back(call.id)
        op = settle_op(context.path, call, result, last)
        if last:
            context.settled.append(op)  # not before the step's result is there: a record may be about to be sent
        else:
            desk.sheet.ops.append(op)
            desk.post()

    def close(self, context: StepContext, error_class: str, message: str) -> None:
        """Settle the call that a step left open when it ended: nobody knows what became of it."""
        call = context.open_call
        if call is not None:
            intent = call.intent
            context.settle(
                call,
                Settlement(
                    "unknown",
                    cost=intent.reserve if intent.priced else None,
                    paid=intent.kind == "model",
                    usage_source="estimated",
                    error_class=error_class,
                    error_message=message,
                ),
            )

    def write_settled(self, context: StepContext) -> None:
        """The settlements that waited for the step's result, or for its next call."""
        self._desk.sheet.ops += context.settled
        context.settled = []
