"""What approvers do beside deciding: claim, assign, hand over, ask, hold and undo, decide together. One rule on every path."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from approvals.actions.assign import assign
from approvals.actions.claim import claim
from approvals.actions.decide import HeldByAnother, decide
from approvals.actions.decide_many import Chosen, decide_many
from approvals.actions.delegate import delegate_all, delegate_request, end_delegation
from approvals.actions.hold import TooLate, carry_out_held, decide_or_hold, undo_decision
from approvals.actions.remark import ask_somebody, comment
from approvals.deadlines import expire_due
from approvals.ladder import climb_due
from approvals.models import Docket, HeldDecision, Notice, Vote
from approvals.reads import requests_in, waiting_for
from approvals.rules import SelfApproval
from approvals.taking_up import take_up_new
from flows.access.actor import Actor
from flows.access.refusals import Forbidden, Invalid, Refusal
from flows.execution.requests import AlreadyDecided
from flows.models import AuditRow, Person, Request
from flows.runs.actions.cancel_run import cancel_run
from tests.makers import make_actor, make_person, make_request, make_run, make_team

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("mail_server")]

BULK = {"policy": "refunds", "policy_version": 1, "risk": "medium", "bulk": True, "tool": "refunds.create"}


@pytest.fixture
def ann() -> Actor:
    return Actor(person=make_person("approver", username="ann", team=make_team("finance")))


@pytest.fixture
def bob() -> Actor:
    return Actor(person=make_person("approver", username="bob", team=make_team("finance")))


def acts(*names: str) -> list[str]:
    rows = AuditRow.objects.filter(subject_kind="request").order_by("id").values_list("action", flat=True)
    return [each.removeprefix("approval.") for each in rows if not names or each.removeprefix("approval.") in names]


def mail_to(actor: Actor) -> Person:
    person = actor.person
    assert person is not None
    Person.objects.filter(id=person.id).update(email=f"{person.username}@example.com")
    person.refresh_from_db()
    return person


# --- claiming and assigning


def test_a_claim_says_who_is_at_it_and_keeps_nobody_from_deciding(ann: Actor, bob: Actor) -> None:
    request = make_request()
    mail_to(ann)

    assert claim(ann, request).claimed_by == ann.person
    assert claim(bob, request).claimed_by == bob.person
    assert Notice.objects.get().event == "taken_over"
    assert claim(bob, request, release=True).claimed_by is None
    assert decide(ann, request.id, "approve", 1).closed
    with pytest.raises(AlreadyDecided):
        claim(bob, request)
    assert acts("claim", "release") == ["claim", "claim", "release"]


def test_who_is_not_assigned_gets_403(ann: Actor, bob: Actor) -> None:
    request = make_request()

    assign(ann, request, "bob")

    assert (waiting_for(ann), waiting_for(bob)) == (0, 1)
    with pytest.raises(Forbidden, match="assigned to bob"):
        decide(ann, request.id, "approve", 1)
    assign(bob, request, None)
    assert decide(ann, request.id, "approve", 1).closed


def test_nobody_is_assigned_who_could_not_decide(ann: Actor, bob: Actor) -> None:
    make_person("viewer", username="viv")

    for name in ("viv", "ghost"):
        with pytest.raises(Invalid):
            assign(ann, make_request(), name)
    with pytest.raises(Invalid, match="cannot be one person"):
        assign(ann, make_request(terms={"quorum": 2}), "bob")
    with pytest.raises(Invalid):
        assign(ann, make_request(make_run(status="waiting_approval", started_by=bob.person)), "bob")


# --- handing over


def test_one_request_is_handed_to_somebody_who_decides_in_ones_place(ann: Actor) -> None:
    legal = Actor(person=make_person("approver", username="leo", team=make_team("legal")))
    request, other = make_request(), make_request()
    with pytest.raises(Forbidden):
        decide(legal, request.id, "approve", 1)

    delegate_request(ann, request, "leo")

    assert list(requests_in(legal, "mine")) == [request]
    assert decide(legal, request.id, "approve", 1).closed
    vote = Vote.objects.get()
    assert (vote.person, vote.on_behalf_of) == (legal.person, ann.person)
    assert AuditRow.objects.get(action="approval.decide").data["on_behalf_of"] == "ann"
    with pytest.raises(Forbidden):
        decide(legal, other.id, "approve", 1)


def test_a_delegate_without_the_right_is_refused_and_nothing_changed(ann: Actor) -> None:
    make_person("viewer", username="viv")
    request = make_request()

    with pytest.raises(Invalid) as refusal:
        delegate_request(ann, request, "viv")

    assert "requests.decide" in str(refusal.value)
    assert not request.delegations.exists()
    assert acts() == ["refuse"]


def test_everything_is_handed_over_until_a_day_and_can_be_taken_back(ann: Actor, bob: Actor) -> None:
    by_name = make_request(terms={"approvers": {"people": ["ann"]}})
    assert waiting_for(bob) == 0
    with pytest.raises(Invalid):
        delegate_all(ann, "bob", timezone.now() - timedelta(seconds=1))

    made = delegate_all(ann, "bob", timezone.now() + timedelta(days=2))

    bob = Actor(person=bob.person)
    assert list(requests_in(bob, "mine")) == [by_name]
    end_delegation(ann, made)
    bob = Actor(person=bob.person)
    assert waiting_for(bob) == 0
    with pytest.raises(Forbidden):
        decide(bob, by_name.id, "approve", 1)


def test_a_mandate_has_one_vote_whoever_casts_it(ann: Actor, bob: Actor) -> None:
    request = make_request(terms={"approvers": {"people": ["ann", "cid"]}, "quorum": 2})
    make_person("approver", username="cid", team=make_team("finance"))
    delegate_all(ann, "bob", timezone.now() + timedelta(days=2))

    assert not decide(bob, request.id, "approve", 1).closed
    with pytest.raises(Refusal, match="voted"):
        decide(ann, request.id, "approve", 1)

    assert (waiting_for(ann), waiting_for(Actor(person=bob.person))) == (0, 0)


def test_APR_9_nobody_decides_in_the_place_of_who_started_it(ann: Actor, bob: Actor) -> None:
    request = make_request(make_run(status="waiting_approval", started_by=ann.person), terms={"approvers": {"people": ["ann"]}})
    delegate_all(ann, "bob", timezone.now() + timedelta(days=2))

    with pytest.raises(SelfApproval):
        decide(bob, request.id, "approve", 1)
    with pytest.raises(SelfApproval):
        decide(ann, request.id, "approve", 1)
    with pytest.raises(SelfApproval):
        claim(ann, request)
    assert waiting_for(bob) == 0


# --- talking


def test_a_question_makes_it_wait_for_the_answer_and_goes_on_with_it(ann: Actor) -> None:
    asked = make_actor("viewer", username="viv")
    request = make_request(due=timezone.now() + timedelta(hours=1))
    mail_to(asked)
    mail_to(ann)

    ask_somebody(ann, request, "viv", "Was it charged twice?")
    request.refresh_from_db()
    assert request.state == "info_requested"
    comment(asked, request, "Yes.")

    request.refresh_from_db()
    assert request.state == "pending"
    assert [each.kind for each in request.remarks.order_by("id")] == ["question", "answer"]
    assert sorted(Notice.objects.values_list("event", flat=True)) == ["answered", "question"]
    comment(asked, request, "And again.")
    assert request.remarks.last().kind == "comment"  # type: ignore[union-attr]


def test_nobody_is_asked_about_what_they_may_not_see(ann: Actor) -> None:
    make_person(username="stranger")
    request = make_request()

    for name in ("stranger", "ann", "ghost"):
        with pytest.raises(Invalid):
            ask_somebody(ann, request, name, "Why?")
    with pytest.raises(Invalid):
        comment(ann, request, "   ")
    request.refresh_from_db()
    assert request.state == "pending"


# --- votes


def test_a_vote_of_each_team_is_needed(ann: Actor, bob: Actor) -> None:
    leo = Actor(person=make_person("approver", username="leo", team=make_team("legal")))
    request = make_request(terms={"approvers": {"teams": ["finance", "legal"]}, "quorum": 2, "each_team": True})

    assert decide(ann, request.id, "approve", 1).missing == ("legal",)
    second = decide(bob, request.id, "approve", 1)
    assert (second.closed, second.missing) == (False, ("legal",))
    assert decide(leo, request.id, "approve", 1).closed


def test_without_a_veto_as_many_reject_as_must_approve(ann: Actor, bob: Actor) -> None:
    make_person("approver", username="cid", team=make_team("finance"))
    make_person("approver", username="dan", team=make_team("finance"))
    request = make_request(terms={"quorum": 2, "veto": False})

    assert not decide(ann, request.id, "reject", 1).closed
    assert decide(bob, request.id, "reject", 1).closed


def test_a_rejection_ends_what_can_no_longer_be_approved(ann: Actor, bob: Actor) -> None:
    request = make_request(terms={"quorum": 2, "veto": False})

    assert decide(ann, request.id, "reject", 1).closed


def test_a_reason_and_a_typed_value_are_asked_for(ann: Actor) -> None:
    request = make_request(terms={"reason": "always", "confirm": "amount"})

    with pytest.raises(Invalid) as refusal:
        decide(ann, request.id, "approve", 1, confirm="420")
    assert refusal.value.problems[0].place == "comment"
    with pytest.raises(Invalid) as refusal:
        decide(ann, request.id, "approve", 1, comment="Right", confirm="42")
    assert refusal.value.problems[0].place == "confirm"
    assert decide(ann, request.id, "approve", 1, comment="Right", confirm="420").closed


# --- holding and undoing


def held_by(actor: Actor, **terms: Any) -> Request:
    request = make_request(terms={"risk": "low", **terms})
    assert isinstance(decide_or_hold(actor, request.id, "approve", 1, {"amount": 7, "reason": "double"}, "ok"), HeldDecision)
    return request


def over() -> None:
    HeldDecision.objects.update(until=timezone.now() - timedelta(seconds=1))


def test_a_decision_of_low_risk_can_be_undone(ann: Actor, bob: Actor) -> None:
    request = held_by(ann)

    assert (waiting_for(ann), waiting_for(bob)) == (0, 0)
    with pytest.raises(HeldByAnother):
        decide(bob, request.id, "reject", 1)
    undo_decision(ann, request.id)

    assert (waiting_for(ann), carry_out_held()) == (1, 0)
    assert not Vote.objects.exists()
    with pytest.raises(TooLate):
        undo_decision(ann, request.id)


def test_what_is_not_undone_is_carried_out_by_the_server(ann: Actor) -> None:
    request = held_by(ann, due=None)
    assert carry_out_held() == 0
    over()

    assert (carry_out_held(), carry_out_held()) == (1, 0)

    request.refresh_from_db()
    assert (request.state, request.decided_by, json.loads(request.answer or "")["amount"]) == ("approved", ann.person, 7)
    assert Vote.objects.count() == 1
    assert not HeldDecision.objects.exists()
    with pytest.raises(TooLate):
        undo_decision(ann, request.id)


def test_a_held_decision_keeps_the_deadline_away_and_ends_with_its_run(ann: Actor) -> None:
    request = held_by(ann)
    Request.objects.filter(id=request.id).update(due=timezone.now() - timedelta(seconds=1))

    assert expire_due() == 0
    assert request.run is not None
    cancel_run(make_actor("operator"), request.run)
    over()
    assert carry_out_held() == 0
    request.refresh_from_db()
    assert request.state == "withdrawn"
    assert not HeldDecision.objects.exists()


def test_rights_that_were_lost_meanwhile_count(ann: Actor) -> None:
    request = held_by(ann)
    assert ann.person is not None
    ann.person.memberships.all().delete()
    over()

    assert carry_out_held() == 0
    request.refresh_from_db()
    assert request.state == "pending"


def test_only_low_risk_is_held(ann: Actor) -> None:
    request = make_request()

    assert not isinstance(decide_or_hold(ann, request.id, "approve", 1), HeldDecision)
    assert Request.objects.get(id=request.id).state == "approved"


# --- together


def chosen(*requests: Request) -> list[Chosen]:
    return [Chosen(request.id, request.revision) for request in requests]


def test_alike_requests_are_decided_together_each_with_its_own_result(ann: Actor) -> None:
    first, second = make_request(terms=BULK), make_request(terms=BULK)
    third = make_request(make_run(status="waiting_approval", started_by=ann.person), terms=BULK)

    results = decide_many(ann, chosen(first, second, third), "approve", "fine")

    assert [result.closed for result in results] == [True, True, False]
    assert isinstance(results[2].refusal, SelfApproval)
    assert AuditRow.objects.filter(action="approval.decide").count() == 2


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"risk": "high"}, "high risk"),
        ({"policy": "other"}, "one policy"),
        ({"tool": "mail.send"}, "different tools"),
        ({"bulk": False}, "does not allow"),
        ({"confirm": "amount"}, "typed"),
    ],
)
def test_APR_10_what_is_not_alike_is_refused_before_anything_is_decided(ann: Actor, more: dict[str, Any], why: str) -> None:
    with pytest.raises(Invalid, match=why):
        decide_many(ann, chosen(make_request(terms=BULK), make_request(terms={**BULK, **more})), "approve")
    assert not Vote.objects.exists()


def test_at_most_25_are_decided_together(ann: Actor) -> None:
    run = make_run(status="waiting_approval")

    with pytest.raises(Invalid, match="at most 25"):
        decide_many(ann, chosen(*(make_request(run, terms=BULK) for _ in range(26))), "approve")


# --- time


def test_what_is_asked_is_taken_up_once_and_those_who_may_decide_are_told(ann: Actor, bob: Actor) -> None:
    mail_to(ann)
    mail_to(bob)
    request = make_request(make_run(status="waiting_approval", started_by=bob.person))

    assert (take_up_new(), take_up_new()) == (1, 0)

    assert [notice.person for notice in Notice.objects.all()] == [ann.person]
    row = AuditRow.objects.get(action="approval.request")
    assert (row.data["payload_hash"], row.data["revision"], row.actor_name) == (request.payload_hash, 1, "approvals")


def test_who_decides_at_once_is_in_the_log_after_what_was_asked(ann: Actor) -> None:
    request = make_request(make_run(status="waiting_approval"))

    decide(ann, request.id, "approve", 1)

    assert take_up_new() == 0
    rows = AuditRow.objects.filter(subject=request.public_id).order_by("id")
    assert [row.action for row in rows] == ["approval.request", "approval.decide"]


def test_the_ladder_reminds_hands_up_and_never_approves(ann: Actor) -> None:
    leo = make_actor("approver", username="leo", team=make_team("legal"))
    mail_to(leo)
    ladder = [
        {"after": 60, "words": "1m", "act": "remind", "people": [], "teams": []},
        {"after": 120, "words": "2m", "act": "escalate", "people": [], "teams": ["legal"]},
        {"after": 300, "words": "5m", "act": "reject", "people": [], "teams": []},
    ]
    request = make_request(terms={"ladder": ladder, "policy": "refunds", "policy_version": 3})
    take_up_new()
    assert climb_due() == 0

    Request.objects.filter(id=request.id).update(created_at=timezone.now() - timedelta(hours=2))
    Docket.objects.update(next_at=timezone.now() - timedelta(hours=1))  # the clock of a test's transaction stands still
    assert (climb_due(), climb_due(), climb_due()) == (1, 1, 0)

    request.refresh_from_db()
    assert request.state == "pending"
    assert request.terms["approvers"]["teams"] == ["finance", "legal"]
    assert acts("remind", "escalate") == ["remind", "escalate"]
    assert AuditRow.objects.get(action="approval.escalate").data["policy"] == "refunds v3"
    assert Notice.objects.filter(person=leo.person, event="escalated").count() == 1
    assert decide(leo, request.id, "approve", 1).closed


def test_each_act_is_in_the_audit_log_with_door_revision_policy_and_hash(ann: Actor, bob: Actor) -> None:
    request = make_request(terms={"policy": "refunds", "policy_version": 4, "quorum": 2})
    take_up_new()
    by_api = Actor(person=ann.person, door="api")

    claim(by_api, request)
    comment(bob, request, "Looks right")
    decide(by_api, request.id, "approve", 1)
    with pytest.raises(Refusal):
        decide(by_api, request.id, "approve", 1)

    rows = list(AuditRow.objects.filter(subject=request.public_id).order_by("id"))
    assert [(row.action, row.door) for row in rows] == [
        ("approval.request", "worker"),
        ("approval.claim", "api"),
        ("approval.comment", "page"),
        ("approval.decide", "api"),
        ("approval.refuse", "api"),
    ]
    for row in rows:
        assert (row.data["policy"], row.data["revision"], row.data["payload_hash"]) == ("refunds v4", 1, request.payload_hash)
