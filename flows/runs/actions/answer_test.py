"""Deciding what a test asks: the tester's own answer, which counts for that test only."""

from __future__ import annotations

import json
from typing import Any

from flows.access.actor import Actor
from flows.access.refusals import Conflict, Fault, Invalid
from flows.access.rights import Right, require
from flows.execution.requests import answer
from flows.models import Request, Run

STATES = {"approve": "approved", "reject": "rejected", "changes": "changes_requested"}


class NothingAsked(Conflict):
    """This test asks nothing there. Look at it again."""

    slug = "nothing-asked"


class NotYourTest(Conflict):
    """Only whoever started a test answers what it asks. Start one of your own."""

    slug = "not-your-test"


def answer_test(actor: Actor, run: Run, path: str, outcome: str, payload: Any = None) -> Request:
    """Gives the approval at `path` of a test its outcome; `payload` None means as it was asked. Raises `Forbidden`, `NotYourTest`,
    `NothingAsked`, `Invalid`, `AlreadyDecided`."""
    require(actor, Right.EDIT_FLOWS, run)
    asked = Request.objects.filter(run=run, kind="test", path=path[:400]).order_by("-pass_number", "-round").first()
    if asked is None:
        raise NothingAsked
    if actor.person is None or run.started_by_id != actor.person.id:
        raise NotYourTest
    meaning = asked.outcomes.get(outcome)
    if meaning not in STATES:
        mend = f"Choose of: {', '.join(asked.outcomes)}."
        raise Invalid("There is no such outcome.", problems=[Fault("outcome", f"{outcome[:60]!r} is unknown", mend)])
    decided = json.loads(asked.payload) if payload is None else payload
    return answer(asked.id, revision=asked.revision, state=STATES[meaning], outcome=outcome, payload=decided, by=actor.person)
