"""Memories over HTTP: what runs left for later ones."""

from __future__ import annotations

from typing import Any, Literal

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema
from pydantic import Field

from flows.access.actor import Actor
from flows.access.rights import Right, require_scope, require_somewhere
from flows.api.auth import actor_of
from flows.api.paging import After, Limit
from flows.api.problems import ProblemDocument
from flows.api.shapes import Moment, Time
from flows.memory.actions.change_memory import change_memory
from flows.memory.actions.clear_memory import clear_memory
from flows.memory.actions.delete_memory import delete_memory
from flows.memory.reads import Wanted, entry_named, history_of, matching, page_of
from flows.models import MemoryChange, MemoryEntry
from flows.models.identifiers import shown

router = Router(tags=["memory"])
REFUSALS = {403: ProblemDocument, 404: ProblemDocument, 409: ProblemDocument, 422: ProblemDocument}


class MemoryShape(Schema):
    id: str
    scope: Literal["flow", "person", "key"] = Field(description="whose memory it is")
    flow: str | None = Field(description="slug; of the scope `flow`")
    person: str | None = Field(description="username; of the scope `person`")
    key: str | None = Field(description="of the scope `key`")
    team: str | None = Field(description="slug of the team that it belongs to; null: everybody's")
    name: str
    value: Any
    revision: int
    run: str | None = Field(description="that set it; null where a person did, or where you may not see it")
    path: str | None = Field(description="of the step that set it")
    by: str | None = Field(description="username of the person who set it, where no run did")
    set_at: Time
    expires_at: Time | None
    untrusted: str | None = Field(description="the tool by which its run had read what others wrote")


class MemoryChangeShape(Schema):
    revision: int
    value: Any = Field(description="null where the payloads of the run that set it have been removed")
    run: str | None
    path: str | None
    by: str | None
    at: Time


class MemoryDetail(MemoryShape):
    history: list[MemoryChangeShape] = Field(description="the newest first, at most 20")


class MemoryPage(Schema):
    items: list[MemoryShape]
    next: str | None


class MemoryIn(Schema, extra="forbid"):
    value: Any
    expires_at: Moment | None = Field(None, description="until when it is kept; null: until it is changed")
    revision: int | None = Field(None, description="change it only where it is still at this revision")


@router.get("/memory", response={200: MemoryPage, 403: ProblemDocument, 422: ProblemDocument})
def list_memory(
    request: HttpRequest,
    scope: str = Query("", description="flow, person or key"),
    flow: str = Query("", description="slug"),
    person: str = Query("", description="username"),
    key: str = Query("", max_length=200),
    text: str = Query("", max_length=200, description="stands in the name, the key or the value"),
    after: After = None,
    limit: Limit = 50,
) -> Any:
    """The entries that you may see and that match, the newest change first."""
    actor = _reader(request)
    require_somewhere(actor, Right.SEE_RUNS)
    rows, more = page_of(matching(actor, Wanted(scope, flow, person, key, text)), after, limit, text)
    return {"items": [_entry(row) for row in rows], "next": more}


@router.get("/memory/{entry}", response={200: MemoryDetail, 403: ProblemDocument, 404: ProblemDocument})
def get_memory(request: HttpRequest, entry: str) -> Any:
    """One entry with its history."""
    actor = _reader(request)
    found = entry_named(actor, entry)
    return _entry(found) | {"history": [_change(change) for change in history_of(actor, found)]}


@router.put("/memory/{entry}", response={200: MemoryShape} | REFUSALS)
def put_memory(request: HttpRequest, entry: str, body: MemoryIn) -> Any:
    """Puts right what it holds."""
    actor = _reader(request)
    change_memory(actor, entry_named(actor, entry), body.value, expires_at=body.expires_at, revision=body.revision)
    return _entry(entry_named(actor, entry))


@router.delete("/memory/{entry}", response={204: None} | REFUSALS)
def remove_memory(
    request: HttpRequest,
    entry: str,
    everything: bool = Query(False, alias="all", description="forget everything that this memory holds"),
) -> HttpResponse:
    """Forgets it, with its history."""
    actor = _reader(request)
    found = entry_named(actor, entry)
    if everything:
        clear_memory(actor, found)
    else:
        delete_memory(actor, found)
    return HttpResponse(status=204)


def _reader(request: HttpRequest) -> Actor:
    actor = actor_of(request)
    require_scope(actor, Right.SEE_RUNS)
    return actor


def _entry(entry: MemoryEntry) -> dict[str, Any]:
    team = entry.flow.team if entry.flow is not None else entry.team
    return {
        "id": entry.public_id,
        "scope": entry.scope,
        "flow": entry.flow.slug if entry.flow is not None else None,
        "person": entry.person.username if entry.person is not None else None,
        "key": entry.key or None,
        "team": team.slug if team is not None else None,
        "name": entry.name,
        "value": entry.shown,
        "revision": entry.revision,
        **_setter(entry),
        "by": entry.set_by.username if entry.set_by is not None else None,
        "set_at": entry.set_at,
        "expires_at": entry.expires_at,
        "untrusted": entry.untrusted or None,
    }


def _change(change: MemoryChange) -> dict[str, Any]:
    return {
        "revision": change.revision,
        "value": change.shown,
        **_setter(change),
        "by": change.by.username if change.by is not None else None,
        "at": change.at,
    }


def _setter(row: Any) -> dict[str, Any]:
    """The run and step that set it, where the reader may see that run."""
    seen = row.run_id is not None and row.run_seen
    return {"run": shown("run", row.run_id) if seen else None, "path": row.path or None}
