"""Memories as pages, the API and commands read them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from flows.access.actor import Actor
from flows.access.masking import masks_of_what_stayed
from flows.access.querysets import belonging, runs_for
from flows.access.refusals import Fault, Invalid, NotFound
from flows.access.rights import Right
from flows.engine.masking import NO_MASK
from flows.models import Flow, MemoryChange, MemoryEntry, Run
from flows.models.identifiers import UnknownIdentifier, parsed

SCOPES = ("flow", "person", "key")
Row = TypeVar("Row", MemoryEntry, MemoryChange)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries: those of a scope, of a flow or person by name, under a key; `text` stands in the name, the key or the value."""

    scope: str = ""
    flow: str = ""
    person: str = ""
    key: str = ""
    text: str = ""


def entries_for(actor: Actor) -> QuerySet[MemoryEntry]:
    """What somebody may see: the memories of flows whose runs they see, those of their teams, and what is kept about themselves."""
    seen = Q(scope="flow") & belonging(actor.holdings, Right.SEE_RUNS, "flow__")
    seen |= ~Q(scope="flow") & belonging(actor.holdings, Right.SEE_RUNS)
    if actor.person is not None:
        seen |= Q(person=actor.person)
    alive = Q(expires_at=None) | Q(expires_at__gt=Now())
    run_seen = Exists(runs_for(actor).filter(id=OuterRef("run_id")))
    rows = MemoryEntry.objects.filter(seen & alive).select_related("flow", "flow__team", "team", "person", "set_by")
    return rows.annotate(run_number=F("run__number"), run_seen=run_seen)


def matching(actor: Actor, wanted: Wanted) -> QuerySet[MemoryEntry]:
    """Those that match, the newest change first. Raises `Invalid` naming a scope that there is not."""
    if wanted.scope and wanted.scope not in SCOPES:
        raise Invalid(
            "There is no such scope.",
            problems=[Fault("scope", f"{wanted.scope[:40]!r} is unknown", f"Use one of {', '.join(SCOPES)}.")],
        )
    rows = entries_for(actor).order_by("-stamp")
    given = {"scope": wanted.scope, "flow__slug": wanted.flow, "person__username": wanted.person, "key": wanted.key}
    rows = rows.filter(**{field: value for field, value in given.items() if value})
    if wanted.text:
        rows = rows.filter(Q(name__icontains=wanted.text) | Q(key__icontains=wanted.text) | Q(value__icontains=wanted.text))
    return rows


def page_of(rows: QuerySet[MemoryEntry], after: str | None, most: int, text: str = "") -> tuple[list[MemoryEntry], str | None]:
    """One page, and the cursor of the next. An entry in which `text` stands only where it is hidden is left out, so that nobody can
    guess it. Raises `Invalid` for what is no cursor."""
    if after:
        try:
            rows = rows.filter(stamp__lt=UUID(hex=after))
        except ValueError:
            raise Invalid(
                "The cursor cannot be used.", problems=[Fault("after", "is no cursor", "Use `next` of a page.")]
            ) from None
    found = list(rows[: most + 1])
    following = found[most - 1].stamp.hex if len(found) > most else None
    return [row for row in without_hidden(found[:most]) if _says(row, text)], following


def without_hidden(rows: list[Row]) -> list[Row]:
    """The rows, each with the value that may be shown: without what is hidden of the run that set it. One query, and more only where
    flows have marked fields."""
    masks = masks_of_what_stayed(list(Run.objects.filter(id__in={row.run_id for row in rows if row.run_id is not None})))
    for row in rows:
        row.shown = masks.get(row.run_id, NO_MASK).read(row.value) if row.run_id is not None else NO_MASK.read(row.value)
    return rows


def _says(row: MemoryEntry, text: str) -> bool:
    if not text or row.shown == json.loads(row.value):
        return True
    wanted = text.casefold()
    return any(wanted in each.casefold() for each in (row.name, row.key, row.shown_text))


def entry_named(actor: Actor, text: str) -> MemoryEntry:
    """The entry of this public identifier. Raises `NotFound`."""
    try:
        found = entries_for(actor).filter(id=parsed("mem", text)).first()
    except UnknownIdentifier:
        found = None
    if found is None:
        raise NotFound("entry of a memory; it was forgotten or has expired")
    return without_hidden([found])[0]


def history_of(actor: Actor, entry: MemoryEntry) -> list[MemoryChange]:
    """What it was set to, the newest first."""
    changes: QuerySet[Any] = entry.changes.select_related("by").order_by("-revision")
    run_seen = Exists(runs_for(actor).filter(id=OuterRef("run_id")))
    return without_hidden(list(changes.annotate(run_number=F("run__number"), run_seen=run_seen)))


def team_of_entry(entry: MemoryEntry) -> UUID | None:
    """The team that it belongs to; None where it is everybody's."""
    return entry.flow.team_id if entry.flow is not None else entry.team_id


def may_change(actor: Actor, entry: MemoryEntry) -> bool:
    """Whether the actor may change or delete it: what is kept about oneself, and what belongs to runs that one controls."""
    if actor.missing_scope(Right.CONTROL_RUNS) is not None:
        return False
    own = actor.person is not None and entry.person_id == actor.person.id
    return own or actor.may(Right.CONTROL_RUNS, team_of_entry(entry))


def flows_with_memory(actor: Actor) -> QuerySet[Flow]:
    """The flows that have a memory of their own which the actor sees, by name."""
    seen = entries_for(actor).filter(scope="flow").values("flow")
    return Flow.objects.filter(id__in=seen).order_by("name")
