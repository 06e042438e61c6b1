"""Deciding a request."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from approvals.models import Vote
from approvals.questions import carry_out, is_question, require_choice, value_of
from approvals.rules import STATE_OF, edited_payload, meaning_of, require_decision
from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.querysets import requests_for
from flows.access.refusals import Conflict, Fault, Invalid, NotFound
from flows.builder.actions.publish_as_approved import publish_as_approved
from flows.engine.canonical import canonical, sha256_of, storable
from flows.engine.states import OPEN_REQUEST_STATES
from flows.execution.doorbells import inbox_changed
from flows.execution.moves import announce, append_event, lock_run
from flows.execution.requests import AlreadyDecided, ChangedSince, answer
from flows.models import Flow, Person, Request

LONGEST_COMMENT = 10_000  # characters


class AlreadyVoted(Conflict):
    """You have voted on this request. It still waits for others."""

    slug = "already-voted"


@dataclass(frozen=True, slots=True)
class Decision:
    """What a vote came to. `closed` says whether it decided the request; else `votes` of `quorum` agree so far."""

    request: Request
    closed: bool
    votes: int
    quorum: int


def decide(actor: Actor, request_id: UUID, outcome: str, revision: int, payload: Any = None, comment: str = "") -> Decision:
    """Casts the actor's vote on a request; decides it where the quorum is reached, or at once where it does not approve.

    `payload` is the payload with edits (JSON value; None: as it was asked); approving votes count together only for the same
    payload. The vote, its audit row and the run's wake-up, or what is published by it, are one transaction. Raises `NotFound`,
    `Forbidden`, `SelfApproval`, `Invalid` naming the field, `ChangedSince`, `AlreadyDecided` naming who was first, `AlreadyVoted`, and
    what `publish_as_approved` does.
    """
    request = requests_for(actor).filter(id=request_id).select_related("run__flow__team", "flow__team", "decided_by").first()
    if request is None:
        raise NotFound("request")
    person = require_decision(actor, request)
    _refuse_unless_open(request, revision)
    meaning = meaning_of(request, outcome)
    decided, changed = _decided(actor, request, outcome, _given(payload))
    comment = _comment(comment)
    with transaction.atomic():
        run = lock_run(request.run_id) if request.run_id is not None else None
        if request.flow_id is not None:  # before the request, as whoever asks to publish does: else each would wait for the other
            Flow.objects.select_for_update(of=("self",)).only("id").get(id=request.flow_id)
        request = (
            Request.objects.select_for_update(of=("self",)).select_related("run__flow", "flow", "decided_by").get(id=request_id)
        )
        _refuse_unless_open(request, revision)
        _cast(request, person, outcome, decided, comment)
        quorum = max(1, int(request.terms.get("quorum") or 1))
        votes = request.votes.filter(revision=revision, outcome=outcome, payload_hash=sha256_of(decided)).count()
        closed = meaning != "approve" or votes >= quorum
        facts = {
            "outcome": outcome,
            "revision": revision,
            "edited": changed,
            "payload_hash": sha256_of(decided),
            "comment": comment,
        }
        record_change(actor, "approval.decide", "request", request.public_id, facts | {"votes": votes, "quorum": quorum})
        if closed:
            if run is not None and is_question(request):
                carry_out(actor, run, request, outcome, decided)
            payload_now = decided if changed else None
            request = answer(
                request_id,
                revision=revision,
                state=STATE_OF[meaning],
                outcome=outcome,
                payload=payload_now,
                comment=comment,
                by=person,
            )
            if request.kind == "publish" and meaning == "approve":
                publish_as_approved(actor, request)
        elif run is not None:
            append_event(
                run, "request.voted", request.path, {"request": request.public_id, "by": person.username, "votes": votes}
            )
            announce(run)
        transaction.on_commit(inbox_changed)
    return Decision(request, closed, votes, quorum)


def _decided(actor: Actor, request: Request, outcome: str, given: Any) -> tuple[Any, list[str]]:
    """What is decided on as the answer, and the fields that the person changed or gave."""
    if not is_question(request):
        return edited_payload(request, given)
    value = value_of(request, outcome, given)
    require_choice(actor, request, outcome, value)
    return (json.loads(request.payload), []) if value is None else (value, list(value))


def _refuse_unless_open(request: Request, revision: int) -> None:
    if request.state not in OPEN_REQUEST_STATES:
        raise AlreadyDecided(request)
    if request.revision != revision:
        raise ChangedSince(request.revision)


def _cast(request: Request, person: Person, outcome: str, decided: Any, comment: str) -> None:
    try:
        with transaction.atomic():
            Vote.objects.create(
                request=request,
                person=person,
                revision=request.revision,
                outcome=outcome,
                comment=comment,
                payload=canonical(decided),
                payload_hash=sha256_of(decided),
            )
    except IntegrityError:
        raise AlreadyVoted from None


def _given(payload: Any) -> Any:
    try:
        return storable(payload)
    except ValueError as error:
        raise Invalid("The payload cannot be used.", problems=[Fault("payload", str(error))]) from None


def _comment(text: str) -> str:
    if len(text) > LONGEST_COMMENT:
        fault = Fault("comment", f"has {len(text)} characters", f"At most {LONGEST_COMMENT} are kept; shorten it.")
        raise Invalid("The comment is too long.", problems=[fault])
    return str(storable(text))
