"""Knowledge bases as pages and the API read them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Length

from flows.access.actor import Actor
from flows.access.querysets import belonging
from flows.access.refusals import NotFound
from flows.access.rights import Right
from flows.models import KnowledgeBase, KnowledgeDocument, ModelEntry, Passage
from flows.models.identifiers import UnknownIdentifier, parsed, shown
from flows.retrieval.embedding import Vector, embed
from flows.retrieval.searching import HAS_VECTORS, Hit, Search, Way, hits_of, statement


@dataclass(frozen=True, slots=True)
class BaseFigures:
    """A base and how much it holds; `waiting` and `failed` documents are not found (a waiting one perhaps by its older passages)."""

    base: KnowledgeBase
    documents: int
    passages: int
    waiting: int
    failed: int
    behind: int = 0  # passages that have no vector yet of the model which the base names

    @property
    def indexed(self) -> int:
        return self.documents - self.waiting - self.failed

    @property
    def with_vectors(self) -> int:
        return self.passages - self.behind


@dataclass(frozen=True, slots=True)
class DocumentLine:
    """A document without its text."""

    id: UUID
    source: str
    media_type: str
    characters: int
    facts: dict[str, Any]
    state: str
    error: str
    passages: int
    created_at: datetime
    indexed_at: datetime | None

    @property
    def public_id(self) -> str:
        return shown("doc", self.id)


def bases_for(actor: Actor) -> QuerySet[KnowledgeBase]:
    """The bases that somebody may see."""
    return KnowledgeBase.objects.filter(belonging(actor.holdings, Right.SEE_FLOWS)).select_related("team")


def figures_for(bases: QuerySet[KnowledgeBase]) -> list[BaseFigures]:
    """By name, in one query."""
    counted: QuerySet[Any] = bases.annotate(
        n_documents=Count("documents"),
        n_passages=Sum("documents__passage_count", default=0),
        n_waiting=Count("documents", filter=Q(documents__state="waiting")),
        n_failed=Count("documents", filter=Q(documents__state="failed")),
        n_behind=Subquery(
            Passage.objects.filter(base=OuterRef("pk"))
            .exclude(embedded_by=OuterRef("embedding"))
            .order_by()
            .values("base")
            .annotate(n=Count("id"))
            .values("n")
        ),
    ).order_by("name", "slug")
    return [
        BaseFigures(each, each.n_documents, each.n_passages, each.n_waiting, each.n_failed, each.n_behind or 0)
        for each in counted
    ]


def base_named(actor: Actor, slug: str) -> KnowledgeBase:
    """Raises `NotFound`."""
    base = bases_for(actor).filter(slug=slug).first()
    if base is None:
        raise NotFound("knowledge base")
    return base


def documents_of(base: KnowledgeBase, *, after: str = "", only: UUID | None = None, most: int = 100) -> list[DocumentLine]:
    """Its documents by source, those behind `after`; or one."""
    found: QuerySet[Any] = base.documents.filter(source__gt=after) if after else base.documents.all()
    if only is not None:
        found = found.filter(id=only)
    fields = ("id", "source", "media_type", "facts", "state", "error", "passage_count", "created_at", "indexed_at")
    rows = found.annotate(characters=Length("text")).order_by("source").values(*fields, "characters")[:most]
    return [DocumentLine(passages=row.pop("passage_count"), **row) for row in rows]


def document_named(base: KnowledgeBase, text: str) -> KnowledgeDocument:
    """The document of this public identifier in a base that the actor was given. Raises `NotFound`."""
    try:
        found = base.documents.filter(id=parsed("doc", text)).first()
    except UnknownIdentifier:
        found = None
    if found is None:
        raise NotFound("document")
    return found


def passage_named(actor: Actor, text: str) -> Passage:
    """The passage of this public identifier, with its document and base. Raises `NotFound`, of a document that was removed too."""
    try:
        found = (
            Passage.objects.select_related("document", "base").filter(id=parsed("psg", text), base__in=bases_for(actor)).first()
        )
    except UnknownIdentifier:
        found = None
    if found is None:
        raise NotFound("passage; its document was removed or replaced")
    return found


def models_that_embed() -> list[str]:
    """The models of the catalogue that can make a base's vectors."""
    return list(ModelEntry.objects.filter(capabilities__contains=["embeddings"]).order_by("slug").values_list("slug", flat=True))


def has_vectors() -> bool:
    """Whether passages have vectors here: the server has pgvector."""
    with connection.cursor() as cursor:
        cursor.execute(HAS_VECTORS)
        row = cursor.fetchone()
    return bool(row and row[0])


def search(base: KnowledgeBase, wanted: Search, way: Way = "both") -> list[Hit]:
    """What a step of a flow would find now; of a base whose vectors a model makes, by words alone, for pages ask no model."""
    vector: Vector | None = embed([wanted.query])[0] if way != "words" and not base.embedding and has_vectors() else None
    sql, parameters = statement(wanted, base.id, base.language, vector, way)
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return hits_of(cursor.fetchall())
