"""Deciding a request."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q

from approvals.models import HeldDecision, Revision, Vote
from approvals.questions import carry_out, is_question, require_choice, value_of
from approvals.rules import STATE_OF, edited_payload, meaning_of
from approvals.standing import Standing, require_decision
from approvals.taking_up import take_up
from approvals.trail import record, refusals_recorded
from approvals.voting import quorum_of, tally
from flows.access.actor import Actor
from flows.access.querysets import requests_for
from flows.access.refusals import Conflict, Fault, Invalid, NotFound
from flows.builder.actions.publish_as_approved import publish_as_approved
from flows.engine.canonical import canonical, sha256_of, storable
from flows.engine.states import OPEN_REQUEST_STATES
from flows.execution.doorbells import inbox_changed
from flows.execution.moves import announce, append_event, lock_run
from flows.execution.requests import AlreadyDecided, ChangedSince, answer
from flows.models import Flow, Request, Run

LONGEST_COMMENT = 10_000  # characters


class AlreadyVoted(Conflict):
    """You have voted on this request. It still waits for others."""

    slug = "already-voted"


class HeldByAnother(Conflict):
    """Somebody has just decided this request."""

    slug = "decision-held"

    def __init__(self, held: HeldDecision) -> None:
        self.by = held.person.username
        super().__init__(f"{held.person} has just decided this: {held.outcome}. It can still be undone for a moment.")

    def facts(self) -> dict[str, Any]:
        return {"by": self.by}


@dataclass(frozen=True, slots=True)
class Decision:
    """What a vote came to. `closed` says whether it decided the request; else `votes` of `quorum` agree so far, and `missing` names
    the teams that must still agree."""

    request: Request
    closed: bool
    votes: int
    quorum: int
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """A decision as somebody wants it, checked against the request's terms: `decided` is the payload, `changed` names its edits."""

    standing: Standing
    outcome: str
    meaning: str
    decided: Any
    changed: list[str]
    comment: str


def decide(
    actor: Actor, request_id: UUID, outcome: str, revision: int, payload: Any = None, comment: str = "", confirm: str = ""
) -> Decision:
    """Casts the actor's vote on a request; decides it where the quorum is reached, or at once where it does not approve.

    `payload` is the payload with edits (JSON value; None: as it was asked). Where others have to agree, an edit makes a new revision
    of the request, and what was voted on the one before does not count. `confirm` is the value that the policy wants typed. The
    vote, its audit row and the run's wake-up, or what is published by it, are one transaction; a refusal is in the audit log, too.
    Raises `NotFound`, `Forbidden`, `SelfApproval`, `Invalid` naming the field, `ChangedSince`, `AlreadyDecided` naming who was
    first, `AlreadyVoted`, `HeldByAnother`, and what `publish_as_approved` does.
    """
    with refusals_recorded(actor, request_id, outcome[:64]):
        wish = checked(actor, request_id, outcome, revision, payload, comment, confirm)
        return cast(actor, request_id, revision, wish)


def checked(
    actor: Actor,
    request_id: UUID,
    outcome: str,
    revision: int,
    payload: Any = None,
    comment: str = "",
    confirm: str | None = "",
) -> Wish:
    """The decision, if the actor may take it as things stand. Raises what `decide` does, and changes nothing. `confirm` is None where
    what has to be typed was typed before."""
    request = requests_for(actor).filter(id=request_id).select_related("run__flow__team", "flow__team", "decided_by").first()
    if request is None:
        raise NotFound("request")
    standing = require_decision(actor, request)
    refuse_unless_open(request, revision)
    meaning = meaning_of(request, outcome)
    decided, changed = _decided(actor, request, outcome, _given(payload))
    comment = comment_of(comment)
    _require_reason(request, meaning, comment)
    if meaning == "approve" and confirm is not None:
        _require_confirmation(request, decided, confirm)
    return Wish(standing, outcome, meaning, decided, changed, comment)


def cast(actor: Actor, request_id: UUID, revision: int, wish: Wish, held: HeldDecision | None = None) -> Decision:
    """Casts a checked vote, in one transaction; `held` is the held decision that it carries out."""
    with transaction.atomic():
        run_id = Request.objects.values_list("run_id", flat=True).get(id=request_id)
        run = lock_run(run_id) if run_id is not None else None
        flow_id = Request.objects.values_list("flow_id", flat=True).get(id=request_id)
        if flow_id is not None:  # before the request, as whoever asks to publish does: else each would wait for the other
            Flow.objects.select_for_update(of=("self",)).only("id").get(id=flow_id)
        request = (
            Request.objects.select_for_update(of=("self",)).select_related("run__flow", "flow", "decided_by").get(id=request_id)
        )
        refuse_unless_open(request, revision)
        _refuse_beside_a_held_one(request, held)
        take_up(request)
        if wish.changed and quorum_of(request) > 1 and not is_question(request):
            _revise(request, run, wish)
        _vote(request, wish)
        votes = request.votes.filter(revision=request.revision).select_related("person", "on_behalf_of")
        came_to = tally(request, wish.outcome, wish.meaning, votes)
        facts = {
            "outcome": wish.outcome,
            "edited": wish.changed,
            "payload_hash": sha256_of(wish.decided),
            "comment": wish.comment,
            "votes": came_to.votes,
            "quorum": came_to.quorum,
            "before": request.state,
            "after": STATE_OF[wish.meaning] if came_to.decides else request.state,
        }
        if wish.standing.on_behalf_of is not None:
            facts["on_behalf_of"] = wish.standing.on_behalf_of.username
        record(actor, "decide", request, **facts)
        if came_to.decides:
            request = _close(actor, run, request, wish)
        elif run is not None:
            data = {"request": request.public_id, "by": wish.standing.person.username, "votes": came_to.votes}
            append_event(run, "request.voted", request.path, data)
            announce(run)
        transaction.on_commit(inbox_changed)
    return Decision(request, came_to.decides, came_to.votes, came_to.quorum, tuple(came_to.missing))


