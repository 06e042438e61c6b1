"""Which published flows call a tool, themselves or by an agent, whoever may see them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from django.db.models import QuerySet

from flows.access.refusals import Conflict
from flows.engine.document import Body, FlowDocument, Handler
from flows.models import Flow
from flows.runs.documents import documents_of


class InUse(Conflict):
    """Something is still used. Replace it there first."""

    slug = "in-use"


@dataclass(frozen=True, slots=True)
class Use:
    """A flow that calls the tool, in the version that runs; `leash` is an agent's, empty for a step of the flow."""

    slug: str
    name: str
    version: int
    leash: str = ""

    def __str__(self) -> str:
        return f"flow {self.slug} v{self.version}"


def uses_within(flows: QuerySet[Flow]) -> dict[str, list[Use]]:
    """By tool those of these flows whose published version calls it, or lets an agent. Two queries."""
    published = flows.filter(published__isnull=False, archived_at__isnull=True).order_by("slug")
    rows = list(published.values_list("slug", "name", "published_id", "published__number"))
    documents = documents_of([version for _, _, version, _ in rows])
    found: dict[str, list[Use]] = {}
    for slug, name, version, number in rows:
        document = documents.get(version)
        if document is not None:
            for tool, leash in sorted(set(_called(document))):
                found.setdefault(tool, []).append(Use(slug, name, number or 0, leash))
    return found


def flows_using(tools: Collection[str]) -> list[Use]:
    """The published flows that call one of these tools, each once."""
    uses = uses_within(Flow.objects.all())
    found = {use.slug: use for tool in tools for use in uses.get(tool, ())}
    return [found[slug] for slug in sorted(found)]


def _called(body: FlowDocument | Body | Handler) -> Iterator[tuple[str, str]]:
    for step in body.steps.values():
        if step.kind == "tool":
            yield str(step.with_.get("tool")), ""
        for grant in step.with_.get("tools", ()) if step.kind == "agent" else ():
            named = grant if isinstance(grant, dict) else {"tool": grant}
            yield str(named.get("tool")), str(named.get("leash") or step.with_.get("leash") or "risky")
        inner = step.with_.get("body")
        if isinstance(inner, dict):
            yield from _called(Body.model_validate(inner))
    if isinstance(body, FlowDocument) and body.on_error is not None:
        yield from _called(body.on_error)
