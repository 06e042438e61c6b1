"""Asks a language model, by a route of the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from flows.costs.prices import cost_of
from flows.costs.tokens import tokens_of_request
from flows.engine.failures import BadRequest, Failure, TooDear
from flows.engine.kinds import Done, Fault, Role, Settings, Surroundings
from flows.engine.markers import Refers, TemplateText
from flows.engine.problems import did_you_mean
from flows.engine.schemas import JSONSchema
from flows.execution.context import Intent, OpenCall, Settlement, StepContext, WorkKind
from flows.execution.jsontext import dump
from flows.routing.choosing import Walk, Wanted
from flows.routing.definitions import ModelInfo
from flows.routing.providers import complete
from flows.routing.providers.base import ModelReply, ModelRequest, reply_of
from flows.steps.services import StepServices

DEFAULT_TIMEOUT = 120.0
"""Seconds that one call may take where the route does not say."""

SAVING = "The run has reached a limit and calls only cheaper candidates from then on."


class Message(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Literal["system", "user", "assistant"]
    content: TemplateText


class ModelSettings(Settings):
    """Either `prompt` or `messages`. With `output`, a JSON Schema, the answer is an object of that form, else text."""

    route: Annotated[str, Refers("route")] = Field(min_length=1, max_length=100)
    system: TemplateText | None = None
    prompt: TemplateText | None = None
    messages: list[Message] | None = Field(default=None, min_length=1, max_length=200)
    output: JSONSchema | None = None
    max_output: int | None = Field(default=None, ge=1, le=1_000_000, strict=True)
    temperature: float | None = Field(default=None, ge=0, le=2)
    seed: int | None = Field(default=None, strict=True)
    cache: bool = Field(default=False, strict=True)

    @model_validator(mode="after")
    def _one_question(self) -> ModelSettings:
        if (self.prompt is None) == (self.messages is None):
            raise PydanticCustomError("question", "give either `prompt` or `messages`")
        return self


class ModelKind(WorkKind):
    slug = "model"
    label = "Ask a model"
    group = "Models"
    icon = "models"
    begins_with = {"route": "", "prompt": ""}
    role = Role.EFFECT
    Settings = ModelSettings

    def output_schema(self, settings: ModelSettings) -> Mapping[str, Any]:
        return settings.output if settings.output is not None else {"type": "string"}

    def faults(self, settings: ModelSettings, around: Surroundings) -> Iterable[Fault]:
        known = around.catalogue.routes | around.catalogue.models if around.catalogue else frozenset()
        if settings.route not in known:
            yield around.not_in_catalogue(("route",), f"the route `{settings.route}`", did_you_mean(settings.route, known))

    async def perform(self, context: StepContext) -> Done:
        """Walks the route; where a limit has no room for its first candidate and says so, only those that are cheaper."""
        question = _Question(context, _messages(context.rendered))
        if context.saving:
            question.walk.spare(TooDear(SAVING))
            return await question.put()
        try:
            return await question.put()
        except TooDear as refusal:
            question.walk.spare(refusal)
            return await question.put()


class _Question:
    """What is asked of the models of one route."""

    def __init__(self, context: StepContext, messages: list[dict[str, Any]]) -> None:
        self.context = context
        self.settings: ModelSettings = context.settings
        self.services: StepServices = context.services
        self.messages = messages
        self.input_tokens = tokens_of_request(messages, self.settings.output)
        table = self.services.table
        wanted = Wanted(
            input_tokens=self.input_tokens,
            max_output=self.settings.max_output,
            tags=frozenset(context.names["run"]["tags"]),
            lot=f"{context.names['run']['id']}/{context.path}/{context.attempt}",
        )
        models = {model.slug: model for model in table.candidates(self.settings.route)}
        self.walk = Walk(table.route(self.settings.route), wanted, models, table.latencies)

    async def put(self) -> Done:
        """Asks each candidate in turn, until one answers or a failure is none of those that the route falls back on."""
        walk = self.walk
        failed: Failure | None = None
        for position, model in enumerate(walk.order):
            resting = await self.services.health.refusal(model)
            if resting is not None:
                walk.skip(model, resting)
                continue
            call = await self.context.begin(_intent(self.context, model, self.messages, walk))
            try:
                reply = await self._answer(call, model)
            except Failure as failure:
                walk.fail(model, failure)
                goes_on = position < len(walk.order) - 1 and walk.goes_on_after(failure)
                self.context.settle(call, _failed(call, model, failure), last=not goes_on)
                await self.services.health.heard(model, failure)
                if not goes_on:
                    raise
                failed = failure
            else:
                self.context.settle(call, _settled("succeeded", model, reply))
                await self.services.health.heard(model, None)
                return Done(reply.text if self.settings.output is None else reply.output)
        raise failed or walk.nobody()

    async def _answer(self, call: OpenCall, model: ModelInfo) -> ModelReply:
        settings, context = self.settings, self.context
        request = ModelRequest(
            model=model,
            messages=self.messages,
            output_schema=settings.output,
            max_output=settings.max_output or model.max_output,
            temperature=settings.temperature,
            seed=settings.seed,
            timeout=context.time_left(self.walk.route.timeout or DEFAULT_TIMEOUT),
            idempotency_key=str(call.id),  # each candidate and attempt asks anew
        )
        return await complete(request, context.on_text(call), egress=self.services.egress)


def _messages(rendered: Mapping[str, Any]) -> list[dict[str, Any]]:
    system = [{"role": "system", "content": rendered["system"]}] if rendered.get("system") else []
    if rendered.get("messages"):
        return [*system, *rendered["messages"]]
    return [*system, {"role": "user", "content": rendered["prompt"]}]


def _intent(context: StepContext, model: ModelInfo, messages: list[dict[str, Any]], walk: Walk) -> Intent:
    settings: ModelSettings = context.settings
    max_output = settings.max_output or model.max_output
    reserve = walk.wanted.bound(model)
    if reserve is None and context.has_cost_cap and model.unpriced != "allow":
        raise BadRequest(
            f"The price of {model.slug} is not known and a limit in dollars applies; add a price for it to the price book, remove the "
            "limit, or let the model be called all the same (`unpriced: allow` in the catalogue)."
        )
    request = {
        "model": model.slug,
        "messages": messages,
        "max_output": max_output,
        "temperature": settings.temperature,
        "seed": settings.seed,
        "output": settings.output,
    }
    return Intent(
        kind="model",
        target=model.slug,
        reason=walk.why(model),
        routing=walk.stored(model),
        spared=walk.spared,
        request=dump({key: value for key, value in request.items() if value is not None}),
        reserve=reserve or Decimal(0),
        priced=reserve is not None,
        reserve_tokens=walk.wanted.input_tokens + max_output,
        price=model.price.id if model.price is not None else None,
        simulated=model.simulated,
    )


def _settled(status: str, model: ModelInfo, reply: ModelReply, failure: Failure | None = None) -> Settlement:
    usage = reply.usage
    return Settlement(
        status,
        cost=cost_of(usage, model.price),
        paid=True,
        response=dump({"text": reply.text, "output": reply.output, "finish_reason": reply.finish_reason}),
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


def _failed(call: OpenCall, model: ModelInfo, failure: Failure) -> Settlement:
    """What a failed call owes: what was used where that is known, nothing where nothing was sent or the provider itself refused,
    and the reservation where it broke off in between."""
    status = "failed_retryable" if failure.retryable else "failed_final"
    reply = reply_of(failure)
    if reply is not None:
        return _settled(status, model, reply, failure)
    owed = failure.sent and not failure.answered
    return Settlement(
        status,
        cost=(call.intent.reserve if call.intent.priced else None) if owed else Decimal(0),
        paid=True,
        usage_source="estimated" if owed else "none",
        error_class=failure.slug,
        error_message=failure.message,
    )
