"""Plain factories of rows, to be called in the test that needs them. Names are made up where the test does not care."""

from __future__ import annotations

import itertools
import json
from typing import Any

from flows.access.actor import Actor
from flows.access.keys import digest_of, new_secret
from flows.engine.canonical import canonical, sha256_of
from flows.models import (
    ApiKey,
    Event,
    Flow,
    FlowVersion,
    KnowledgeBase,
    KnowledgeDocument,
    Membership,
    MemoryChange,
    MemoryEntry,
    Passage,
    Person,
    Request,
    Route,
    RouteVersion,
    Run,
    Team,
    Trigger,
)
from flows.triggers.secrets import new_salt
from flows.triggers.settings import DEFAULTS

_number = itertools.count(1)

DOCUMENT = """\
orchestrator: 1
name: Greeting
input:
  type: object
  required: [name]
  properties:
    name: {type: string}
    times: {type: integer, minimum: 1}
limits: {cost: 1.00, steps: 10, at_limit: stop}
steps:
  greet:
    kind: set
    with:
      values: {text: "Hello {{ input.name }}"}
edges:
  - start -> greet
output: {text: "{{ steps.greet.output.text }}"}
"""


def make_team(slug: str | None = None) -> Team:
    slug = slug or f"team-{next(_number)}"
    return Team.objects.get_or_create(slug=slug, defaults={"name": slug})[0]


def make_person(*roles: str, username: str | None = None, team: Team | None = None) -> Person:
    """A person who holds these roles, in `team` or everywhere."""
    person = Person.objects.create_person(username or f"person-{next(_number)}", "correct horse battery")
    for role in roles:
        Membership.objects.create(person=person, role=role, team=team)
    return person


def make_actor(*roles: str, username: str | None = None, team: Team | None = None, door: str = "page") -> Actor:
    return Actor(person=make_person(*roles, username=username, team=team), door=door)


def make_key(person: Person, *scopes: str, **fields: Any) -> tuple[ApiKey, str]:
    secret = new_secret()
    key = ApiKey.objects.create(person=person, digest=digest_of(secret), hint=secret[:12], scopes=list(scopes), **fields)
    return key, secret


def make_flow(slug: str | None = None, *, document: str = DOCUMENT, team: Team | None = None, published: bool = True) -> Flow:
    slug = slug or f"flow-{next(_number)}"
    flow = Flow.objects.create(slug=slug, name=slug, draft=document, team=team)
    if published:
        flow.published = FlowVersion.objects.create(flow=flow, number=1, document=document, hash="0" * 64)
        flow.save()
    return flow


def make_base(slug: str, *, team: Team | None = None) -> tuple[KnowledgeBase, KnowledgeDocument, Passage]:
    """A knowledge base with one document of one passage."""
    base = KnowledgeBase.objects.create(slug=slug, name=slug, team=team)
    document = KnowledgeDocument.objects.create(
        base=base, source="a.txt", media_type="text/plain", text="Once.", digest="0" * 64, state="ready", passage_count=1
    )
    return base, document, Passage.objects.create(base=base, document=document, n=0, begins=0, ends=5, text="Once.")


def make_memory(flow: Flow | None = None, name: str = "seen", value: Any = "a fox", **fields: Any) -> MemoryEntry:
    """What a run left under one name: in the memory of a flow, or, by `fields`, of a person or under a key."""
    owner = f"flow:{flow.id}" if flow is not None else f"key:all:{fields.get('key', '')}"
    fields = {"place": owner, "scope": "flow" if flow is not None else "key", **fields}
    entry = MemoryEntry.objects.create(flow=flow, name=name, value=json.dumps(value), **fields)
    MemoryChange.objects.create(entry=entry, revision=1, value=entry.value, run=entry.run, path=entry.path, by=entry.set_by)
    return entry


def make_run(flow: Flow | None = None, *, status: str = "queued", events: int = 1, **fields: Any) -> Run:
    """A run with events 1 … `events`."""
    flow = flow or make_flow()
    if status in ("succeeded", "failed", "cancelled", "budget_stopped"):
        from django.utils import timezone

        fields.setdefault("ended_at", timezone.now())
    run = Run.objects.create(flow=flow, version=flow.published, input=fields.pop("input", "{}"), status=status, seq=0, **fields)
    add_events(run, events)
    return run


