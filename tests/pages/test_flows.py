"""The list of flows and the page of one."""

import re
from datetime import UTC
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from flows.models import Call, Flow, Run
from tests.makers import DOCUMENT, make_flow, make_person, make_run, make_team

pytestmark = pytest.mark.django_db

XSS = "<img src=x onerror=alert(1)>"


def signed_in(*roles: str, team: object = None, username: str | None = None) -> Client:
    client = Client()
    client.force_login(make_person(*roles, team=team, username=username))
    return client


def make_call(run: object, cost: str, n: int = 1, **fields: object) -> Call:
    plain = {"path": "greet", "attempt": 1, "n": n, "epoch": 1, "seq": 1, "status": "succeeded", "kind": "model", "target": "m"}
    more = {"repeat": "freely", "idempotency_key": "0" * 32, "settled": Decimal(cost), "pass_number": 1}
    return Call.objects.create(run=run, **(plain | more | fields))


def test_the_list_shows_how_each_flow_went_and_what_it_cost() -> None:
    flow = make_flow("greeting")
    for status in ("succeeded", "succeeded", "failed"):
        make_call(make_run(flow, status=status), "0.1")

    page = signed_in("operator").get("/flows").content.decode()

    assert page.count('data-testid="flow-row"') == 1
    assert 'data-money="0.300000000000"' in page
    assert "67 %" in page
    assert 'href="/flows/greeting/run"' in page


def test_FLW_4_the_ticks_have_words() -> None:
    flow = make_flow()
    make_run(flow, status="failed")
    make_run(flow, status="succeeded")

    page = signed_in("viewer").get("/flows").content.decode()

    assert 'aria-label="Last 2 runs: 1 failed, 1 succeeded"' in page


def test_simulated_money_stands_apart() -> None:
    make_call(make_run(make_flow(), status="succeeded"), "0.5", simulated=True)

    page = signed_in("operator").get("/flows").content.decode()

    assert "$0.5000" in page
    assert "sim</span>" in page


def test_who_may_not_see_costs_sees_none_and_who_may_not_start_sees_no_button() -> None:
    make_call(make_run(make_flow("greeting"), status="succeeded"), "0.5")

    page = signed_in("viewer").get("/flows").content.decode()

    assert "Cost, 7 days" not in page
    assert 'data-testid="run"' not in page
    assert 'data-testid="run"' not in signed_in("viewer").get("/flows/greeting").content.decode()


def test_FLW_2_a_draft_that_is_ahead_is_marked() -> None:
    flow = make_flow("greeting")
    client = signed_in("viewer")
    assert ">draft<" not in client.get("/flows").content.decode()

    Flow.objects.filter(id=flow.id).update(draft=flow.draft.replace("Hello", "Hi"))

    page = client.get("/flows").content.decode()
    saved = Flow.objects.get().changed_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M")
    assert re.search(rf'>draft</span> <span class="small muted"><time [^>]*datetime="{saved}', page)


def test_FLW_5_a_search_leaves_what_matches() -> None:
    make_flow("refund-decision")
    make_flow("triage")
    client = signed_in("viewer")

    page = client.get("/flows?q=refund").content.decode()

    assert page.count('data-testid="flow-row"') == 1
    assert "nothing-matches" in client.get("/flows?q=zzz").content.decode()


def test_flows_of_other_teams_do_not_exist() -> None:
    make_flow("secret-plan", team=make_team("legal"))
    client = signed_in("operator", team=make_team("finance"))

    assert "secret-plan" not in client.get("/flows").content.decode()
    for address in ("/flows/secret-plan", "/flows/secret-plan/export", "/flows/secret-plan/run"):
        assert client.get(address).status_code == 404


def test_nobody_is_sent_to_the_door() -> None:
    make_flow("greeting")

    for address in ("/flows", "/flows/greeting", "/flows/greeting/run"):
        response = Client().get(address)
        assert response.status_code == 302
        assert response["Location"] == f"/login?next={address}"


def test_an_empty_installation_says_how_to_bring_a_flow_in() -> None:
    assert "manage.py flow import" in signed_in("builder").get("/flows").content.decode()
    assert "manage.py flow import" not in signed_in("viewer").get("/flows").content.decode()


