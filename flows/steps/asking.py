"""Asking a route: the one way in which step kinds put a question to models.

Walks the route's candidates, each call with its own intent and settlement in the ledger; has an answer that is not of the question's
schema repaired; takes an equal question's answer where the step allows it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from flows.costs.prices import cost_of
from flows.costs.tokens import tokens_of_request
from flows.engine.canonical import sha256_of
from flows.engine.failures import BadRequest, Failure, InvalidOutput, TooDear
from flows.execution.context import Intent, OpenCall, Settlement, StepContext
from flows.execution.jsontext import dump, load
from flows.routing.choosing import Walk, Wanted
from flows.routing.definitions import ModelInfo
from flows.routing.providers import complete
from flows.routing.providers.base import ModelReply, ModelRequest, ToolDeclaration, ToolRequest, Usage, reply_of
from flows.steps.attachments import needed_for
from flows.steps.services import StepServices

DEFAULT_TIMEOUT = 120.0
"""Seconds that one call may take where the route does not say."""

SAVING = "The run has reached a limit and calls only cheaper candidates from then on."

UNREADABLE = "(a tool call that could not be read)"
"""What stands in a conversation for an answer without words that is sent back."""

REPAIR = "That is not of the form that was asked for: {problem} Answer again, with one JSON value of the schema and nothing else."


@dataclass(frozen=True, slots=True)
class Question:
    """What a step asks. `repair` is how often an answer that is not of the schema `output`, or a tool call that cannot be read, is sent
    back to be put right; with `cache` the answer to an equal question of the same flow is taken, where there is one. `within` are
    seconds that one call may take, where that is less than the route allows."""

    route: str
    messages: Sequence[Mapping[str, Any]]
    output: Mapping[str, Any] | None = None
    max_output: int | None = None
    temperature: float | None = None
    seed: int | None = None
    cache: bool = False
    repair: int = 2
    capabilities: frozenset[str] = frozenset()
    tools: Sequence[ToolDeclaration] = ()
    within: float | None = None

    def tokens(self, messages: Sequence[Mapping[str, Any]]) -> int:
        """An upper estimate of what these messages hold, with all that is sent beside them."""
        declared = [
            {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)} for tool in self.tools
        ]
        return tokens_of_request(messages, self.output, declared)


async def ask(context: StepContext, question: Question) -> ModelReply:
    """The first good answer on the walk through the route; where a limit has no room for the first candidate and says so, only those
    that are cheaper are asked. Raises the failure of the last call, or, where nobody may be asked, one that says why of each."""
    asking = _Asking(context, question)
    if context.saving:
        asking.walk.spare(TooDear(SAVING))
        return await asking.answer()
    try:
        return await asking.answer()
    except TooDear as refusal:
        asking.walk.spare(refusal)
        return await asking.answer()


def bound_of(context: StepContext, question: Question) -> tuple[Decimal | None, int]:
    """The most that the question's first call can cost, in dollars (None where that is not known), and in tokens."""
    asking = _Asking(context, question)
    model = next(iter(asking.walk.order), None)
    if model is None:
        return None, asking.walk.wanted.input_tokens
    return asking.walk.wanted.bound(model), asking.walk.wanted.input_tokens + (question.max_output or model.max_output)