def add_events(run: Run, count: int = 1, kind: str = "step.done") -> None:
    for _ in range(count):
        run.seq += 1
        name = "run.created" if run.seq == 1 else kind
        Event.objects.create(run_id=run.id, seq=run.seq, pass_number=run.pass_number, type=name, data=json.dumps({"n": run.seq}))
    Run.objects.filter(id=run.id).update(seq=run.seq)


def make_request(run: Run | None = None, *, payload: Any = None, state: str = "pending", **fields: Any) -> Request:
    """An open approval of a parked run: refund 420, the amount may be edited, finance decides."""
    run = run or make_run(status="waiting_approval")
    payload = {"amount": 420, "reason": "double"} if payload is None else payload
    terms = {
        "outcomes": {"approve": "approve", "reject": "reject", "revise": "changes"},
        "approvers": {"teams": ["finance"]},
        "quorum": 1,
        "editable": ["amount"],
        "at_deadline": "reject",
    } | fields.pop("terms", {})
    return Request.objects.create(
        run=run,
        path=fields.pop("path", f"approve_{next(_number)}"),
        kind="approval",
        state=state,
        title="Refund 420",
        terms=terms,
        payload=canonical(payload),
        payload_hash=sha256_of(payload),
        **fields,
    )


def make_limit_question(run: Run | None = None, *, which: str = "cost", amount: Any = "0.50", **fields: Any) -> Request:
    """A run that has reached its limit asks what to do."""
    if run is None:
        run = make_run(status="waiting_approval", cap_cost="0.50", spent="0.42", at_limit="pause")
    by_step = [{"step": "rate[].assess", "cost": "0.4", "tokens": 11340, "calls": 12}]
    payload = {
        "limit": {"of": "run", "which": which, "amount": amount},
        "spent": "0.42",
        "needed": "0.12",
        "by_step": by_step,
        "expected": {"cost": "0.71", "runs": 12},
    }
    outcomes = {"raise": "approve", "cheaper": "approve", "finish": "approve", "stop": "reject"}
    terms = {"outcomes": outcomes, "order": list(outcomes), "which": which}
    return _question(
        run, "budget", payload, terms, title=f"Run #{run.number} has reached its limit on {which}", path="", **fields
    )


def make_unknown_question(run: Run | None = None, **fields: Any) -> Request:
    """A call was sent and its answer is lost."""
    run = run or make_run(status="waiting_approval")
    payload = {
        "tool": "mail.send",
        "arguments": {"to": "customer 991", "text": "Your refund is on its way."},
        "key": "5f0c5b3e-8f1c-5d3c-9a55-1d6b1a0f6f11",
        "sent_at": "2026-07-03T09:02:11+00:00",
        "error": "mail.send broke the connection before its answer was complete.",
    }
    outcomes = {"happened": "approve", "repeat": "approve", "fail": "reject"}
    schema = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}
    terms = {"outcomes": outcomes, "order": list(outcomes), "attempt": 1, "target": "mail.send", "result_schema": schema}
    path = fields.pop("path", "send")
    title = f"Did mail.send happen? Step {path} does not know"
    return _question(run, "unknown", payload, terms, title=title, path=path, **fields)


def _question(run: Run, kind: str, payload: Any, terms: dict[str, Any], **fields: Any) -> Request:
    return Request.objects.create(
        run=run, kind=kind, terms=terms, payload=canonical(payload), payload_hash=sha256_of(payload), **fields
    )


def make_versioned_route(slug: str, *models: str) -> Route:
    """A route of these candidates, with its first version."""
    route = Route.objects.create(slug=slug, candidates=list(models))
    definition = {"candidates": list(models), "fall_back_on": [], "timeout": None, "strategy": "ordered", "needs": []}
    RouteVersion.objects.create(route=route, number=1, definition=definition)
    return route


def make_trigger(flow: Flow | None = None, kind: str = "schedule", *, owner: Person | None = None, **settings: Any) -> Trigger:
    """A schedule (each hour, for Ann) or a webhook (whole body) of a flow, not due before somebody says so."""
    given = {"input": {"name": "Ann"}, "cron": "0 * * * *"} if kind == "schedule" else {}
    owner = owner or make_person("builder")
    return Trigger.objects.create(
        flow=flow or make_flow(),
        kind=kind,
        name=f"{kind} {next(_number)}",
        settings={**DEFAULTS[kind], **given, **settings},
        owner=owner,
        created_by=owner,
        salt=new_salt(),
    )
