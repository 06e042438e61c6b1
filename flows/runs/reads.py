"""Runs as people look at them: lists, steps with their attempts and calls, events."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Q, QuerySet

from flows.access.actor import Actor
from flows.access.masking import mask_of
from flows.access.querysets import made_before, made_since, runs_for
from flows.access.refusals import Fault, Invalid, NotFound
from flows.engine.masking import Mask
from flows.engine.states import OPEN_REQUEST_STATES, RUN_STATES, TERMINAL_STATES
from flows.models import Attempt, Call, Event, Intervention, Request, Run, RunPass
from flows.models.identifiers import UnknownIdentifier, parsed

MOST_ATTEMPTS = 2000  # that one answer holds
MOST_CALLS = 5000

LIST_FIELDS = ("input", "output")  # large, and no list shows them


@dataclass(slots=True)
class StepAttempt:
    """One automatic try of a step, with the calls it made."""

    n: int
    status: str
    port: str = ""
    error: Any = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    next_at: datetime | None = None
    calls: list[Call] = field(default_factory=list)


@dataclass(slots=True)
class Step:
    """One step of a run at its path, as far as it has come. `cost` is what is known; `unpriced` calls come on top of it."""

    path: str
    kind: str
    state: str
    output: Any
    cost: Decimal
    tokens: int
    unpriced: int
    attempts: list[StepAttempt]


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps in the order in which they were first recorded; `complete` is False where there are more than are given."""

    steps: list[Step]
    complete: bool


def run_named(actor: Actor, public_id: str) -> Run:
    """The run of this public identifier with its flow, version and starter. Raises `NotFound`."""
    try:
        found = runs_for(actor).filter(id=parsed("run", public_id))
    except UnknownIdentifier:
        raise NotFound("run") from None
    run = found.select_related("flow__team", "version", "started_by").defer("flow__draft", "version__document").first()
    if run is None:
        raise NotFound("run")
    return run


def runs_named(actor: Actor, public_ids: Iterable[str]) -> list[Run]:
    """The runs of these identifiers, in this order, each once. Raises `NotFound` naming the first that there is not."""
    wanted = list(dict.fromkeys(public_ids))
    try:
        ids = [parsed("run", name) for name in wanted]
    except UnknownIdentifier:
        raise NotFound("run") from None
    found = {run.id: run for run in runs_for(actor).filter(id__in=ids).select_related("flow__team", "version", "started_by")}
    missing = next((name for name, id_ in zip(wanted, ids, strict=True) if id_ not in found), None)
    if missing is not None:
        raise NotFound(f"run {missing}")
    return [found[id_] for id_ in ids]


def runs_listed(
    actor: Actor,
    *,
    state: str | None = None,
    flow: str | None = None,
    tags: Iterable[str] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    key: str | None = None,
    source: str | None = None,
) -> QuerySet[Run]:
    """The runs that match, newest first. `state` and `flow` are names with commas between; a leading ``!`` excludes them.

    Raises `Invalid` naming a state that there is not.
    """
    runs = runs_for(actor).select_related("flow", "version", "started_by").order_by("-id")
    runs = runs.defer(*LIST_FIELDS, "flow__draft", "version__document")
    if state:
        states = [name.strip() for name in state.lstrip("!").split(",") if name.strip()]
        unknown = sorted(set(states) - RUN_STATES)
        if unknown:
            mend = f"Choose of: {', '.join(sorted(RUN_STATES))}."
            raise Invalid("There is no such state.", problems=[Fault("state", f"{', '.join(unknown)[:80]} is unknown", mend)])
        chosen = Q(status__in=states)
        runs = runs.exclude(chosen) if state.startswith("!") else runs.filter(chosen)
    if flow:
        chosen = Q(flow__slug__in=[slug.strip() for slug in flow.lstrip("!").split(",")])
        runs = runs.exclude(chosen) if flow.startswith("!") else runs.filter(chosen)
    for tag in tags:
        runs = runs.filter(tags__contains=[tag])
    if since is not None:
        runs = runs.filter(made_since(since))
    if until is not None:
        runs = runs.filter(made_before(until))
    if key is not None:
        runs = runs.filter(key=key)
    return runs.filter(source=source) if source is not None else runs


def events_after(run: Run, after: int, limit: int) -> list[Event]:
    """The events whose number is greater than `after`, in order."""
    return list(Event.objects.filter(run=run, seq__gt=after).order_by("seq")[:limit])


def calls_of(run: Run) -> QuerySet[Call]:
    """The run's calls in the order in which they began."""
    return Call.objects.filter(run=run).order_by("id")