class _Failed(Exception):
    """A call was made and failed."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure


class _Asking:
    def __init__(self, context: StepContext, question: Question) -> None:
        self.context = context
        self.question = question
        self.services: StepServices = context.services
        table, run = self.services.table, context.names["run"]
        wanted = Wanted(
            input_tokens=question.tokens(question.messages),
            max_output=question.max_output,
            capabilities=question.capabilities | needed_for(question.messages),
            tags=frozenset(run["tags"]),
            lot=f"{run['id']}/{context.path}/{context.attempt}",
        )
        models = {model.slug: model for model in table.candidates(question.route)}
        self.walk = Walk(table.route(question.route), wanted, models, table.latencies)
        self.first_text: float | None = None  # seconds that the call under way took until its first text

    async def answer(self) -> ModelReply:
        """Asks each candidate in turn, until one answers or a failure is none of those that the route falls back on."""
        failed: Failure | None = None
        for model in self.walk.order:
            known = await self._known_answer(model)
            if known is not None:
                return known
            resting = await self.services.health.refusal(model)
            if resting is not None:
                self.walk.skip(model, resting)
                continue
            try:
                return await self._answer_of(model)
            except _Failed as call:
                if not self._goes_on(model, call.failure):
                    raise call.failure from None
                self.walk.fail(model, call.failure)
                failed = call.failure
        raise failed or self.walk.nobody()

    def _goes_on(self, model: ModelInfo, failure: Failure) -> bool:
        """Whether the candidate after this one is asked."""
        return model is not self.walk.order[-1] and self.walk.goes_on_after(failure)

    async def _answer_of(self, model: ModelInfo) -> ModelReply:
        """What one model answers: one call, and one more for each repair. Raises `_Failed`; what keeps a call from beginning goes
        through as it is, for it says nothing about the model."""
        question, messages = self.question, self.question.messages
        repairs = question.repair if question.output is not None or question.tools else 0
        for repair in range(repairs + 1):
            call = await self.context.begin(self._intent(model, messages, repair))
            try:
                reply = await self._call(call, model, messages)
            except Failure as failure:
                wrong = reply_of(failure) if isinstance(failure, InvalidOutput) else None
                again = wrong is not None and wrong.finish_reason != "length" and repair < repairs
                missed = replace(failed(call, model, failure), first_text=self.first_text)
                self.context.settle(call, missed, last=not (again or self._goes_on(model, failure)))
                await self.services.health.heard(model, failure)
                if wrong is None or not again:
                    raise _Failed(failure) from None
                problem = {"role": "user", "content": REPAIR.format(problem=failure.message)}
                messages = [*question.messages, {"role": "assistant", "content": wrong.text or UNREADABLE}, problem]
            else:
                self.context.settle(call, replace(settled("succeeded", model, reply), first_text=self.first_text))
                await self.services.health.heard(model, None)
                return reply
        raise AssertionError("the last repair returns or raises")

    async def _call(self, call: OpenCall, model: ModelInfo, messages: Sequence[Mapping[str, Any]]) -> ModelReply:
        question, context = self.question, self.context
        request = ModelRequest(
            model=model,
            messages=messages,
            output_schema=question.output,
            max_output=question.max_output or model.max_output,
            temperature=question.temperature,
            seed=question.seed,
            timeout=context.time_left(self._most_seconds()),
            idempotency_key=str(call.id),  # each candidate and attempt asks anew
            course=str(context.names["run"]["id"])
            + (context.path if context.handling.drill else ""),  # each step meets the fault
            tools=question.tools,
            key=await self.services.key_of(model),
        )
        return await complete(request, self._timed(context.on_text(call)), egress=self.services.egress)

    def _timed(self, sink: Callable[[str], None]) -> Callable[[str], None]:
        """The same sink, which notes when the first text comes."""
        began, self.first_text = time.monotonic(), None

        def take(text: str) -> None:
            if self.first_text is None:
                self.first_text = time.monotonic() - began
            sink(text)

        return take

    def _most_seconds(self) -> float:
        most = self.walk.route.timeout or DEFAULT_TIMEOUT
        return most if self.question.within is None else min(most, self.question.within)

    # ------------------------------------------------------------------ intents

    def _intent(self, model: ModelInfo, messages: Sequence[Mapping[str, Any]], repair: int) -> Intent:
        wanted = replace(self.walk.wanted, input_tokens=self.question.tokens(messages)) if repair else self.walk.wanted
        reserve = wanted.bound(model)
        require_known_price(self.context, model, reserve)
        intent = self._plain_intent(model, messages)
        intent.reserve, intent.priced = reserve or Decimal(0), reserve is not None
        intent.allow_unpriced = model.unpriced == "allow"
        intent.reserve_tokens = wanted.input_tokens + (self.question.max_output or model.max_output)
        if repair:
            intent.reason = f"repair {repair} of {self.question.repair} at most: the answer was not of the schema"
        return intent

    def _plain_intent(self, model: ModelInfo, messages: Sequence[Mapping[str, Any]]) -> Intent:
        """The intent of a call that costs nothing."""
        request = {"model": model.slug, "messages": messages, **self._terms(model)}
        return Intent(
            kind="model",
            target=model.slug,
            reason=self.walk.why(model),
            routing=self.walk.stored(model),
            spared=self.walk.spared,
            request=dump({key: value for key, value in request.items() if value is not None}),
            request_hash=self._hash(model),
            price=model.price.id if model.price is not None else None,
            simulated=model.simulated,
        )

    def _terms(self, model: ModelInfo) -> dict[str, Any]:
        question = self.question
        return {
            "max_output": question.max_output or model.max_output,
            "temperature": question.temperature,
            "seed": question.seed,
            "output": question.output,
            "tools": [tool.name for tool in question.tools] or None,
        }

    # ------------------------------------------------------------------ equal questions

    def _hash(self, model: ModelInfo) -> str:
        """What makes two questions equal, the model behind its alias included; nothing where no answer is to be reused."""
        if not self.question.cache:
            return ""
        asked = [self.context.names["run"]["flow"], model.model, model.api_base, list(self.question.messages), self._terms(model)]
        return sha256_of(asked)

    async def _known_answer(self, model: ModelInfo) -> ModelReply | None:
        """The answer that an equal question got, as a call of its own that costs nothing."""
        if not self.question.cache:
            return None
        text = await self.services.answer_to(self._hash(model))
        if text is None:
            return None
        intent = self._plain_intent(model, self.question.messages)
        intent.cached, intent.reason = True, f"answered before by {model.slug}: an equal question, so nothing was sent"
        call = await self.context.begin(intent)
        answer = load(text)
        said = {name: value for name, value in answer.items() if name != "usage"}  # that is the other call's
        self.context.settle(call, Settlement("succeeded", response=dump(said), usage_source="none"))
        asked = tuple(ToolRequest(**each) for each in answer.get("tool_calls", ()))
        return ModelReply(answer["text"], Usage(), answer["finish_reason"], "", asked, answer["output"])


def require_known_price(context: StepContext, model: ModelInfo, reserve: Decimal | None) -> None:
    """Raises `BadRequest` where a limit in dollars applies and nobody knows what the call may cost (`reserve` is None)."""
    if reserve is None and context.has_cost_cap and model.unpriced != "allow":
        raise BadRequest(
            f"The price of {model.slug} is not known and a limit of money applies; add a price for it to the price book, remove "
            "the limit, or let the model be called all the same (`unpriced: allow` in the catalogue)."
        )


def settled(status: str, model: ModelInfo, reply: ModelReply, failure: Failure | None = None) -> Settlement:
    """What a call owes that was answered with `reply`, well or, by `failure`, not."""
    usage = reply.usage
    return Settlement(
        status,
        cost=cost_of(usage, model.price),
        paid=True,
        response=dump(_response(reply)),
        usage_source=usage.source,
        input_tokens=usage.input_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        price=model.price.row_for(usage.input_tokens).id if model.price is not None and model.price.beyond else None,
        reported=usage.reported,
        error_class=failure.slug if failure else "",
        error_message=failure.message if failure else "",
        provider_id=reply.provider_id,
    )


def _response(reply: ModelReply) -> dict[str, Any]:
    said: dict[str, Any] = {"text": reply.text, "output": reply.output, "finish_reason": reply.finish_reason}
    if reply.tool_calls:
        said["tool_calls"] = [{"id": each.id, "name": each.name, "arguments": each.arguments} for each in reply.tool_calls]
    if reply.usage.raw is not None:
        said["usage"] = reply.usage.raw
    return said


def failed(call: OpenCall, model: ModelInfo, failure: Failure) -> Settlement:
    """What a failed call owes: what was used where that is known, nothing where nothing was sent or the provider itself refused,
    and the reservation where it broke off in between."""
    status = "failed_retryable" if failure.retryable else "failed_final"
    reply = reply_of(failure)
    if reply is not None:
        return settled(status, model, reply, failure)
    owed = failure.sent and not failure.answered
    return Settlement(
        status,
        cost=(call.intent.reserve if call.intent.priced else None) if owed else Decimal(0),
        paid=True,
        usage_source="estimated" if owed else "none",
        error_class=failure.slug,
        error_message=failure.message,
    )
