"""Finds passages in a knowledge base."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field

from flows.engine.failures import BadRequest
from flows.engine.kinds import Done, Fault, Role, Settings, Surroundings
from flows.engine.markers import Refers, TemplateText, TemplateValue
from flows.engine.problems import did_you_mean
from flows.execution.context import Intent, Settlement, StepContext, WorkKind
from flows.execution.jsontext import dump
from flows.models.identifiers import parsed
from flows.retrieval.searching import LONGEST_QUERY, MOST, Search
from flows.steps.embedding import embed_texts
from flows.steps.services import StepServices

FOUND: Mapping[str, Any] = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "text": {"type": "string"},
            "source": {"type": "string"},
            "score": {"type": "number"},
        },
        "required": ["id", "text", "source", "score"],
        "additionalProperties": False,
    },
}


class RetrieveSettings(Settings):
    """`top` passages at most, the best first. `filter` keeps to documents whose facts are these (`source` is one of them); `min_score`,
    from 0 to 1, leaves out what hardly fits."""

    base: Annotated[str, Refers("base")] = Field(min_length=1, max_length=64)
    query: TemplateText = Field(min_length=1, max_length=20_000)
    top: int = Field(default=5, ge=1, le=MOST, strict=True)
    filter: dict[str, TemplateValue] = Field(default_factory=dict, max_length=20)
    min_score: float = Field(default=0.0, ge=0, le=1)


class RetrieveKind(WorkKind):
    slug = "retrieve"
    label = "Search knowledge"
    group = "Tools"
    icon = "kind-retrieve"
    begins_with = {"base": "", "query": ""}
    form = ("base", "query", "top")
    role = Role.EFFECT
    Settings = RetrieveSettings

    def output_schema(self, settings: RetrieveSettings) -> Mapping[str, Any]:
        return FOUND

    def faults(self, settings: RetrieveSettings, around: Surroundings) -> Iterable[Fault]:
        bases = around.catalogue.bases if around.catalogue else None
        if bases is None or settings.base not in bases:
            yield around.not_in_catalogue(
                ("base",), f"the knowledge base `{settings.base}`", did_you_mean(settings.base, bases or ())
            )

    async def perform(self, context: StepContext) -> Done:
        """Searches. Fails with `bad_request` where the base is gone, belongs to another team, or the question is empty."""
        settings: RetrieveSettings = context.settings
        services: StepServices = context.services
        query = str(context.rendered["query"]).strip()
        if not query:
            raise BadRequest(f"{context.path} has nothing to search for: its query is empty.")
        search = Search(query[:LONGEST_QUERY], settings.top, context.rendered["filter"], settings.min_score)
        request = {
            "query": search.query,
            "top": search.top,
            "filter": dict(search.filter or {}),
            "min_score": search.least,
        }
        run = parsed("run", context.names["run"]["id"])
        base = await services.base(settings.base, run)
        vector = None
        if base.embedding:
            (vector,) = await embed_texts(context, base.embedding, [search.query], f"embeds the question to {settings.base}")
        call = await context.begin(Intent(kind="retrieve", target=settings.base, request=dump(request)))
        try:
            hits = await services.search(base, search, vector)
        except BadRequest as failure:
            context.settle(call, Settlement("failed_final", error_class=failure.slug, error_message=failure.message))
            raise
        found = [hit.as_json() for hit in hits]
        context.settle(call, Settlement("succeeded", response=dump(found)))
        return Done(found)