def test_the_number_of_queries_does_not_grow(django_assert_max_num_queries: object) -> None:
    client = signed_in("operator")
    for _ in range(12):
        make_call(make_run(make_flow(), status="succeeded"), "0.1")

    with django_assert_max_num_queries(12):  # type: ignore[operator]
        client.get("/flows")


def test_a_flow_shows_its_steps_limits_inputs_and_runs() -> None:
    flow = make_flow("greeting")
    run = make_run(flow, status="failed")

    page = signed_in("operator").get("/flows/greeting").content.decode()

    assert 'data-testid="flow-step"' in page
    assert "$1.00" in page
    assert "required" in page
    assert f"/runs/{run.public_id}" in page


def test_the_steps_of_the_error_handler_stand_below_those_of_the_flow() -> None:
    handler = "on_error:\n  steps: {tell: {kind: set, with: {values: {x: 1}}}}\n  edges: [start -> tell]\n"
    make_flow("greeting", document=DOCUMENT + handler)

    page = signed_in("operator").get("/flows/greeting").content.decode()

    *_, last = re.findall(r'data-testid="flow-step".*?</tr>', page, re.DOTALL)
    assert "error.tell" in last
    assert "the run fails" in last


def test_its_tabs_are_addresses(django_assert_max_num_queries: object) -> None:
    make_run(make_flow("greeting"), status="succeeded")
    client = signed_in("operator")

    assert 'data-testid="version-row"' in client.get("/flows/greeting?tab=versions").content.decode()
    assert 'data-testid="run-row"' in client.get("/flows/greeting?tab=runs").content.decode()
    for tab in ("overview", "runs", "versions"):
        with django_assert_max_num_queries(12):  # type: ignore[operator]
            client.get(f"/flows/greeting?tab={tab}")


def test_the_document_is_downloaded_as_it_is() -> None:
    flow = make_flow("greeting")
    client = signed_in("viewer")

    response = client.get("/flows/greeting/export?version=1")

    assert response.content.decode() == flow.published.document
    assert response["Content-Disposition"] == 'attachment; filename="greeting.v1.yaml"'
    assert client.get("/flows/greeting/export").content.decode() == flow.draft
    assert client.get("/flows/greeting/export?version=9").status_code == 404
    assert client.get("/flows/greeting/export?version=x").status_code == 404


def test_what_keeps_it_from_running_is_said() -> None:
    flow = make_flow("broken", document="orchestrator: 1\nname: Broken\nsteps: {a: {kind: nonsense}}\nedges: [start -> a]\n")

    page = signed_in("viewer").get("/flows/broken").content.decode()

    assert flow.published is not None
    assert "nonsense" in page


def test_text_from_documents_is_only_text() -> None:
    document = f"orchestrator: 1\nname: n\nsteps: {{a: {{kind: set, label: '{XSS}', with: {{values: {{x: 1}}}}}}}}\nedges: [start -> a]\n"
    flow = make_flow("probe", document=document)
    Flow.objects.filter(id=flow.id).update(name=XSS, description=XSS)
    client = signed_in("operator")

    for address in ("/flows", "/flows/probe", "/flows/probe/run"):
        page = client.get(address).content.decode()
        assert XSS not in page
        assert "&lt;img" in page


def test_while_it_is_open_rows_go_on_and_newer_runs_are_only_counted() -> None:
    flow = make_flow("greeting")
    run = make_run(flow, status="running")
    client = signed_in("viewer")
    region = re.search(r'id="flow-runs"[^>]*data-live-url="([^"]*)"', client.get("/flows/greeting").content.decode())
    assert region is not None
    Run.objects.filter(id=run.id).update(status="succeeded", ended_at=timezone.now())
    newer = make_run(flow)

    told = client.get(region[1].replace("&amp;", "&")).content.decode()

    assert 'data-state="succeeded"' in told
    assert newer.public_id not in told
    assert ">1 new<" in told
    assert "<html" not in told


def test_a_test_is_told_from_the_runs_beside_it() -> None:
    flow = make_flow("greeting")
    real, test = make_run(flow), make_run(flow, purpose="test")
    page = signed_in("viewer").get("/flows/greeting").content.decode()

    marks = {
        each.public_id: re.findall(
            r'data-testid="purpose"[^>]*>(\w+)<', page.split(f'data-id="{each.public_id}"')[1].split("</tr>")[0]
        )
        for each in (real, test)
    }
    assert marks == {real.public_id: [], test.public_id: ["test"]}
