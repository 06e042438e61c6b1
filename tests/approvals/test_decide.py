"""Deciding: who may, what may change, one winner."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from approvals.actions.decide import AlreadyVoted, decide
from approvals.models import Revision, Vote
from approvals.reads import requests_in
from approvals.rules import SelfApproval
from flows.access.actor import Actor
from flows.access.refusals import Forbidden, Invalid, NotFound, Refusal
from flows.engine.canonical import sha256_of
from flows.execution.requests import AlreadyDecided, ChangedSince
from flows.models import AuditRow, Event, Intervention, Request, Run, RunPass
from tests.makers import make_actor, make_flow, make_key, make_person, make_request, make_run, make_team

pytestmark = pytest.mark.django_db


@pytest.fixture
def approver() -> Actor:
    return make_actor("approver", username="approver-1", team=make_team("finance"))


def test_an_approval_is_recorded_and_wakes_the_run(approver: Actor) -> None:
    request = make_request()

    decision = decide(approver, request.id, "approve", 1, comment="fine")

    request.refresh_from_db()
    run = Run.objects.get(id=request.run_id)
    assert decision.closed
    assert (request.state, request.outcome, request.decided_by) == ("approved", "approve", approver.person)
    assert sha256_of(json.loads(request.answer or "")) == request.payload_hash
    assert request.comment == "fine"
    assert (run.status, run.signals, run.wake_at) == ("queued", 1, None)
    assert Event.objects.get(run=run, seq=2).type == "request.answered"
    assert run.seq == 2
    assert Vote.objects.get().outcome == "approve"
    assert AuditRow.objects.latest("id").action == "approval.decide"


@pytest.mark.parametrize(("outcome", "state"), [("reject", "rejected"), ("revise", "changes_requested")])
def test_the_state_follows_what_the_outcome_means(approver: Actor, outcome: str, state: str) -> None:
    request = make_request()

    decide(approver, request.id, outcome, 1)

    assert Request.objects.get(id=request.id).state == state


def test_an_edit_of_an_editable_field_is_kept_with_its_hash(approver: Actor) -> None:
    request = make_request()

    decide(approver, request.id, "approve", 1, {"amount": 400.0, "reason": "double"})

    request.refresh_from_db()
    assert json.loads(request.payload)["amount"] == 420
    assert json.loads(request.answer or "")["amount"] == 400
    assert Vote.objects.get().payload_hash == sha256_of({"amount": 400, "reason": "double"})
    assert AuditRow.objects.get(action="approval.decide").data["edited"] == ["amount"]


@pytest.mark.parametrize(
    ("payload", "place"),
    [
        ({"amount": 420, "reason": "other"}, "payload.reason"),
        ({"amount": "420", "reason": "double"}, "payload.amount"),
        ({"amount": True, "reason": "double"}, "payload.amount"),
        ({"reason": "double"}, "payload.amount"),
        ({"amount": 420, "reason": "double", "extra": 1}, "payload.extra"),
        ({"amount": -1, "reason": "double"}, "payload.amount"),
        ([1], "payload"),
    ],
)
def test_another_edit_is_refused_by_the_fields_name(approver: Actor, payload: object, place: str) -> None:
    schema = {"type": "object", "properties": {"amount": {"type": "number", "minimum": 0}}}
    request = make_request(terms={"arguments_schema": schema})

    with pytest.raises(Invalid) as refusal:
        decide(approver, request.id, "approve", 1, payload)

    assert refusal.value.problems[0].place == place
    assert Request.objects.get(id=request.id).state == "pending"
    assert not Vote.objects.exists()
    assert not AuditRow.objects.filter(action="approval.decide").exists()


def test_an_unknown_outcome_is_refused(approver: Actor) -> None:
    with pytest.raises(Invalid) as refusal:
        decide(approver, make_request().id, "maybe", 1)

    assert refusal.value.problems[0].place == "outcome"


def test_a_stale_revision_decides_nothing(approver: Actor) -> None:
    request = make_request(revision=2)

    with pytest.raises(ChangedSince) as refusal:
        decide(approver, request.id, "approve", 1)

    assert refusal.value.current == 2
    assert Request.objects.get(id=request.id).state == "pending"


def test_nobody_decides_what_they_started(approver: Actor) -> None:
    request = make_request(make_run(status="waiting_approval", started_by=approver.person))

    with pytest.raises(SelfApproval):
        decide(approver, request.id, "approve", 1)
    with pytest.raises(SelfApproval):
        decide(approver, make_request(terms={"authors": ["approver-1"]}).id, "approve", 1)
    assert not Vote.objects.exists()


def test_only_those_whom_it_names_decide() -> None:
    finance, legal = make_team("finance"), make_team("legal")
    by_team, by_name, by_flow = (
        make_request(),
        make_request(terms={"approvers": {"people": ["ann"]}}),
        make_request(make_run(make_flow(team=legal), status="waiting_approval"), terms={"approvers": {}}),
    )
    ann = make_actor("viewer", username="ann")
    in_finance, in_legal = make_actor("approver", team=finance), make_actor("approver", team=legal)

    for actor, request in ((ann, by_team), (in_legal, by_team), (in_finance, by_name), (make_actor("viewer"), by_flow)):
        with pytest.raises(Forbidden):
            decide(actor, request.id, "approve", 1)
    with pytest.raises(NotFound):
        decide(in_finance, by_flow.id, "approve", 1)
    assert decide(ann, by_name.id, "approve", 1).closed
    assert decide(in_finance, by_team.id, "approve", 1).closed
    assert decide(in_legal, by_flow.id, "approve", 1).closed


def test_a_key_needs_the_scope(approver: Actor) -> None:
    assert approver.person is not None
    actor = Actor(person=approver.person, key=make_key(approver.person, "approvals:read")[0])

    with pytest.raises(Forbidden, match="approvals:write"):
        decide(actor, make_request().id, "approve", 1)


def test_a_quorum_of_two_waits_for_the_second_vote(approver: Actor) -> None:
    second = make_actor("approver", team=make_team("finance"))
    request = make_request(terms={"quorum": 2})

    assert not decide(approver, request.id, "approve", 1).closed
    with pytest.raises(AlreadyVoted):
        decide(approver, request.id, "approve", 1)
    last = decide(second, request.id, "approve", 1)

    assert (last.closed, last.votes) == (True, 2)
    assert json.loads(Request.objects.get(id=request.id).answer or "")["amount"] == 420


def test_an_edit_in_a_quorum_clears_the_votes_before_it_and_keeps_both_versions(approver: Actor) -> None:
    second, third = (make_actor("approver", team=make_team("finance")) for _ in range(2))
    request = make_request(terms={"quorum": 2})
    decide(approver, request.id, "approve", 1)

    edited = decide(second, request.id, "approve", 1, {"amount": 1, "reason": "double"})

    assert (edited.closed, edited.votes) == (False, 1)
    with pytest.raises(ChangedSince):
        decide(third, request.id, "approve", 1)
    last = decide(approver, request.id, "approve", 2)
    assert (last.closed, last.votes) == (True, 2)
    request.refresh_from_db()
    assert json.loads(request.answer or "")["amount"] == 1
    assert [(each.number, json.loads(each.payload)["amount"]) for each in Revision.objects.all()] == [(1, 420)]
    assert Event.objects.filter(run=request.run_id, type="request.revised").count() == 1


def test_one_rejection_ends_a_quorum(approver: Actor) -> None:
    request = make_request(terms={"quorum": 3})

    assert decide(approver, request.id, "reject", 1).closed
    assert Request.objects.get(id=request.id).state == "rejected"


@pytest.mark.django_db(transaction=True)
def test_of_many_at_the_same_instant_one_wins_and_the_others_learn_who() -> None:
    team = make_team("finance")
    actors = [Actor(person=make_person("approver", username=f"racer-{n}", team=team)) for n in range(8)]
    request = make_request()

    def race(actor: Actor) -> str:
        try:
            decide(actor, request.id, "approve" if actor.name[-1] in "02468" else "reject", 1)
            return "won"
        except AlreadyDecided as lost:
            assert lost.by is not None
            return lost.by
        except Refusal as other:
            return f"unexpected {other!r}"
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(race, actors))

    request.refresh_from_db()
    assert request.decided_by is not None
    winner = request.decided_by.username
    assert said.count("won") == 1
    assert {one for one in said if one != "won"} == {winner}
    assert said[int(winner[-1])] == "won"
    assert Vote.objects.count() == 1
    assert AuditRow.objects.filter(action="approval.decide").count() == 1
    assert AuditRow.objects.filter(action="approval.refuse").count() == 7
    assert Run.objects.get(id=request.run_id).seq == 2
    assert Event.objects.filter(type="request.answered").count() == 1


@pytest.mark.parametrize("hand", ["pass", "skip", "input"])
def test_whoever_had_a_hand_in_the_run_does_not_decide_in_it(approver: Actor, hand: str) -> None:
    request = make_request()
    assert request.run is not None
    if hand == "pass":
        RunPass.objects.create(run=request.run, number=2, verb="retry", by=approver.person)
    else:
        Intervention.objects.create(run=request.run, pass_number=1, path="first", kind=hand, after="{}", by=approver.person)

    with pytest.raises(SelfApproval):
        decide(approver, request.id, "approve", 1)

    assert not requests_in(approver, "mine").exists()
    other = make_actor("approver", team=make_team("finance"))
    assert requests_in(other, "mine").exists()
    assert decide(other, request.id, "approve", 1).closed
