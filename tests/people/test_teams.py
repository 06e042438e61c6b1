"""A team is removed with what belongs to it, and not while something speaks of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from approvals.actions.delegate import delegate_all
from approvals.actions.remove_team import TeamInUse, remove_team
from approvals.models import Policy, PolicyVersion
from flows.access.actor import Actor
from flows.access.refusals import Forbidden
from flows.models import AuditRow, Budget, Flow, Invitation, Membership, Team
from tests.engine.flows import source_of
from tests.execution.runs import approval
from tests.makers import make_actor, make_base, make_flow, make_key, make_person, make_request, make_run, make_team

pytestmark = pytest.mark.django_db


def test_what_belongs_to_it_goes_to_another_and_its_roles_end() -> None:
    legal, finance = make_team("legal"), make_team("finance")
    flow, member = make_flow("greet", team=legal), make_person("approver", team=legal)
    base, *_ = make_base("handbook", team=legal)
    invited = Invitation.objects.create(
        digest="0" * 64, roles=[{"role": "viewer", "team": "legal"}], expires_at="2100-01-01T00:00Z"
    )

    done = remove_team(make_actor("owner"), legal, finance)

    assert done == {"flows": 1, "bases": 1, "roles": 1, "invitations": 1}
    assert not Team.objects.filter(slug="legal").exists()
    flow.refresh_from_db()
    base.refresh_from_db()
    invited.refresh_from_db()
    assert (flow.team, base.team) == (finance, finance)
    assert invited.withdrawn_at is not None
    assert not Membership.objects.filter(person=member).exists()
    row = AuditRow.objects.get(action="team.remove")
    assert (row.subject, row.data["to"], row.data["flows"]) == ("legal", "finance", ["greet"])


def test_without_another_its_flows_are_everybodys() -> None:
    flow = make_flow("greet", team=make_team("legal"))

    remove_team(make_actor("owner"), Team.objects.get(slug="legal"))

    assert Flow.objects.get(id=flow.id).team is None


def test_it_stays_while_something_speaks_of_it_and_that_is_named() -> None:
    owner, legal = make_actor("owner"), make_team("legal")
    steps = {"ask": approval(approvers={"teams": ["legal"]})}
    make_flow("asking", document=source_of(steps, ["start -> ask"], input={"type": "object"}))
    make_request(make_run(make_flow("theirs", team=legal), status="waiting_approval"), terms={"approvers": {"teams": ["legal"]}})
    policy = Policy.objects.create(slug="refunds", name="Refunds")
    policy.current = PolicyVersion.objects.create(policy=policy, number=1, rules={"teams": ["legal"]}, by=make_person("owner"))
    policy.save()
    Budget.objects.create(scope="team", subject="legal", period="month", cost="5")

    with pytest.raises(TeamInUse) as refused:
        remove_team(owner, legal)

    assert {fault.place for fault in refused.value.problems} == {"requests", "runs", "policies", "flows", "budgets"}
    assert Team.objects.filter(slug="legal").exists()


def test_only_who_manages_people_removes_one() -> None:
    with pytest.raises(Forbidden):
        remove_team(make_actor("builder"), make_team("legal"))


def test_the_page_and_the_api_do_it() -> None:
    owner = make_person("owner")
    page = Client()
    page.force_login(owner)
    make_team("legal")
    make_team("ops")

    assert "Remove legal?" in page.get("/settings/teams/legal/removal").content.decode()
    assert page.post("/settings/teams/legal/removal", {"to": "ops"}).status_code == 302
    headers = {"Authorization": f"Bearer {make_key(owner, 'admin')[1]}"}
    assert Client().delete("/api/v1/teams/ops", headers=headers).status_code == 204
    assert not Team.objects.filter(slug__in=["legal", "ops"]).exists()


def test_the_list_says_who_is_out_of_office_and_who_decides_until_then() -> None:
    ann, bob = make_person("approver", username="ann"), make_person("approver", username="bob")
    delegate_all(Actor(person=ann), "bob", timezone.now() + timedelta(days=3))
    page = Client()
    page.force_login(make_person("owner"))

    shown = page.get("/settings/people").content.decode()

    assert shown.count('data-testid="away"') == 1
    assert f"out of office: {bob} decides until" in shown.partition('data-id="ann"')[2].partition("</tr>")[0]
