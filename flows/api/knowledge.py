"""Knowledge bases over HTTP: documents in, passages out."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema, Status
from pydantic import Field

from flows.access.actor import Actor
from flows.access.refusals import Fault, Invalid, NotFound
from flows.access.rights import Right, require_scope
from flows.api.auth import actor_of
from flows.api.problems import ProblemDocument
from flows.api.runs import runs_root
from flows.api.shapes import Time
from flows.api.shapes.runs import RunStarted
from flows.builder.knowledge.uses import flows_searching
from flows.models import KnowledgeBase, KnowledgeDocument, Team
from flows.retrieval.actions.change_base import change_base
from flows.retrieval.actions.create_base import create_base
from flows.retrieval.actions.delete_base import delete_base
from flows.retrieval.actions.delete_document import delete_document
from flows.retrieval.actions.put_document import put_document
from flows.retrieval.actions.reindex_base import reindex_base
from flows.retrieval.reads import (
    BaseFigures,
    DocumentLine,
    base_named,
    bases_for,
    document_named,
    documents_of,
    figures_for,
    search,
)
from flows.retrieval.searching import LONGEST_QUERY, MOST, Search
from flows.runs.actions.try_search import try_search

router = Router(tags=["knowledge"])
REFUSALS = {403: ProblemDocument, 404: ProblemDocument, 409: ProblemDocument, 422: ProblemDocument}


class BaseIn(Schema, extra="forbid"):
    slug: str
    name: str = ""
    team: str | None = Field(None, description="whose flows alone may search it; everybody's, where it is left out")
    language: str = Field("english", description="a text search configuration of PostgreSQL: german, simple, …")


class Question(Schema, extra="forbid"):
    query: str = Field(min_length=1, max_length=LONGEST_QUERY)


class BaseChange(Schema, extra="forbid"):
    embedding: str = Field(description="a model with the capability `embeddings`; empty: the vectors that come with the product")


class BaseShape(Schema):
    slug: str
    name: str
    team: str | None
    language: str
    documents: int
    passages: int
    waiting: int = Field(description="documents that are not indexed yet")
    failed: int
    embedding: str = Field(description="the model that makes its vectors; empty: they come with the product")
    without_vector: int = Field(description="passages that have no vector of it yet, and are found by their words alone")
    created_at: Time


class BaseList(Schema):
    items: list[BaseShape]


class DocumentIn(Schema, extra="forbid"):
    source: str = Field(
        description="a file's name or an address: what answers cite; a second one of this name replaces the first"
    )
    text: str | None = None
    data: str | None = Field(None, description="instead of `text`: the file in base64, for PDF")
    media_type: str = Field("", description="text/plain, text/markdown, text/html or application/pdf; else by the name's ending")
    facts: dict[str, Any] = Field({}, description="what a search can filter by")


class DocumentShape(Schema):
    id: str
    source: str
    media_type: str
    characters: int
    facts: dict[str, Any]
    state: str = Field(description="waiting, ready or failed")
    error: str
    passages: int
    created_at: Time
    indexed_at: Time | None


class DocumentList(Schema):
    items: list[DocumentShape]
    next: str | None


class PassageShape(Schema):
    id: str
    text: str
    source: str
    score: float = Field(description="from 0 to 1")


class PassageList(Schema):
    items: list[PassageShape]


class Waiting(Schema):
    waiting: int


@router.get("/knowledge", response={200: BaseList, 403: ProblemDocument})
def list_bases(request: HttpRequest) -> Any:
    """The knowledge bases that you may see, by name."""
    return {"items": [_base(figures) for figures in figures_for(bases_for(_reader(request)))]}


@router.post("/knowledge", response={201: BaseShape} | REFUSALS)
def post_base(request: HttpRequest, body: BaseIn) -> Any:
    """Makes a base without documents."""
    actor = actor_of(request)
    made = create_base(actor, body.slug, body.name, team=_team(body.team), language=body.language)
    return Status(201, _shape(made))


@router.get("/knowledge/{slug}", response={200: BaseShape, 403: ProblemDocument, 404: ProblemDocument})
def get_base(request: HttpRequest, slug: str) -> Any:
    """One base with the counts of what it holds."""
    return _shape(base_named(_reader(request), slug))


@router.patch("/knowledge/{slug}", response={200: BaseShape} | REFUSALS)
def patch_base(request: HttpRequest, slug: str, body: BaseChange) -> Any:
    """Chooses what makes its vectors; every passage is embedded anew, in a run whose cost is in the ledger."""
    actor = _reader(request)
    return _shape(change_base(actor, base_named(actor, slug), body.embedding))


@router.delete("/knowledge/{slug}", response={204: None} | REFUSALS)
def remove_base(request: HttpRequest, slug: str) -> HttpResponse:
    """Removes it with all that it holds. Refused while published flows search it."""
    actor = _reader(request)
    base = base_named(actor, slug)
    delete_base(actor, base, [flow.name for flow in flows_searching(base.slug)])
    return HttpResponse(status=204)


@router.get("/knowledge/{slug}/documents", response={200: DocumentList, 403: ProblemDocument, 404: ProblemDocument})
def list_documents(request: HttpRequest, slug: str, after: str = Query(""), limit: int = Query(50, ge=1, le=200)) -> Any:
    """Its documents by source; `next` goes into `after`."""
    base = base_named(_reader(request), slug)
    rows = documents_of(base, after=after, most=limit + 1)
    more = rows[limit - 1].source if len(rows) > limit else None
    return {"items": [_document(row) for row in rows[:limit]], "next": more}


@router.post("/knowledge/{slug}/documents", response={202: DocumentShape} | REFUSALS)
def post_document(request: HttpRequest, slug: str, body: DocumentIn) -> Any:
    """Brings a document, or the new text of one; it is found once it is `ready`."""
    actor = _reader(request)
    base = base_named(actor, slug)
    document = put_document(actor, base, body.source, _data(body), media_type=body.media_type, facts=body.facts)
    return Status(202, _one(base, document))


@router.get("/knowledge/{slug}/documents/{document}", response={200: DocumentShape, 403: ProblemDocument, 404: ProblemDocument})
def get_document(request: HttpRequest, slug: str, document: str) -> Any:
    """One document and whether it is indexed."""
    base = base_named(_reader(request), slug)
    return _one(base, document_named(base, document))


@router.delete("/knowledge/{slug}/documents/{document}", response={204: None} | REFUSALS)
def remove_document(request: HttpRequest, slug: str, document: str) -> HttpResponse:
    """Removes it with its passages: no search that begins after this finds them."""
    actor = _reader(request)
    base = base_named(actor, slug)
    delete_document(actor, base, document_named(base, document))
    return HttpResponse(status=204)


@router.post("/knowledge/{slug}/reindexing", response={202: Waiting} | REFUSALS)
def post_reindexing(request: HttpRequest, slug: str) -> Any:
    """Cuts and embeds every document again; until its turn comes each is found as before."""
    actor = _reader(request)
    return Status(202, {"waiting": reindex_base(actor, base_named(actor, slug))})


@router.get("/knowledge/{slug}/passages", response={200: PassageList, 403: ProblemDocument, 404: ProblemDocument})
def find_passages(
    request: HttpRequest,
    slug: str,
    query: str = Query("", max_length=LONGEST_QUERY),
    top: int = Query(5, ge=1, le=MOST),
    min_score: float = Query(0.0, ge=0, le=1),
) -> Any:
    """What a `retrieve` step would find now."""
    base = base_named(_reader(request), slug)
    return {"items": [hit.as_json() for hit in search(base, Search(query, top, least=min_score))]}


@router.post("/knowledge/{slug}/trials", response={202: RunStarted} | REFUSALS)
def post_search_trial(request: HttpRequest, response: HttpResponse, slug: str, body: Question) -> Any:
    """Asks by words and meaning as a `retrieve` step does, in a run marked as a test; its output is the passages. Of a base whose vectors a
    model makes that model is asked, at its price."""
    actor = _reader(request)
    run = try_search(actor, base_named(actor, slug), body.query, source="api")
    url = f"{runs_root(request)}/{run.public_id}"
    response["Location"] = url
    return Status(202, {"id": run.public_id, "url": url, "state": run.status})


def _reader(request: HttpRequest) -> Actor:
    actor = actor_of(request)
    require_scope(actor, Right.SEE_FLOWS)
    return actor


def _team(slug: str | None) -> Team | None:
    if not slug:
        return None
    team = Team.objects.filter(slug=slug).first()
    if team is None:
        raise NotFound("team")
    return team


def _data(body: DocumentIn) -> bytes:
    if (body.text is None) == (body.data is None):
        raise Invalid("The document cannot be added.", problems=[Fault("text", "give either `text` or `data`")])
    if body.text is not None:
        return body.text.encode()
    try:
        return base64.b64decode(body.data or "", validate=True)
    except binascii.Error:
        raise Invalid("The document cannot be added.", problems=[Fault("data", "is no base64")]) from None


def _shape(base: KnowledgeBase) -> dict[str, Any]:
    (figures,) = figures_for(KnowledgeBase.objects.filter(id=base.id).select_related("team"))
    return _base(figures)


def _base(figures: BaseFigures) -> dict[str, Any]:
    base = figures.base
    return {
        "slug": base.slug,
        "name": base.name,
        "team": base.team.slug if base.team is not None else None,
        "language": base.language,
        "documents": figures.documents,
        "passages": figures.passages,
        "waiting": figures.waiting,
        "failed": figures.failed,
        "embedding": base.embedding,
        "without_vector": figures.behind if base.embedding else 0,
        "created_at": base.created_at,
    }


def _one(base: KnowledgeBase, document: KnowledgeDocument) -> dict[str, Any]:
    (line,) = documents_of(base, only=document.id)
    return _document(line)


def _document(line: DocumentLine) -> dict[str, Any]:
    return {
        "id": line.public_id,
        "source": line.source,
        "media_type": line.media_type,
        "characters": line.characters,
        "facts": line.facts,
        "state": line.state,
        "error": line.error,
        "passages": line.passages,
        "created_at": line.created_at,
        "indexed_at": line.indexed_at,
    }
