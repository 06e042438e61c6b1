"""Calling a tool: the one way in which step kinds do it, with intent before and result after, and never twice what may happen once."""

from __future__ import annotations

from typing import Any

from flows.engine.canonical import sha256_of
from flows.engine.failures import ArgumentsChanged, Failure, InvalidInput, UnknownOutcome
from flows.engine.inputs import input_problems
from flows.engine.kinds import Done
from flows.execution.context import Enter, Intent, OpenCall, Settlement, StepContext
from flows.execution.jsontext import dump
from flows.steps.services import StepServices
from flows.tools.base import ToolCall, ToolSpec

MOST_SAID = 5
"""Problems of an input that one message names."""


async def call_tool(context: StepContext, slug: str, arguments: dict[str, Any], within: float | None = None) -> Done | Enter:
    """Makes the call, or, of a tool that is a flow, goes on as that; `within` are seconds that it may take, where that is less than
    the tool allows.

    Where an earlier call of this step may have done it already, the tool's `repeat` decides: `lookup` asks the service and takes what
    it finds as the result; `never`, and `keyed` past the service's window, raise `UnknownOutcome`.
    """
    services: StepServices = context.services
    spec = services.tools.spec(slug)
    flow = services.tools.flow_of(spec)
    if flow is not None:
        seconds = [each for each in (spec.timeout, within) if each]
        return await enter_flow(context, *flow, arguments, min(seconds, default=None))
    services.tools.check(slug, arguments)
    context.result_schema = spec.result
    effect = _Effect(context, spec, arguments, within)
    effect.refuse_other_arguments()
    if context.unresolved:
        adopted = await effect.resolve()
        if adopted is not None:
            return adopted
    return await effect.make()


async def enter_flow(context: StepContext, slug: str, version: int | None, given: Any, within: float | None = None) -> Enter:
    """The flow with its input, checked. Raises `BadRequest` where there is no such flow or version, `InvalidInput`."""
    child = await context.find_flow(slug, version)
    problems = input_problems(given, child.flow.document.input)
    if problems:
        said = "; ".join(f"{problem.path}: {problem.message}" for problem in problems[:MOST_SAID])
        raise InvalidInput(f"The input for version {child.number} of {child.slug} does not fit: {said}.")
    return Enter(child, given, within)


class _Effect:
    """One attempt of one call."""

    def __init__(self, context: StepContext, spec: ToolSpec, arguments: dict[str, Any], within: float | None) -> None:
        self.context = context
        self.spec = spec
        self.arguments = arguments
        self.within = within
        self.services: StepServices = context.services
        keyed = spec.repeat != "freely" or spec.effect == "write"
        self.hash = sha256_of(arguments) if keyed else ""

    def refuse_other_arguments(self) -> None:
        """Under one key one thing is sent. Raises `ArgumentsChanged` where an earlier attempt sent another."""
        first = self.context.past.hash
        if first and self.hash and first != self.hash:
            raise ArgumentsChanged(
                f"{self.context.path} would send {self.spec.slug} other arguments than its first attempt did, under the same key. "
                "Nothing was sent. Start a new run with what is to be sent now."
            )

    async def resolve(self) -> Done | None:
        """What became of the earlier call: its result where it is found, None where it may be made now."""
        repeat = self.context.past.repeat
        if repeat == "lookup":
            return await self._find()
        if repeat == "never":
            raise UnknownOutcome(f"Whether {self.spec.slug} did it is not known, and it may not be repeated.")
        window = self.spec.known_for
        if repeat == "keyed" and window is not None and self.context.elapsed > window:
            raise UnknownOutcome(
                f"Whether {self.spec.slug} did it is not known, and the service knows the key for {window:g} s only: a repetition "
                "could do it twice."
            )
        return None

    async def make(self, *, again: bool = True) -> Done:
        """Makes the call. One that was lost is looked up where that is possible, and made once more where nothing happened."""
        spec, context = self.spec, self.context
        call = await context.begin(self._intent("tool"))
        try:
            result = await self.services.tools.call(self._call(call), self.services.tool_context)
        except Failure as failure:
            unknown = failure.sent and not failure.answered and spec.effect == "write"
            status = "unknown" if unknown else "failed_retryable" if failure.retryable else "failed_final"
            lost = unknown and spec.repeat == "lookup"
            settlement = Settlement(status, error_class=failure.slug, error_message=failure.message)
            context.settle(call, settlement, last=not lost)
            if lost:
                return await self._look_up_lost(failure, again)
            if unknown and spec.repeat == "never":
                raise UnknownOutcome(
                    f"{failure.message} Whether {spec.slug} did it is not known, and it may not be repeated."
                ) from failure
            raise
        context.settle(call, Settlement("succeeded", response=dump(result)))
        return Done(result)

    async def _look_up_lost(self, failure: Failure, again: bool) -> Done:
        adopted = await self._find()
        if adopted is not None:
            return adopted
        if again:
            return await self.make(again=False)
        failure.sent = False  # the service says that nothing happened: the retry policy may go on from here
        raise failure

    async def _find(self) -> Done | None:
        context, spec = self.context, self.spec
        call = await context.begin(self._intent("find"))
        try:
            found, result = await self.services.tools.find(self._call(call), self.services.tool_context)
        except Failure as failure:
            context.settle(call, Settlement("unknown", error_class=failure.slug, error_message=failure.message))
            message = f"Whether {spec.slug} did it is not known, and asking the service failed: {failure.message}"
            raise UnknownOutcome(message, looking=failure) from failure
        if found:
            context.settle(call, Settlement("succeeded", response=dump(result), adopted=True))
            return Done(result)
        nothing = Settlement("failed_final", error_class="not_found", error_message="Nothing happened under this key.")
        context.settle(call, nothing, last=False)
        return None

    def _intent(self, kind: str) -> Intent:
        dry = self.services.tools.is_dry(self.spec.slug)
        reason = "dry: nothing was sent, the result is an example" if dry else ""
        if kind == "find":
            reason = "asks what became of the call before"
        return Intent(
            kind=kind,
            target=self.spec.slug,
            request=dump(self.arguments),
            repeat=self.spec.repeat,
            reason=reason,
            request_hash=self.hash,
            simulated=dry,
        )

    def _call(self, call: OpenCall) -> ToolCall:
        timeout = self.context.time_left(self.services.tools.timeout_of(self.spec.slug, self.within))
        return ToolCall(self.spec, self.arguments, str(call.key), timeout, call.id)
