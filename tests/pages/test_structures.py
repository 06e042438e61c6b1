"""A run's page where steps stand inside loops, sub-flows and error handlers."""

from __future__ import annotations

import json
import re
from urllib.parse import unquote

import pytest
from django.test import Client

from approvals.record import record_of
from approvals.showing.page import context_of
from flows.models import Attempt, Flow, Run
from tests.engine.course import loop, subflow, tool, value
from tests.engine.flows import source_of
from tests.makers import make_actor, make_flow, make_person, make_request, make_run, make_team
from tests.runs.journals import make_attempt

pytestmark = pytest.mark.django_db

STEPS = {"again": loop({"sub": subflow(label="Ask the other")}, ["start -> sub"], max=9), "last": value()}
HANDLER = {"steps": {"notify": tool(label="Tell somebody")}, "edges": ["start -> notify"]}


def signed_in() -> Client:
    client = Client()
    client.force_login(make_person("operator"))
    return client


def other() -> Flow:
    return make_flow(
        "other", document=source_of({"draft": value(label="Write it"), "rest": value()}, ["start -> draft", "draft -> rest"])
    )


def nested_run(status: str = "running", **fields: str) -> Run:
    """A run in the second round of its loop, in which a sub-flow has made its first step."""
    inner = other()
    document = source_of(STEPS, ["start -> again", "again -> last"], on_error=HANDLER)
    run = make_run(make_flow(document=document), status=status, **fields)
    make_attempt(run, "again", status="open", kind="loop")
    for number in range(2):
        make_attempt(run, f"again[{number}].sub", status="open", kind="subflow")
        make_attempt(run, f"again[{number}].sub/draft", kind="set")
    checkpoint = {"flow": "other", "number": 1, "version": str(inner.published_id), "input": {}}
    Attempt.objects.filter(run=run, kind="subflow").update(checkpoint=json.dumps(checkpoint))
    return run


def shown(client: Client, run: Run, step: str) -> str:
    answer = client.get(f"/runs/{run.public_id}", {"step": step})
    assert answer.status_code == 200, answer.content.decode()[:2000]
    return answer.content.decode()


def rows(page: str, kind: str = "item-step") -> dict[str, str]:
    return dict(re.findall(rf'data-testid="{kind}" data-path="([^"]+)" data-state="(\w*)"', page))


def test_the_rounds_of_a_loop_are_listed_as_a_maps_items_are() -> None:
    page = shown(signed_in(), nested_run(), "again")

    assert rows(page, "item-row").keys() == {"again[0]", "again[1]"}
    assert "Round 2" in page


def test_a_round_shows_its_steps() -> None:
    page = shown(signed_in(), nested_run(), "again[1]")

    assert rows(page) == {"again[1].sub": "running"}
    assert "round 2" in page


def test_a_sub_flow_shows_the_steps_of_the_version_that_it_runs() -> None:
    run, client = nested_run(), signed_in()

    page = shown(client, run, "again[1].sub")

    assert rows(page) == {"again[1].sub/draft": "succeeded", "again[1].sub/rest": "queued"}
    assert "Write it" in page


def test_a_step_inside_a_sub_flow_can_be_looked_at() -> None:
    page = shown(signed_in(), nested_run(), "again[1].sub/draft")

    assert 'data-path="again[1].sub/draft"' in page
    assert "Ask the other" in page
    assert "Write it" in page


def test_a_failure_inside_a_sub_flow_marks_the_step_of_the_flow_that_it_is_in() -> None:
    error = {"step": "again[1].sub/rest", "class": "refused", "message": "no"}
    run = nested_run("failed", error=json.dumps(error))

    page = shown(signed_in(), run, "")

    assert "again[1].sub/rest" in page


def test_the_steps_of_an_error_handler_stand_below_those_of_the_flow_once_it_has_begun() -> None:
    run, client = nested_run(), signed_in()
    assert "error.notify" not in rows(shown(client, run, "last"), "step-row")

    make_attempt(run, "error", status="open", kind="on_error")
    make_attempt(run, "error.notify")

    assert rows(shown(client, run, "last"), "step-row")["error.notify"] == "succeeded"
    assert "Tell somebody" in shown(client, run, "error.notify")


