"""What each role may do, and where."""

from typing import Any

import pytest
from django.utils.functional import SimpleLazyObject

from flows.access.actor import Actor, system
from flows.access.querysets import flows_for, requests_for, runs_for
from flows.access.refusals import Forbidden, NotFound
from flows.access.rights import INCLUDES, Right, holdings_of, may, require, with_roles
from flows.models import Person, Role
from tests.makers import make_actor, make_flow, make_key, make_person, make_request, make_run, make_team

pytestmark = pytest.mark.django_db

EXPECTED = {
    "viewer": {Right.SEE_FLOWS, Right.SEE_RUNS, Right.SEE_REQUESTS},
    "operator": {Right.SEE_FLOWS, Right.SEE_RUNS, Right.SEE_REQUESTS, Right.START_RUNS, Right.CONTROL_RUNS, Right.SEE_COSTS},
    "approver": {Right.SEE_FLOWS, Right.SEE_RUNS, Right.SEE_REQUESTS, Right.DECIDE, Right.REVEAL},
    "auditor": {Right.SEE_FLOWS, Right.SEE_RUNS, Right.SEE_REQUESTS, Right.SEE_COSTS, Right.SEE_AUDIT},
    "owner": set(Right),
}


@pytest.mark.parametrize("role", EXPECTED)
def test_a_role_includes_these_rights_and_no_other(role: str) -> None:
    person = make_person(role)

    assert {right for right in Right if may(person, right)} == EXPECTED[role]


def test_a_builder_may_what_an_operator_may_and_edits_and_publishes() -> None:
    assert INCLUDES[Role.BUILDER] - INCLUDES[Role.OPERATOR] == {Right.EDIT_FLOWS, Right.PUBLISH_FLOWS, Right.EDIT_ROUTES}


def test_a_role_in_a_team_counts_in_that_team_and_for_everybodys_flows() -> None:
    team, other = make_team(), make_team()
    person = make_person("operator", team=team)

    assert may(person, Right.START_RUNS, team)
    assert may(person, Right.START_RUNS, None)
    assert not may(person, Right.START_RUNS, other)


def test_matters_of_the_installation_need_a_role_everywhere() -> None:
    assert not may(make_person("owner", team=make_team()), Right.MANAGE_PEOPLE)
    assert may(make_person("owner"), Right.MANAGE_PEOPLE)


def test_what_one_may_not_see_does_not_exist() -> None:
    actor = make_actor("operator", team=make_team())
    flow = make_flow(team=make_team("hidden"))

    with pytest.raises(NotFound):
        require(actor, Right.START_RUNS, flow)


def test_what_one_sees_without_the_right_is_refused_by_its_name() -> None:
    with pytest.raises(Forbidden) as refusal:
        require(make_actor("viewer"), Right.START_RUNS, make_flow())

    assert refusal.value.right == "runs.start"
    assert "runs.start" in str(refusal.value)


def test_a_key_may_no_more_than_its_scopes_and_its_person() -> None:
    person = make_person("operator")
    key, _ = make_key(person, "runs:read")
    actor = Actor(person=person, key=key)

    with pytest.raises(Forbidden, match="runs:write"):
        require(actor, Right.START_RUNS, make_flow())
    assert actor.may(Right.SEE_RUNS)
    assert not Actor(person=person, key=make_key(person, "admin")[0]).may(Right.MANAGE_PEOPLE)


def test_writing_includes_reading_of_the_same() -> None:
    person = make_person("operator")
    actor = Actor(person=person, key=make_key(person, "runs:write")[0])

    assert actor.may(Right.SEE_RUNS)
    assert not actor.may(Right.SEE_FLOWS)


def test_a_deactivated_person_holds_nothing() -> None:
    person = make_person("owner")
    person.is_active = False

    assert not any(may(person, right) for right in Right)
    assert not flows_for(person).exists()


def test_everything_is_fetched_by_what_one_may_see() -> None:
    team = make_team()
    mine, everybodys, hidden = make_flow(team=team), make_flow(), make_flow(team=make_team())
    for flow in (mine, everybodys, hidden):
        make_request(make_run(flow, status="waiting_approval"), terms={"approvers": {}})
    person = make_person("viewer", team=team)

    assert set(flows_for(person)) == {mine, everybodys}
    assert {run.flow for run in runs_for(person)} == {mine, everybodys}
    assert {request.run.flow for request in requests_for(person)} == {mine, everybodys}
    assert flows_for(make_person("auditor")).count() == 3
    assert not flows_for(make_person()).exists()
    assert flows_for(system("test")).count() == 3


def test_a_request_is_seen_by_whom_it_names() -> None:
    run = make_run(make_flow(team=make_team()), status="waiting_approval")
    by_name = make_request(run, terms={"approvers": {"people": ["asked"]}})
    by_team = make_request(run, terms={"approvers": {"teams": ["finance"]}})

    assert list(requests_for(make_person(username="asked"))) == [by_name]
    assert list(requests_for(make_person("approver", team=make_team("finance")))) == [by_team]
    assert not requests_for(make_person("viewer", team=make_team("finance"))).exists()


def test_the_roles_of_a_requests_person_were_read_with_it(django_assert_num_queries: Any) -> None:
    """Also where the person is the lazy stand-in that a request has."""
    known = make_person("operator")
    with django_assert_num_queries(1):
        person: Any = SimpleLazyObject(lambda: with_roles(Person.objects.filter(pk=known.pk)).get())
        assert holdings_of(person).allow(Right.SEE_COSTS)
    with django_assert_num_queries(1):
        assert holdings_of(person).allow(Right.SEE_COSTS), "asked anew, since they may have changed"
