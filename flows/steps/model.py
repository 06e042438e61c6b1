"""Asks a language model, by a route of the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flows.engine.kinds import Done, Fault, Role, Surroundings
from flows.execution.context import StepContext, WorkKind
from flows.steps.asking import Question, ask
from flows.steps.prompting import QuestionSettings, messages_of


class ModelSettings(QuestionSettings):
    """One question to a route."""


class ModelKind(WorkKind):
    slug = "model"
    label = "Ask a model"
    group = "Models"
    icon = "models"
    begins_with = {"route": "", "prompt": ""}
    form = ("route", "prompt", "output")
    role = Role.EFFECT
    Settings = ModelSettings

    def output_schema(self, settings: ModelSettings) -> Mapping[str, Any]:
        return settings.output if settings.output is not None else {"type": "string"}

    def faults(self, settings: ModelSettings, around: Surroundings) -> Iterable[Fault]:
        return around.unknown_route(("route",), settings.route)

    def routes(self, settings: ModelSettings) -> tuple[str, ...]:
        return (settings.route,)

    def needs(self, settings: ModelSettings) -> frozenset[str]:
        return settings.needs

    async def perform(self, context: StepContext) -> Done:
        settings: ModelSettings = context.settings
        question = Question(
            route=settings.route,
            messages=messages_of(context.rendered),
            output=settings.output,
            max_output=settings.max_output,
            temperature=settings.temperature,
            seed=settings.seed,
            cache=settings.cache,
            repair=settings.repair,
        )
        reply = await ask(context, question)
        return Done(reply.text if settings.output is None else reply.output)
