"""The inbox."""

import pytest

from approvals.actions.decide import decide
from approvals.reads import by_due, requests_in, waiting_for
from tests.makers import make_actor, make_flow, make_request, make_run, make_team

pytestmark = pytest.mark.django_db


def test_each_box_holds_what_its_name_says() -> None:
    finance, legal = make_team("finance"), make_team("legal")
    approver = make_actor("approver", username="ann", team=finance)
    for_my_team = make_request()
    for_me = make_request(terms={"approvers": {"people": ["ann"]}})
    for_the_flows_team = make_request(make_run(make_flow(team=finance), status="waiting_approval"), terms={"approvers": {}})
    own = make_request(make_run(status="waiting_approval", started_by=approver.person))
    for_others = make_request(terms={"approvers": {"teams": ["legal"]}})
    hidden = make_request(make_run(make_flow(team=legal), status="waiting_approval"), terms={"approvers": {}})
    done = make_request(state="approved")

    assert set(requests_in(approver, "mine")) == {for_my_team, for_me, for_the_flows_team}
    assert set(requests_in(approver, "team")) == {for_my_team, for_me, for_the_flows_team, own}
    assert set(requests_in(approver, "all")) == {for_my_team, for_me, for_the_flows_team, own, for_others}
    assert set(requests_in(approver, "done")) == {done}
    assert hidden not in requests_in(approver, "all")
    assert waiting_for(approver) == 3


def test_what_i_voted_on_no_longer_waits_for_me() -> None:
    approver = make_actor("approver", team=make_team("finance"))
    request = make_request(terms={"quorum": 2})

    decide(approver, request.id, "approve", 1)

    assert waiting_for(approver) == 0
    assert request in requests_in(approver, "team")


def test_a_viewer_has_nothing_to_decide() -> None:
    make_request()
    make_request(terms={"approvers": {}})
    viewer = make_actor("viewer")

    assert waiting_for(viewer) == 0
    assert requests_in(viewer, "all").count() == 2
    assert list(by_due(requests_in(viewer, "all"))) == list(requests_in(viewer, "all").order_by("id"))
