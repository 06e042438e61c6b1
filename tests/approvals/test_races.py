"""Who comes at the same instant: always one outcome, recorded once, and the losers are told who won."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from approvals.actions.decide import AlreadyVoted, decide
from approvals.actions.hold import carry_out_held, decide_or_hold, undo_decision
from approvals.deadlines import expire_due
from approvals.models import HeldDecision, Vote
from flows.access.actor import Actor
from flows.access.refusals import Refusal
from flows.execution.requests import AlreadyDecided, ChangedSince
from flows.models import AuditRow, Event, Request, Run
from flows.runs.actions.cancel_run import cancel_run
from tests.makers import make_actor, make_person, make_request, make_run, make_team

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 6


def together(*acts: Callable[[], Any]) -> list[Any]:
    """What each of these came to, begun at the same instant, each in a thread with a connection of its own."""
    gate = Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        try:
            connection.ensure_connection()
            gate.wait(30)
            return act()
        except Refusal as refusal:
            return refusal
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def approver(name: str) -> Actor:
    return Actor(person=make_person("approver", username=name, team=make_team("finance")))


def refusals(found: list[Any]) -> list[Refusal]:
    return [each for each in found if isinstance(each, Refusal)]


def one_answer(request: Request) -> Request:
    """The request, which was answered once: one event, and one audit row that says how."""
    request.refresh_from_db()
    ends = Event.objects.filter(run_id=request.run_id, type__in=["request.answered", "request.withdrawn"])
    assert ends.count() == 1
    run = Run.objects.get(id=request.run_id)
    assert list(Event.objects.filter(run_id=run.id).order_by("seq").values_list("seq", flat=True)) == list(range(1, run.seq + 1))
    return request


def test_two_approvals_at_once() -> None:
    ann, bob = approver("ann"), approver("bob")
    for _ in range(ROUNDS):
        request = make_request()

        found = together(*(lambda actor=actor, request=request: decide(actor, request.id, "approve", 1) for actor in (ann, bob)))

        request = one_answer(request)
        (lost,) = refusals(found)
        assert isinstance(lost, AlreadyDecided)
        assert request.decided_by is not None
        assert lost.by == request.decided_by.username
        assert request.votes.count() == 1


def test_an_approval_against_the_deadline() -> None:
    ann = approver("ann")
    for _ in range(ROUNDS):
        request = make_request(due=timezone.now() - timedelta(seconds=1))

        found = together(lambda request=request: decide(ann, request.id, "approve", 1), expire_due)

        request = one_answer(request)
        lost = refusals(found)
        if request.state == "expired":
            assert isinstance(lost[0], AlreadyDecided)
            assert "deadline was first" in lost[0].message
            assert not request.votes.exists()
        else:
            assert (request.state, lost, found[1]) == ("approved", [], 0)
        decided = AuditRow.objects.filter(subject=request.public_id, action__in=["approval.decide", "approval.expire"])
        assert decided.count() == 1


def test_an_approval_against_a_cancel() -> None:
    ann, operator = approver("ann"), make_actor("operator")
    for _ in range(ROUNDS):
        request = make_request()
        run = request.run
        assert run is not None

        found = together(lambda request=request: decide(ann, request.id, "approve", 1), lambda run=run: cancel_run(operator, run))

        request = one_answer(request)
        assert Run.objects.get(id=run.id).status == "cancelled"
        lost = refusals(found)
        if request.state == "withdrawn":
            assert isinstance(lost[0], AlreadyDecided)
            assert "withdrawn" in lost[0].message
        else:
            assert (request.state, lost) == ("approved", [])


def test_an_approval_against_a_new_revision() -> None:
    names = ("ann", "bob", "cid")
    ann, bob, cid = (approver(name) for name in names)
    for _ in range(ROUNDS):
        request = make_request(terms={"quorum": 2})
        decide(cid, request.id, "approve", 1)
        edited = {"amount": 1, "reason": "double"}

        found = together(
            lambda request=request: decide(ann, request.id, "approve", 1),
            lambda request=request, edited=edited: decide(bob, request.id, "approve", 1, edited),
        )

        request.refresh_from_db()
        (lost,) = refusals(found)
        if request.state == "approved":  # ann was the second vote on what cid saw
            assert isinstance(lost, AlreadyDecided)
            assert (request.revision, request.answer) == (1, request.payload)
        else:
            assert isinstance(lost, ChangedSince)
            assert (request.revision, request.votes.filter(revision=2).count()) == (2, 1)


def test_a_vote_twice_by_one_person() -> None:
    ann = approver("ann")
    for _ in range(ROUNDS):
        request = make_request(terms={"quorum": 2})

        found = together(*[lambda request=request: decide(ann, request.id, "approve", 1)] * 4)

        assert [type(each) for each in refusals(found)] == [AlreadyVoted] * 3
        assert request.votes.count() == 1
        request.refresh_from_db()
        assert request.state == "pending"


def test_the_last_two_votes_of_a_quorum_together() -> None:
    actors = [approver(name) for name in ("ann", "bob", "cid")]
    for _ in range(ROUNDS):
        request = make_request(terms={"quorum": 2})
        decide(actors[0], request.id, "approve", 1)

        found = together(*(lambda actor=actor, request=request: decide(actor, request.id, "approve", 1) for actor in actors[1:]))

        request = one_answer(request)
        (lost,) = refusals(found)
        assert isinstance(lost, AlreadyDecided)
        assert request.votes.count() == 2


def test_an_undo_against_what_carries_it_out() -> None:
    ann = approver("ann")
    for _ in range(ROUNDS):
        request = make_request(terms={"risk": "low"})
        decide_or_hold(ann, request.id, "approve", 1)
        HeldDecision.objects.update(until=timezone.now() + timedelta(milliseconds=15))

        found = together(lambda request=request: undo_decision(ann, request.id), *[carry_out_held] * 3)

        while HeldDecision.objects.exists():
            carry_out_held()
        request.refresh_from_db()
        undone = not isinstance(found[0], Refusal)
        assert request.state == ("pending" if undone else "approved")
        assert Vote.objects.filter(request=request).count() == (0 if undone else 1)


def test_a_run_of_its_own_is_not_held_up_by_another() -> None:
    ann = approver("ann")
    requests = [make_request(make_run(status="waiting_approval")) for _ in range(4)]

    found = together(*(lambda request=request: decide(ann, request.id, "approve", 1) for request in requests))

    assert refusals(found) == []
    assert {one_answer(request).state for request in requests} == {"approved"}
