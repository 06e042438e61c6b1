"""Talking about a request: comments, questions to somebody, and their answers."""

from __future__ import annotations

from django.db import transaction

from approvals.actions.assign import person_named
from approvals.actions.decide import comment_of
from approvals.actions.opened import locked_open
from approvals.models import Remark
from approvals.notices.notify import tell_about
from approvals.standing import require_decision
from approvals.trail import record, refusals_recorded
from flows.access.actor import Actor
from flows.access.querysets import requests_for
from flows.access.refusals import Fault, Forbidden, Invalid
from flows.access.rights import Right, require_scope
from flows.execution.doorbells import inbox_changed
from flows.execution.moves import announce, append_event, lock_run
from flows.models import Person, Request


def comment(actor: Actor, request: Request, text: str) -> Remark:
    """Adds a comment; from the one who was asked it is the answer, and the request is pending again.

    Whoever sees a request may comment on it. Raises `Invalid` where the text is empty or too long, and `AlreadyDecided`.
    """
    with refusals_recorded(actor, request.id, "comment"):
        person, text = _speaker(actor), _text(text)
        with transaction.atomic():
            run = lock_run(request.run_id) if request.run_id is not None else None
            request, _ = locked_open(request)
            asked = _question_to(request, person)
            kind = "answer" if asked is not None else "comment"
            remark = Remark.objects.create(request=request, person=person, kind=kind, text=text)
            record(actor, kind, request, text=text)
            if asked is not None:
                Request.objects.filter(id=request.id, state="info_requested").update(state="pending")
                subject = f"{person} answered: {request.title}"
                tell_about(request, "answered", f"answered:{remark.id}", subject, people=[asked.person], channels=False)
                if run is not None:
                    append_event(
                        run, "request.answered_question", request.path, {"request": request.public_id, "by": person.username}
                    )
                    announce(run)
            transaction.on_commit(inbox_changed)
    return remark


def ask_somebody(actor: Actor, request: Request, to: str, text: str) -> Remark:
    """Asks a person about the request, which is `info_requested` until they answer. Its deadline goes on counting.

    Raises `Forbidden` where the actor may not decide on it, `Invalid` where `to` may not see it or the text is empty, and
    `AlreadyDecided`.
    """
    with refusals_recorded(actor, request.id, "ask"):
        standing, text, asked = require_decision(actor, request), _text(text), person_named(to, "to")
        if asked == standing.person or not requests_for(asked).filter(id=request.id).exists():
            fault = Fault("to", "is yourself" if asked == standing.person else f"{asked.username} may not see this request")
            raise Invalid("They cannot be asked.", problems=[fault])
        with transaction.atomic():
            run = lock_run(request.run_id) if request.run_id is not None else None
            request, _ = locked_open(request)
            remark = Remark.objects.create(request=request, person=standing.person, kind="question", to=asked, text=text)
            Request.objects.filter(id=request.id).update(state="info_requested")
            record(actor, "ask", request, to=asked.username, text=text)
            subject = f"{standing.person} asks you about: {request.title}"
            tell_about(request, "question", f"question:{remark.id}", subject, people=[asked], channels=False)
            if run is not None:
                append_event(run, "request.info_requested", request.path, {"request": request.public_id, "of": asked.username})
                announce(run)
            transaction.on_commit(inbox_changed)
    return remark


def _question_to(request: Request, person: Person) -> Remark | None:
    """The question that this person has not answered yet."""
    asked = request.remarks.filter(kind="question", to=person).select_related("person").order_by("-id").first()
    if asked is None or request.remarks.filter(kind="answer", person=person, id__gt=asked.id).exists():
        return None
    return asked


def _speaker(actor: Actor) -> Person:
    require_scope(actor, Right.SEE_REQUESTS)
    if actor.person is None:
        raise Forbidden(Right.SEE_REQUESTS, "Only a person can comment.")
    return actor.person


def _text(text: str) -> str:
    text = comment_of(text).strip()
    if not text:
        raise Invalid("There is nothing to say.", problems=[Fault("text", "is empty", "Write a sentence.")])
    return text
