"""Brings the vectors of a knowledge base up to date, by the model that the base names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

from pydantic import Field

from flows.engine.kinds import Done, Fault, Role, Settings, Surroundings
from flows.engine.markers import Refers
from flows.engine.problems import did_you_mean
from flows.execution.context import StepContext, WorkKind
from flows.steps.embedding import embed_texts
from flows.steps.services import StepServices

AT_ONCE: Final = 64
"""Passages of one request."""


class IndexSettings(Settings):
    """The passages of `base` that have no vector of its model get one. A base without a model needs none: it has those of the product."""

    base: Annotated[str, Refers("base")] = Field(min_length=1, max_length=64)


class IndexKind(WorkKind):
    slug = "index"
    label = "Index knowledge"
    group = "Tools"
    icon = "kind-retrieve"
    begins_with = {"base": ""}
    form = ("base",)
    role = Role.EFFECT
    Settings = IndexSettings

    def output_schema(self, settings: IndexSettings) -> Mapping[str, Any]:
        return {"type": "object", "properties": {"passages": {"type": "integer"}}}

    def faults(self, settings: IndexSettings, around: Surroundings) -> Iterable[Fault]:
        bases = around.catalogue.bases if around.catalogue else None
        if bases is None or settings.base not in bases:
            yield around.not_in_catalogue(
                ("base",), f"the knowledge base `{settings.base}`", did_you_mean(settings.base, bases or ())
            )

    async def perform(self, context: StepContext) -> Done:
        """Each request is a call of its own, and its vectors are stored before the next: what is begun again goes on with the rest. Gives
        the number of passages that it embedded. Fails with `bad_request` where the flow may search no such base."""
        settings: IndexSettings = context.settings
        services: StepServices = context.services
        base = await services.base(settings.base, context.run)
        done = 0
        while base.embedding and base.has_vectors and (batch := await services.unembedded(base, AT_ONCE)):
            texts = [text for _, text in batch]
            vectors = await embed_texts(
                context, base.embedding, texts, f"embeds {len(texts)} passages of {settings.base}", last=False
            )
            await services.store_vectors(base, [id_ for id_, _ in batch], vectors)
            done += len(batch)
        return Done({"passages": done})