def nodes(page: str) -> dict[str, tuple[str, str]]:
    """Each box of the graph: its state, and the step that it leads to."""
    found = re.findall(r'<a class="node" href="([^"]+)"[^>]* data-id="([^"]+)" data-state="(\w+)"', page)
    return {key: (state, unquote(address).partition("step=")[2]) for address, key, state in found}


def test_the_graph_shows_what_is_inside_a_frame_over_all_items_and_leads_to_where_it_failed() -> None:
    body = {"look": value(), "tell": tool()}
    steps = {"each": loop(body, ["start -> look", "look -> tell"], max=9), "last": value()}
    handler = {"steps": {"notify": tool(label="Tell somebody")}, "edges": ["start -> notify"]}
    run = make_run(make_flow(document=source_of(steps, ["start -> each", "each -> last"], on_error=handler)), status="running")
    client = signed_in()
    idle = nodes(shown(client, run, "last"))
    assert idle["each.tell"] == ("queued", "each")
    assert idle["error.notify"] == ("queued", "error.notify")

    make_attempt(run, "each", status="open", kind="loop")
    for number in range(12):
        make_attempt(run, f"each[{number}].look")
    make_attempt(run, "each[10].tell", status="failed", error={"class": "refused", "message": "no"})
    make_attempt(run, "each[11].tell")
    page = shown(client, run, "last")

    assert nodes(page) == {
        "each": ("running", "each"),
        "each.look": ("succeeded", "each[0].look"),
        "each.tell": ("failed", "each[10].tell"),
        "last": ("queued", "last"),
        "error.notify": ("queued", "error.notify"),
    }
    assert "Succeeded · all 12" in page
    assert "Failed · 1 of 2" in page
    assert "Inside Each: It begins with Look. Look leads to Tell." in page
    near = shown(client, run, "each[11].look")
    assert nodes(near)["each.tell"] == ("failed", "each[11].tell"), "what is looked at stays the same round"
    assert re.search(r'data-id="each.look" data-state="succeeded" aria-current="true"', near)

    make_attempt(run, "error", status="open", kind="on_error")
    make_attempt(run, "error.notify")
    assert nodes(shown(client, run, "last"))["error.notify"] == ("succeeded", "error.notify")


def test_a_step_that_the_sub_flow_does_not_have_is_not_found() -> None:
    answer = signed_in().get(f"/runs/{nested_run().public_id}", {"step": "again[1].sub/nowhere"})

    assert answer.status_code == 404


def test_a_request_inside_a_sub_flow_is_told_by_the_sub_flows_own_document() -> None:
    """A step of the same name in the run's own flow has a payload of the system's; this one's is put together around the sub-flow."""
    asks = {"title": "May it?", "payload": {"amount": "{{ input.amount }}"}, "approvers": {"teams": ["finance"]}}
    inner = make_flow(
        "asks", document=source_of({"ask": {"kind": "approval", "label": "The inner one", "with": asks}}, ["start -> ask"])
    )
    steps = {
        "sub": subflow("asks"),
        "ask": {"kind": "approval", "label": "The outer one", "with": asks | {"payload": {"amount": 1}}},
    }
    run = make_run(make_flow(document=source_of(steps, ["start -> sub", "sub -> ask"])), status="waiting_approval")
    make_attempt(run, "sub", status="open", kind="subflow")
    checkpoint = {"flow": "asks", "number": 1, "version": str(inner.published_id), "input": {}}
    Attempt.objects.filter(run=run, path="sub").update(checkpoint=json.dumps(checkpoint))
    actor = make_actor("approver", team=make_team("finance"))
    request = make_request(run, payload={"amount": 7}, path="sub/ask")

    page = context_of(actor, request, record_of(actor, request))

    assert page.step == "The inner one"
    assert [value.by_model for value in page.arguments] == [True]
