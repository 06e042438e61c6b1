"""What the engine itself asks, in the inbox, on its page and by API: who may choose what, and with what."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from approvals.reads import requests_in, waiting_for
from flows.models import AuditRow, Person, Request, Run, ToolEntry
from tests.makers import (
    make_actor,
    make_flow,
    make_key,
    make_limit_question,
    make_person,
    make_run,
    make_team,
    make_unknown_question,
)

pytestmark = pytest.mark.django_db


def page(person: Person, request: Request) -> str:
    client = Client()
    client.force_login(person)
    return client.get(f"/approvals/{request.public_id}").content.decode()


def sent(person: Person, request: Request, outcome: str, **fields: str) -> Any:
    client = Client()
    client.force_login(person)
    return client.post(f"/approvals/{request.public_id}/decisions", {"outcome": outcome, "revision": "1", **fields})


def by_api(person: Person, request: Request, **body: Any) -> Any:
    _, secret = make_key(person, "approvals:write", "costs:read")
    address = f"/api/v1/approvals/{request.public_id}/decisions"
    headers = {"Authorization": f"Bearer {secret}"}
    return Client().post(address, json.dumps({"revision": 1, **body}), content_type="application/json", headers=headers)


@pytest.mark.parametrize("make", [make_limit_question, make_unknown_question])
def test_it_waits_for_those_who_operate_the_flow_and_not_for_approvers(make: Any) -> None:
    request = make()

    assert list(requests_in(make_actor("operator"), "mine")) == [request]
    assert waiting_for(make_actor("approver")) == 0
    assert waiting_for(make_actor("operator", team=make_team("elsewhere"))) == 1  # the flow is everybody's
    assert sent(make_person("approver"), request, "stop" if request.kind == "budget" else "fail").status_code == 403


def test_the_operators_of_another_team_are_not_asked() -> None:
    flow = make_flow(team=make_team("theirs"))
    request = make_limit_question(make_run(flow, status="waiting_approval", cap_cost="0.50", spent="0.42"))

    assert waiting_for(make_actor("operator", team=make_team("ours"))) == 0
    assert list(requests_in(make_actor("operator", team=make_team("theirs")), "mine")) == [request]


def test_who_started_the_run_is_asked_too() -> None:
    starter = make_actor("operator")
    request = make_limit_question(make_run(status="waiting_approval", cap_cost="0.50", spent="0.42", started_by=starter.person))

    assert list(requests_in(starter, "mine")) == [request]


def test_the_page_of_a_limit_shows_the_figures_and_the_choices() -> None:
    text = page(make_person("owner"), make_limit_question())

    for said in ("$0.5000", "$0.4200", "$0.1200", "rate[].assess", "half of 12 cost at most"):
        assert said in text
    for choice in ("raise", "cheaper", "finish", "stop"):
        assert f'data-testid="choice-{choice}"' in text
    assert "disabled" not in text.split('data-testid="choices"')[1]


def test_an_operator_sees_why_the_flows_own_limit_is_not_theirs_to_pass() -> None:
    request = make_limit_question(make_run(make_flow(), status="waiting_approval", cap_cost="1.00", spent="0.42"), amount="1.00")

    choices = page(make_person("operator"), request).split('data-testid="choices"')[1]

    assert choices.count("disabled") == 1
    assert "The flow&#x27;s own limit is $1.00" in choices


def test_a_limit_is_raised_on_the_page() -> None:
    request = make_limit_question()
    owner = make_person("owner")

    wrong = sent(owner, request, "raise", limit="0.40")
    assert wrong.status_code == 422
    assert "Give more than $0.50." in wrong.content.decode()
    assert 'value="0.40"' in wrong.content.decode()
    assert sent(owner, request, "raise", limit="0.90", comment="It is worth it").status_code == 302

    run = Run.objects.get(id=request.run_id)
    assert (str(run.cap_cost.normalize()) if run.cap_cost else "", run.status) == ("0.9", "queued")
    assert AuditRow.objects.filter(action="run.raise_limits").count() == 1
    decided = page(owner, request)
    assert "Limit raised by" in decided
    assert "$0.9000" in decided


def test_what_happened_is_entered_on_the_page() -> None:
    ToolEntry.objects.create(slug="mail.send", kind="http", effect="write", repeat="never")
    request = make_unknown_question()
    operator = make_person("operator")
    text = page(operator, request)
    for said in (
        "mail.send",
        "cannot be undone",
        "customer 991",
        "5f0c5b3e",
        "broke the connection",
        "Look at the service itself",
    ):
        assert said in text

    no_json = sent(operator, request, "happened", result="{id: 1")
    assert no_json.status_code == 422
    assert "Is no JSON" in no_json.content.decode()
    assert "{id: 1" in no_json.content.decode()
    wrong = sent(operator, request, "happened", result='{"id": 1}')
    assert wrong.status_code == 422
    assert sent(operator, request, "happened", result='{"id": "m-1"}').status_code == 302

    request.refresh_from_db()
    assert (request.outcome, json.loads(request.answer or "")) == ("happened", {"result": {"id": "m-1"}})
    assert "m-1" in page(operator, request)


def test_who_started_the_run_finds_the_repetition_closed() -> None:
    starter = make_person("operator")
    request = make_unknown_question(make_run(status="waiting_approval", started_by=starter))

    choices = page(starter, request).split('data-testid="choices"')[1]

    assert choices.count("disabled") == 1
    assert "another&#x27;s to decide" in choices
    assert by_api(starter, request, outcome="repeat").status_code == 403
    assert by_api(starter, request, outcome="fail").status_code == 200


def test_the_api_takes_the_same_choices_and_names_what_is_wrong() -> None:
    request = make_limit_question()
    owner = make_person("owner")

    missing = by_api(owner, request, outcome="raise")
    assert (missing.status_code, missing.json()["problems"][0]["place"]) == (422, "payload.limit")
    assert by_api(owner, request, outcome="stop", payload={"limit": 1}).status_code == 422
    assert by_api(owner, request, outcome="explode").status_code == 422
    answer = by_api(owner, request, outcome="raise", payload={"limit": 2.5})

    assert answer.status_code == 200
    assert answer.json()["request"]["answer"] == {"limit": "2.5"}
    late = by_api(make_person("owner"), request, outcome="stop")
    assert (late.status_code, late.json()["outcome"]) == (409, "raise")


def test_a_choice_other_than_more_is_kept_with_the_run() -> None:
    request = make_limit_question()

    assert by_api(make_person("operator"), request, outcome="cheaper").status_code == 200

    run = Run.objects.get(id=request.run_id)
    assert (run.at_limit, run.saving, run.status) == ("cheaper", True, "queued")


def test_its_figures_are_for_those_who_may_see_costs() -> None:
    request = make_limit_question()
    viewer = make_person("viewer")
    _, secret = make_key(viewer, "approvals:read")

    text = page(viewer, request)
    shape = Client().get(f"/api/v1/approvals/{request.public_id}", headers={"Authorization": f"Bearer {secret}"}).json()

    assert "$0.42" not in text
    assert "0.50" not in text
    assert shape["payload"] is None