def passes_of(run: Run) -> list[RunPass]:
    """The passes after the first, oldest first."""
    return list(RunPass.objects.filter(run=run).select_related("by").order_by("number"))


def interventions_of(run: Run, pass_number: int | None = None) -> list[Intervention]:
    """What people decided about single steps in one pass (the newest by default), oldest first."""
    number = run.pass_number if pass_number is None else pass_number
    return list(Intervention.objects.filter(run=run, pass_number=number).select_related("by").order_by("id")[:MOST_ATTEMPTS])


def steps_of(run: Run, pass_number: int | None = None) -> Steps:
    """The run's steps in one pass (the newest by default), from its journal and ledger: three queries.
    What is hidden of the run is masked."""
    number = run.pass_number if pass_number is None else pass_number
    attempts = list(Attempt.objects.filter(run=run, pass_number=number).order_by("seq", "id")[: MOST_ATTEMPTS + 1])
    calls = list(Call.objects.filter(run=run, pass_number=number).defer("request", "response").order_by("id")[: MOST_CALLS + 1])
    asked = set(Request.objects.filter(run=run, pass_number=number, state__in=OPEN_REQUEST_STATES).values_list("path", flat=True))
    complete = len(attempts) <= MOST_ATTEMPTS and len(calls) <= MOST_CALLS
    by_path: dict[str, tuple[list[Attempt], list[Call]]] = {}
    order: dict[str, int] = {}
    for attempt in attempts[:MOST_ATTEMPTS]:
        by_path.setdefault(attempt.path, ([], []))[0].append(attempt)
        order[attempt.path] = min(order.get(attempt.path, attempt.seq), attempt.seq)
    for call in calls[:MOST_CALLS]:
        by_path.setdefault(call.path, ([], []))[1].append(call)
        order[call.path] = min(order.get(call.path, call.seq), call.seq)
    ended = run.status in TERMINAL_STATES or number < run.pass_number
    paths = sorted(by_path, key=order.__getitem__)
    mask = mask_of(run)
    return Steps([_step(path, *by_path[path], path in asked, ended, mask) for path in paths], complete)


def _step(path: str, attempts: list[Attempt], calls: list[Call], asked: bool, ended: bool, mask: Mask) -> Step:
    tries: dict[int, StepAttempt] = {}
    for attempt in sorted(attempts, key=lambda each: each.n):
        tries[attempt.n] = StepAttempt(
            n=attempt.n,
            status=attempt.status,
            port=attempt.port,
            error=mask.read(attempt.error),
            started_at=attempt.started_at,
            ended_at=attempt.ended_at,
            next_at=attempt.next_at,
        )
    for call in calls:
        one = tries.setdefault(call.attempt, StepAttempt(n=call.attempt, status="open", started_at=call.started_at))
        one.calls.append(call)
        # A result is recorded when it is there; its attempt began with its first call.
        one.started_at = min(one.started_at or call.started_at, call.started_at)
    newest = max(attempts, key=lambda each: each.n, default=None)
    done = next((each for each in attempts if each.status == "succeeded"), None)
    return Step(
        path=path,
        kind=newest.kind if newest is not None else calls[0].kind,
        state=_state(newest, calls, asked, ended),
        output=mask.read(done.output) if done is not None else None,
        cost=sum((call.settled for call in calls if call.settled is not None), Decimal(0)),
        tokens=sum((call.input_tokens or 0) + (call.output_tokens or 0) for call in calls),
        unpriced=sum(is_unpriced(call) for call in calls),
        attempts=[tries[n] for n in sorted(tries)],
    )


def is_unpriced(call: Call) -> bool:
    """Whether a call has cost something that nobody knows."""
    used = call.status in ("succeeded", "unknown") or call.usage_source in ("provider", "estimated")
    return used and call.kind == "model" and call.settled is None


def _state(newest: Attempt | None, calls: list[Call], asked: bool, ended: bool) -> str:
    """A step's state in the words of runs, `skipped` beside them."""
    if newest is not None and newest.status in ("succeeded", "skipped"):
        return newest.status
    if newest is not None and newest.status == "failed" and (newest.next_at is None or ended):
        in_flight = any(call.attempt > newest.n and call.status == "started" for call in calls)
        return "running" if in_flight and not ended else "failed"
    if ended:
        return "cancelled"
    if asked:
        return "waiting_approval"
    if any(call.status == "started" for call in calls):
        return "running"
    if newest is not None and newest.status == "failed":
        return "retrying"
    return "waiting" if newest is not None and newest.status == "waiting" else "running"


def value_of(text: str | None) -> Any:
    """The JSON value of a stored text."""
    return None if text is None else json.loads(text)
