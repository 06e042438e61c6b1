"""What is kept about one request beside its own row, read in one query: votes, talk, hand-overs, trail, earlier decisions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import F, OuterRef, QuerySet, TextField, Value
from django.db.models.functions import Cast, Coalesce, JSONObject, NullIf

from approvals.models import Delegation, Remark, Vote
from flows.access.actor import Actor
from flows.access.querysets import requests_for
from flows.models import AuditRow, Intervention, Person, Request, RunPass, ToolEntry
from flows.models.identifiers import shown

EARLIER = 5
MOST_TRAIL = 100
MOST_COLLEAGUES = 200
NO_SUMS: Mapping[str, QuerySet[Any, Any]] = {}


@dataclass(frozen=True, slots=True)
class VoteLine:
    """A vote; `person` and `on_behalf_of` are names as pages show them, the others those of accounts."""

    person: str
    on_behalf_of: str | None
    username: str
    giver: str | None
    outcome: str
    revision: int
    comment: str
    at: datetime

    @property
    def mandate(self) -> str:
        return self.giver or self.username


@dataclass(frozen=True, slots=True)
class RemarkLine:
    person: str
    kind: str
    to: str | None
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class HandedOver:
    giver: str
    taker: str


@dataclass(frozen=True, slots=True)
class TrailRow:
    """A row of the audit log about the request."""

    who: str
    action: str
    data: Mapping[str, Any]
    door: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Earlier:
    """A decision on another request of the same kind."""

    public_id: str
    title: str
    state: str
    decided_by: str
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class Colleague:
    username: str
    name: str

    def __str__(self) -> str:
        return self.name or self.username


@dataclass(frozen=True, slots=True)
class ToolFacts:
    """What the catalogue says of a tool; the schemas of its arguments and its result mark what is hidden."""

    slug: str
    effect: str
    reversible: bool
    arguments: Any
    result: Any


@dataclass(frozen=True, slots=True)
class Record:
    """`tools` are by slug those that were wanted, `tool` is the one of them whose call is decided on. `hands` are the identifiers of
    those who began a pass of the run or decided about a step of it."""

    votes: list[VoteLine]
    remarks: list[RemarkLine]
    delegations: list[HandedOver]
    trail: list[TrailRow]
    earlier: list[Earlier]
    colleagues: list[Colleague]
    tools: Mapping[str, ToolFacts]
    tool: ToolFacts | None
    hands: frozenset[int]
    sums: Mapping[str, list[dict[str, Any]]]  # of the queries that were given along


def record_of(
    actor: Actor, request: Request, tools: Iterable[str] = (), sums: Mapping[str, QuerySet[Any, Any]] = NO_SUMS
) -> Record:
    """The record as the actor may see it, with what the catalogue says of these tools and of the one whose call is decided on, and the
    rows of these sums of calls."""
    tool = tool_in(request)
    about: dict[str, Any] = {"request": OuterRef("pk")}
    seen = Request.objects.filter(id=request.id).values(
        votes_=_rows(
            Vote.objects.filter(**about).order_by("id"),
            person=name_of("person"),
            on_behalf_of=name_of("on_behalf_of"),
            username="person__username",
            giver="on_behalf_of__username",
            outcome="outcome",
            revision="revision",
            comment="comment",
            at="at",
        ),
        remarks_=_rows(
            Remark.objects.filter(**about).order_by("id"),
            person=name_of("person"),
            kind="kind",
            to=name_of("to"),
            text="text",
            at="at",
        ),
        handed=_rows(
            Delegation.objects.filter(**about, ended_at__isnull=True).order_by("id"),
            giver=name_of("giver"),
            taker=name_of("taker"),
        ),
        trail=_rows(
            AuditRow.objects.filter(subject_kind="request", subject=request.public_id).order_by("id")[:MOST_TRAIL],
            who=Coalesce(name_of("actor"), F("actor_name")),
            action="action",
            data="data",
            door="door",
            at="at",
        ),
        earlier=_rows(
            _earlier(actor, request),
            id="id",
            title="title",
            state="state",
            decided_by=name_of("decided_by"),
            decided_at="decided_at",
        ),
        colleagues=_rows(
            Person.objects.filter(is_active=True).exclude(username=actor.name).order_by("username")[:MOST_COLLEAGUES],
            username="username",
            name="name",
        ),
        tools=_rows(
            ToolEntry.objects.filter(slug__in={tool, *tools}),
            slug="slug",
            effect="effect",
            reversible="reversible",
            arguments="arguments",
            result="result",
        ),
        passes=ArraySubquery(RunPass.objects.filter(run=OuterRef("run_id"), by__isnull=False).values("by")),
        **{
            f"sum_{number}": _rows(each, cost=Cast("cost", TextField()), unpriced="unpriced", simulated="simulated")
            for number, each in enumerate(sums.values())
        },
        steps=ArraySubquery(Intervention.objects.filter(run=OuterRef("run_id"), by__isnull=False).values("by")),
    )
    found: dict[str, Any] = {name: rows or [] for name, rows in seen.get().items()}  # what cannot have any is NULL
    known = {each["slug"]: ToolFacts(**each) for each in found["tools"]}
    return Record(
        votes=[VoteLine(**_timed(each, "at")) for each in found["votes_"]],
        remarks=[RemarkLine(**_timed(each, "at")) for each in found["remarks_"]],
        delegations=[HandedOver(**each) for each in found["handed"]],
        trail=[TrailRow(**_timed(each, "at")) for each in found["trail"]],
        earlier=[_earlier_line(_timed(each, "decided_at")) for each in found["earlier"]],
        colleagues=[Colleague(**each) for each in found["colleagues"]],
        tools=known,
        tool=known.get(tool),
        hands=frozenset([*found["passes"], *found["steps"]]),
        sums={name: found[f"sum_{number}"] for number, name in enumerate(sums)},
    )


def tool_in(request: Request) -> str:
    """The tool whose call is decided on, or of which nobody knows what became; empty where there is none."""
    slug = json.loads(request.payload).get("tool") if request.kind == "unknown" else request.terms.get("tool")
    return slug if isinstance(slug, str) else ""


def name_of(person: str) -> Any:
    """The name of a person as pages show it, in the database."""
    return Coalesce(NullIf(F(f"{person}__name"), Value("")), F(f"{person}__username"))


def _rows(found: QuerySet[Any], **fields: Any) -> ArraySubquery:
    return ArraySubquery(found.values(row=JSONObject(**fields)))


def _earlier(actor: Actor, request: Request) -> QuerySet[Request]:
    """What was decided last under the same policy, or, without one, in the same step of the flow."""
    decided = requests_for(actor).filter(kind=request.kind, decided_by__isnull=False).exclude(id=request.id)
    if request.terms.get("policy_version"):
        decided = decided.filter(terms__policy=request.terms["policy"])
    elif request.run is not None:
        decided = decided.filter(run__flow=request.run.flow_id, path=request.path)
    else:
        decided = decided.none()
    return decided.order_by("-decided_at")[:EARLIER]


def _earlier_line(row: dict[str, Any]) -> Earlier:
    return Earlier(public_id=shown("req", UUID(row.pop("id"))), **row)


def _timed(row: dict[str, Any], name: str) -> dict[str, Any]:
    return row | {name: datetime.fromisoformat(row[name])}
