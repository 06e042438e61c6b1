"""Decisions of low risk, which the server holds for five seconds so that they can be undone."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from approvals.actions.decide import AlreadyVoted, Decision, HeldByAnother, cast, checked, decide, refuse_unless_open
from approvals.models import HeldDecision
from approvals.trail import record, refusals_recorded
from approvals.voting import quorum_of
from flows.access.actor import Actor
from flows.access.querysets import requests_for
from flows.access.refusals import Conflict, Forbidden, NotFound, Refusal
from flows.access.rights import Right
from flows.engine.canonical import canonical
from flows.execution.doorbells import inbox_changed
from flows.execution.moves import lock_run
from flows.models import Request

log = logging.getLogger(__name__)

HOLD = timedelta(seconds=5)


class TooLate(Conflict):
    """This decision can no longer be undone."""

    slug = "too-late"


def decide_or_hold(
    actor: Actor, request_id: UUID, outcome: str, revision: int, payload: Any = None, comment: str = "", confirm: str = ""
) -> Decision | HeldDecision:
    """Decides, or, where the request is of low risk and one vote decides it, holds the decision for five seconds.

    Raises what `decide` does. A held decision is carried out by the server even if its page is closed; until then it keeps
    everybody else, and the deadline, from deciding.
    """
    terms = requests_for(actor).filter(id=request_id).values_list("terms", flat=True).first()
    if terms is None:
        raise NotFound("request")
    if terms.get("risk") != "low" or quorum_of(Request(terms=terms)) > 1:
        return decide(actor, request_id, outcome, revision, payload, comment, confirm)
    with refusals_recorded(actor, request_id, outcome[:64]):
        wish = checked(actor, request_id, outcome, revision, payload, comment, confirm)
        return _hold(actor, request_id, revision, outcome, wish.decided if wish.changed else None, wish.comment)


def _hold(actor: Actor, request_id: UUID, revision: int, outcome: str, edited: Any, comment: str) -> HeldDecision:
    person = actor.person
    if person is None:
        raise Forbidden(Right.DECIDE, "Only a person can decide.")
    with transaction.atomic():
        request = Request.objects.select_for_update(of=("self",)).select_related("decided_by").get(id=request_id)
        refuse_unless_open(request, revision)
        other = HeldDecision.objects.filter(request=request).select_related("person").first()
        if other is not None:
            raise AlreadyVoted if other.person_id == person.id else HeldByAnother(other)
        try:
            with transaction.atomic():
                held = HeldDecision.objects.create(
                    request=request,
                    person=person,
                    key=actor.key,
                    door=actor.door,
                    outcome=outcome,
                    revision=revision,
                    payload=canonical(edited) if edited is not None else None,
                    comment=comment,
                    until=Now() + HOLD,
                )
        except IntegrityError:
            raise AlreadyVoted from None
        record(actor, "hold", request, outcome=outcome)
        transaction.on_commit(inbox_changed)
    held.refresh_from_db()
    return held


def undo_decision(actor: Actor, request_id: UUID) -> Request:
    """Takes back the decision that the actor has just made. Raises `NotFound`, and `TooLate` where it is carried out already."""
    request = requests_for(actor).filter(id=request_id).first()
    if request is None:
        raise NotFound("request")
    with refusals_recorded(actor, request_id, "undo"), transaction.atomic():
        mine = HeldDecision.objects.select_for_update().filter(request=request, person=actor.person, until__gt=Now()).first()
        if mine is None:
            raise TooLate
        mine.delete()
        record(actor, "undo", request, outcome=mine.outcome)
        transaction.on_commit(inbox_changed)
    return request


def carry_out_held(limit: int = 200) -> int:
    """Carries out the decisions whose time to be undone is over; gives how many. The reconciler calls it.

    Each is decided by the rules as they stand then; one that is refused is dropped, and the refusal is in the audit log.
    """
    done = 0
    for held in HeldDecision.objects.filter(until__lte=Now()).select_related("person", "key").order_by("until")[:limit]:
        actor = Actor(person=held.person, key=held.key, door=held.door)
        try:
            done += _carry_out(actor, held)
        except Refusal:
            HeldDecision.objects.filter(request=held.request_id, until=held.until).delete()
        except Exception:
            log.exception("the held decision on request %s could not be carried out", held.request_id)
    return done


def _carry_out(actor: Actor, held: HeldDecision) -> bool:
    payload = json.loads(held.payload) if held.payload is not None else None
    with refusals_recorded(actor, held.request_id, held.outcome):
        # What had to be typed was typed when it was held.
        wish = checked(actor, held.request_id, held.outcome, held.revision, payload, held.comment, confirm=None)
        with transaction.atomic():
            run_id = Request.objects.values_list("run_id", flat=True).get(id=held.request_id)
            if run_id is not None:
                lock_run(run_id)
            still = HeldDecision.objects.select_for_update().filter(request=held.request_id, until=held.until).first()
            if still is None:
                return False
            cast(actor, held.request_id, held.revision, wish, still)
            still.delete()
    return True
