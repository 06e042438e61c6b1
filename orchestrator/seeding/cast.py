"""What the people of the demonstration do, by the verbs that everybody uses."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any
from uuid import UUID

from approvals.actions.decide import decide
from approvals.rules import meaning_of
from flows.access.actor import Actor, system
from flows.access.refusals import Refusal
from flows.engine.states import OPEN_REQUEST_STATES, TERMINAL_STATES
from flows.models import Person, Request, Run
from flows.runs.actions.start_run import start_run
from orchestrator.seeding.marks import mark

SEED = system("demo", door="cli")
PATIENCE = 300.0  # seconds that the engine may take for one part
DECIDERS = ("approver-1", "approver-2", "approver-3", "operator", "owner")

Progress = Callable[[str, int, int], None]
"""Told what is being made, how many of it there are, and how many there will be."""


class TooSlow(Exception):
    """The engine does not come to an end with what it is to make. Is one running?"""


def actor(username: str) -> Actor:
    """The person of the cast, or, where there is none of this name any more, the demonstration itself."""
    person = Person.objects.filter(username=username, is_active=True).first()
    return Actor(person=person, door="cli") if person is not None else SEED


def start(flow: str, given: Any, by: str, **options: Any) -> Run:
    """Starts a run and marks it."""
    run = start_run(actor(by), flow, given, **options)
    mark("run", [run.id])
    return run


def answer_all(runs: Mapping[UUID, str]) -> int:
    """Decides what these runs ask, each as the mapping says: approve or reject; gives how many votes were cast."""
    cast = 0
    for request in Request.objects.filter(run__in=list(runs), state__in=sorted(OPEN_REQUEST_STATES)).select_related("run__flow"):
        if request.run_id is not None:
            cast += answer(request, runs[request.run_id])
    return cast


def answer(request: Request, wanted: str) -> bool:
    """One vote for the first outcome of this meaning, by the first of the cast who may give it; whether somebody could."""
    outcome = next((name for name in request.outcomes if meaning_of(request, name) == wanted), None)
    if outcome is None:
        return False
    for name in DECIDERS:
        try:
            decide(actor(name), request.id, outcome, request.revision, comment="" if wanted == "approve" else "Not this time.")
        except Refusal:
            continue
        return True
    return False


def wait_for(progress: Progress, what: str, wanted: int, count: Callable[[], int], patience: float = PATIENCE) -> None:
    """Until so many are there, at most `patience` seconds. Raises `TooSlow`."""
    deadline = time.monotonic() + patience
    while (done := count()) < wanted:
        progress(what, done, wanted)
        if time.monotonic() > deadline:
            raise TooSlow(f"The engine has made {done} of {wanted} ({what}) in {patience:g} s. Is one running?")
        time.sleep(0.1)
    progress(what, wanted, wanted)


def ended(runs: Collection[UUID]) -> int:
    return Run.objects.filter(id__in=list(runs), status__in=TERMINAL_STATES).count()