def _close(actor: Actor, run: Run | None, request: Request, wish: Wish) -> Request:
    if run is not None and is_question(request):
        carry_out(actor, run, request, wish.outcome, wish.decided)
    closed = answer(
        request.id,
        revision=request.revision,
        state=STATE_OF[wish.meaning],
        outcome=wish.outcome,
        payload=wish.decided if wish.changed else None,
        comment=wish.comment,
        by=wish.standing.person,
    )
    if closed.kind == "publish" and wish.meaning == "approve":
        publish_as_approved(actor, closed)
    return closed


def _revise(request: Request, run: Run | None, wish: Wish) -> None:
    """Makes the edited payload what everybody decides on from now: a new revision, for which no vote counts yet."""
    before = request.revision
    Revision.objects.create(
        request=request,
        number=before,
        payload=request.payload,
        payload_hash=request.payload_hash,
        changed_by=wish.standing.person,
    )
    request.payload, request.payload_hash, request.revision = canonical(wish.decided), sha256_of(wish.decided), before + 1
    Request.objects.filter(id=request.id).update(
        payload=request.payload, payload_hash=request.payload_hash, revision=request.revision
    )
    if run is not None:
        data = {"request": request.public_id, "by": wish.standing.person.username, "revision": request.revision}
        append_event(run, "request.revised", request.path, data | {"edited": wish.changed})


def _decided(actor: Actor, request: Request, outcome: str, given: Any) -> tuple[Any, list[str]]:
    """What is decided on as the answer, and the fields that the person changed or gave."""
    if not is_question(request):
        return edited_payload(request, given)
    value = value_of(request, outcome, given)
    require_choice(actor, request, outcome, value)
    return (json.loads(request.payload), []) if value is None else (value, list(value))


def refuse_unless_open(request: Request, revision: int) -> None:
    if request.state not in OPEN_REQUEST_STATES:
        raise AlreadyDecided(request)
    if request.revision != revision:
        raise ChangedSince(request.revision)


def _refuse_beside_a_held_one(request: Request, held: HeldDecision | None) -> None:
    other = HeldDecision.objects.filter(request=request).select_related("person").first()
    if other is not None and (held is None or held.person_id != other.person_id):
        raise HeldByAnother(other)


def _require_reason(request: Request, meaning: str, comment: str) -> None:
    wanted = request.terms.get("reason", "never")
    if comment.strip() or is_question(request) or (wanted != "always" and (wanted != "reject" or meaning == "approve")):
        return
    raise Invalid(
        "A reason is needed.", problems=[Fault("comment", "is missing", "The policy wants to know why; write a sentence.")]
    )


def _require_confirmation(request: Request, decided: Any, confirm: str) -> None:
    name = request.terms.get("confirm")
    if not name or not isinstance(decided, dict) or name not in decided:
        return
    value = decided[name]
    wanted = value if isinstance(value, str) else canonical(value)
    if confirm.strip() != wanted.strip():
        fault = Fault("confirm", f"is not the value of {name}", f"Type the {name} that you approve, exactly as it is shown.")
        raise Invalid("The value has to be typed.", problems=[fault])


def _vote(request: Request, wish: Wish) -> None:
    mandates = [wish.standing.person, wish.standing.mandate]
    taken = Q(person__in=mandates, on_behalf_of__isnull=True) | Q(on_behalf_of__in=mandates) | Q(person=wish.standing.person)
    if request.votes.filter(taken, revision=request.revision).exists():
        raise AlreadyVoted
    try:
        with transaction.atomic():
            Vote.objects.create(
                request=request,
                person=wish.standing.person,
                on_behalf_of=wish.standing.on_behalf_of,
                revision=request.revision,
                outcome=wish.outcome,
                comment=wish.comment,
                payload=canonical(wish.decided),
                payload_hash=sha256_of(wish.decided),
            )
    except IntegrityError:
        raise AlreadyVoted from None


def _given(payload: Any) -> Any:
    try:
        return storable(payload)
    except ValueError as error:
        raise Invalid("The payload cannot be used.", problems=[Fault("payload", str(error))]) from None


def comment_of(text: str) -> str:
    """The text as it is kept. Raises `Invalid` where it is too long."""
    if len(text) > LONGEST_COMMENT:
        fault = Fault("comment", f"has {len(text)} characters", f"At most {LONGEST_COMMENT} are kept; shorten it.")
        raise Invalid("The comment is too long.", problems=[fault])
    return str(storable(text))
