"""PPL-1, PPL-2: whoever goes leaves nothing behind that only they could decide, and somebody stays who can let people in."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from approvals.actions.offboard_person import NeedsSuccessor, offboard_person
from approvals.models import Delegation, Docket
from approvals.reads import requests_in
from flows.access.actions.revoke_role import LastOwner, revoke_role
from flows.access.actor import Actor
from flows.access.keys import key_behind
from flows.access.refusals import Forbidden, Invalid
from flows.models import AuditRow, Event, Person, Request
from tests.makers import make_actor, make_key, make_person, make_request, make_team

pytestmark = pytest.mark.django_db


def asks(*people: str, teams: tuple[str, ...] = ()) -> Request:
    return make_request(terms={"approvers": {"people": list(people), "teams": list(teams)}})


def test_PPL_1_open_requests_go_to_the_successor_in_the_same_act() -> None:
    owner, ann, bob = make_actor("owner"), make_person("approver", username="ann"), make_person("approver", username="bob")
    mine, shared, others = asks("ann"), asks("ann", "carl"), asks("carl")
    _, secret = make_key(ann, "runs:read")

    assert offboard_person(owner, ann, bob) == 2

    named = {each.id: each.terms["approvers"]["people"] for each in Request.objects.all()}
    assert named == {mine.id: ["bob"], shared.id: ["carl", "bob"], others.id: ["carl"]}
    assert {each.id for each in requests_in(Actor(person=bob), "mine")} >= {mine.id, shared.id}
    assert key_behind(secret) is None
    assert not Person.objects.get(id=ann.id).is_active
    rows = AuditRow.objects.filter(action="approval.reassign")
    assert {row.subject: row.data["after"] for row in rows} == {mine.public_id: ["bob"], shared.public_id: ["carl", "bob"]}
    assert Event.objects.filter(type="request.reassigned").count() == 2


def test_PPL_1_the_desk_is_cleared_assignments_claims_and_who_stands_in() -> None:
    owner, ann, bob = make_actor("owner"), make_person("approver", username="ann"), make_person("approver", username="bob")
    request = asks("carl")
    Docket.objects.create(request=request, assigned_to=ann, claimed_by=ann, claimed_until=timezone.now())
    Delegation.objects.create(giver=bob, taker=ann)

    offboard_person(owner, ann, bob)

    docket = Docket.objects.get()
    assert (docket.assigned_to, docket.claimed_by) == (bob, None)
    assert Delegation.objects.get().ended_at is not None


def test_without_a_successor_nothing_happens_where_a_request_would_have_nobody() -> None:
    owner, ann = make_actor("owner"), make_person("approver", username="ann")
    asks("ann")

    with pytest.raises(NeedsSuccessor) as refused:
        offboard_person(owner, ann)

    assert refused.value.facts() == {"requests": 1}
    assert Person.objects.get(id=ann.id).is_active
    assert not AuditRow.objects.exists()


def test_a_team_in_which_others_decide_needs_no_successor() -> None:
    owner, finance = make_actor("owner"), make_team("finance")
    ann, bob = (make_person("approver", username=name, team=finance) for name in ("ann", "bob"))
    request = asks(teams=("finance",))

    assert offboard_person(owner, ann) == 0

    assert Request.objects.get(id=request.id).terms["approvers"]["people"] == []
    assert bob.is_active


def test_the_successor_is_somebody_else_who_is_there() -> None:
    owner, ann = make_actor("owner"), make_person("approver", username="ann")
    gone = make_person("approver")
    Person.objects.filter(id=gone.id).update(is_active=False)
    gone.refresh_from_db()

    for successor in (ann, gone):
        with pytest.raises(Invalid):
            offboard_person(owner, ann, successor)


def test_it_takes_the_right() -> None:
    with pytest.raises(Forbidden):
        offboard_person(make_actor("builder"), make_person("viewer"))


def test_PPL_2_the_last_owner_stays() -> None:
    owner = make_actor("owner", username="ann")
    assert owner.person is not None
    for act in (lambda: offboard_person(owner, owner.person), lambda: revoke_role(owner, owner.person, "owner")):
        with pytest.raises(LastOwner):
            act()
    client = Client()
    client.force_login(owner.person)

    page = client.post("/settings/people/ann/roles", {"act": "revoke", "role": "owner", "team": ""})

    assert (page.status_code, "last owner" in page.content.decode()) == (409, True)
    make_person("owner")
    assert revoke_role(owner, owner.person, "owner")


def test_over_the_api(client: Any) -> None:
    _, secret = make_key(make_person("owner"), "admin")
    make_person("approver", username="ann"), make_person("approver", username="bob")
    asks("ann")
    headers = {"Authorization": f"Bearer {secret}"}
    address = "/api/v1/people/ann/deactivation"

    refused = client.post(address, {}, content_type="application/json", headers=headers)
    done = client.post(address, {"successor": "bob"}, content_type="application/json", headers=headers)
    back = client.post(address, {"on": False}, content_type="application/json", headers=headers)

    assert (refused.status_code, refused.json()["type"], refused.json()["requests"]) == (409, "/problems/needs-successor", 1)
    assert (done.json()["handed_over"], done.json()["person"]["active"]) == (1, False)
    assert back.json()["person"]["active"]
