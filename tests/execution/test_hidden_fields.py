"""A field that its schema marks goes through every door of a run: pages, lists, answers, exports, logs, notices, sockets. It is
shown nowhere, until somebody with the right looks, and that is written down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from approvals.models import Channel, Notice
from approvals.notices.messages import chat_body, mail_of, webhook_body
from approvals.rules import edited_payload
from approvals.taking_up import take_up_new
from flows.access.refusals import Invalid
from flows.builder.editing.samples import last_run
from flows.engine.masking import MASK
from flows.models import AllowedHost, AuditRow, Firing, Flow, Person, Request, Run, ToolEntry
from flows.runs.actions.start_run import start_run
from flows.runs.live import _hiding
from flows.triggers.actions.use_as_sample import use_as_sample
from tests.engine.flows import source_of
from tests.execution.conftest import Drive
from tests.execution.runs import approval, finish, make_model, model, reach
from tests.execution.runs import tool as tool_step
from tests.makers import make_actor, make_flow, make_key, make_person, make_request, make_run, make_team, make_trigger
from tests.servers.effect_server import EffectServer
from tests.servers.loopback import running

CARD = "4111-2222-3333-4444"
TOKEN = "tool said hush 99"
SCHEMA = {
    "type": "object",
    "properties": {"card": {"type": "string", "x-mask": "secret"}, "name": {"type": "string"}},
    "required": ["card", "name"],
}

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def effects() -> Iterator[EffectServer]:
    with running(EffectServer()) as server:
        AllowedHost.objects.create(host=server.host)
        yield server


def leaks(texts: dict[str, str]) -> list[str]:
    """What is shown that must not be: where, and around what."""
    found = [(at, text, form) for at, text in texts.items() for form in ("4111-2222", "hush 99") if form in text]
    return [f"{at}: …{text[max(0, text.index(form) - 160) : text.index(form) + 40]}" for at, text, form in found]


def a_flow() -> Flow:
    """It sends the card to a model and a tool, asks people with it, and says it in its output."""
    steps: dict[str, Any] = {
        "say": model("Charge {{ input.card }} of {{ input.name }}"),
        "ask": approval(
            title="Charge {{ input.card }}", payload={"card": "{{ input.card }}", "sum": 3, "said": "{{ steps.say.output }}"},
            show={"number": "{{ input.card }}"}, editable=["sum", "card"],
        ),
        "charge": tool_step("charge", {"note": "for {{ input.card }}", "token": TOKEN}),
    }  # fmt: skip
    edges = ["start -> say", "say -> ask", "ask.approve -> charge"]
    output = {"said": "{{ steps.say.output }}", "card": "{{ input.card }}"}
    return make_flow("charging", document=source_of(steps, edges, input=SCHEMA, output=output))


def a_catalogue(effects: EffectServer) -> None:
    make_model("sim-a")
    ToolEntry.objects.create(
        slug="charge", kind="http", effect="write", repeat="keyed",
        settings={"method": "POST", "url": f"{effects.base}/effect"},
        arguments={"type": "object", "properties": {"note": {"type": "string"}, "token": {"type": "string", "format": "password"}}},
    )  # fmt: skip


def shown_of(run: Run, person: Person) -> dict[str, str]:
    """All that pages, API and exports show of the run to somebody who may see everything."""
    page, headers = Client(), {"Authorization": f"Bearer {make_key(person, 'admin')[1]}"}
    page.force_login(person)
    here, there = f"/runs/{run.public_id}", f"/api/v1/runs/{run.public_id}"
    asked = Request.objects.filter(run=run).first()
    pages = [f"{here}?tab={tab}" for tab in ("overview", "timeline", "events", "io", "cost", "approvals")]
    pages += [f"{here}?step={step}" for step in ("say", "ask", "charge")] + [f"{here}/hidden-fields"]
    pages += [here + "/events.jsonl", "/runs", "/runs/export.csv", "/runs/export.json", "/audit", "/audit/export.jsonl", "/"]
    pages += [f"/runs/compare?a={run.public_id}&b={run.public_id}&only=all", f"/flows/charging/run?from={run.public_id}"]
    pages += ["/approvals?box=all", "/approvals?box=done", "/flows/charging", "/flows/charging/tests"]
    pages += [f"/costs/calls/{call['id']}" for call in Client().get(there + "/calls", headers=headers).json()["items"]]
    api = ["", "/events", "/calls"]
    addresses = [there + part for part in api] + ["/api/v1/runs", "/api/v1/approvals?box=all", "/api/v1/audit"]
    if asked is not None:
        pages.append(f"/approvals/{asked.public_id}")
        addresses.append(f"/api/v1/approvals/{asked.public_id}")
    answers = {address: page.get(address) for address in pages}
    answers |= {address: Client().get(address, headers=headers) for address in addresses}
    assert {each.status_code for each in answers.values()} == {200}, {at: each.status_code for at, each in answers.items()}
    return {
        at: (b"".join(each) if each.streaming else each.content).decode()  # type: ignore[arg-type]
        for at, each in answers.items()
    }


def test_a_hidden_field_is_shown_by_no_door(drive: Drive, effects: EffectServer) -> None:
    a_catalogue(effects)
    finance = make_team("finance")
    make_person("approver", team=finance)
    Channel.objects.create(name="chat", kind="chat", address="https://chat.example.com/x", events=[])
    owner = make_person("owner")
    drive()
    run = start_run(make_actor("operator"), a_flow().slug, {"card": CARD, "name": "Ann"})
    reach(run, "waiting_approval")
    take_up_new()

    waiting = shown_of(Run.objects.get(id=run.id), owner)
    assert leaks(waiting) == []
    assert MASK in waiting[f"/approvals/{Request.objects.get(run=run).public_id}"]
    notices = {each.key: json.dumps([mail_of(each), chat_body(each), webhook_body(each)]) for each in Notice.objects.all()}
    assert notices
    assert leaks(notices) == []

    request = Request.objects.get(run=run)
    page = Client()
    page.force_login(make_person("approver", team=finance))
    sent = page.post(f"/approvals/{request.public_id}/decisions", {"outcome": "approve", "revision": 1, "edit-sum": "3"})
    assert sent.status_code == 302, sent.content
    ended = finish(run)

    assert ended.status == "succeeded", ended.error
    assert effects.effects[0]["body"] == {"note": f"for {CARD}", "token": TOKEN}  # what was sent is as it was
    done = shown_of(ended, owner)
    assert leaks(done) == []
    assert leaks({row.action: json.dumps(row.data) for row in AuditRow.objects.all()}) == []
    assert "Ann" in done[f"/api/v1/runs/{run.public_id}"]  # what is not marked is shown


def a_run(status: str = "succeeded") -> Run:
    flow = make_flow(
        "kept", document=source_of({"a": {"kind": "set", "with": {"values": {"x": 1}}}}, ["start -> a"], input=SCHEMA)
    )
    return make_run(flow, status=status, input=json.dumps({"card": CARD, "name": "Ann"}))


def test_an_error_that_says_it_is_shown_and_found_without_it() -> None:
    run = a_run("failed")
    Run.objects.filter(id=run.id).update(error=json.dumps({"step": "a", "class": "refused", "message": f"no {CARD} for Ann"}))
    owner = make_person("owner")
    page, key = Client(), make_key(owner, "admin")[1]
    page.force_login(owner)

    lists = {at: page.get(at).content.decode() for at in ("/runs", "/", f"/runs/{run.public_id}")}
    assert leaks(lists) == []
    assert f"no {MASK} for Ann" in lists["/runs"]
    for address, found in (("error=4111", 0), ("error=refused", 1)):
        answer = Client().get(f"/api/v1/runs?{address}", headers={"Authorization": f"Bearer {key}"})
        assert len(answer.json()["items"]) == found, address
        assert leaks({address: answer.content.decode()}) == []


def test_looking_needs_the_right_is_a_post_lasts_a_minute_and_is_written_down() -> None:
    run, viewer, owner = a_run(), Client(), Client()
    viewer.force_login(make_person("operator"))
    owner.force_login(make_person("owner"))
    address = f"/runs/{run.public_id}/hidden-fields"

    assert viewer.post(address).status_code == 403
    assert leaks({"get": owner.get(address).content.decode()}) == []
    looked = owner.post(address)

    assert CARD in looked.content.decode()
    assert looked["Refresh"] == f"60; url={address}"
    assert looked["Cache-Control"] == "no-store"
    row = AuditRow.objects.get(action="run.reveal")
    assert (row.subject, row.data["fields"]) == (run.public_id, ["input.card"])


def test_the_api_shows_it_to_the_right_alone() -> None:
    run = a_run()
    address = f"/api/v1/runs/{run.public_id}/reveal"
    owner = make_person("owner")

    refused = Client().post(address, headers={"Authorization": f"Bearer {make_key(owner, 'runs:write')[1]}"})
    given = Client().post(address, headers={"Authorization": f"Bearer {make_key(owner, 'admin')[1]}"})

    assert refused.status_code == 403
    assert given.json() == {"items": [{"place": "input.card", "value": CARD}]}


def test_the_run_form_and_the_builder_begin_without_it() -> None:
    run = a_run()
    owner = make_actor("owner")
    page = Client()
    page.force_login(owner.person)  # type: ignore[arg-type]

    form = page.get(f"/flows/kept/run?from={run.public_id}").content.decode()

    assert leaks({"form": form, "sample": str(last_run(owner, run.flow))}) == []
    assert MASK in str(last_run(owner, run.flow).input)


def test_the_socket_only_tells_that_something_happened() -> None:
    assert _hiding({a_run("running").id}) != set()
    assert _hiding({make_run().id}) == set()


def test_a_delivery_is_listed_without_it_also_where_it_was_refused() -> None:
    run = a_run()
    trigger = make_trigger(run.flow, "webhook", mapping={"card": "{{ body.cc }}", "name": "{{ body.name }}"})
    bodies = [{"cc": CARD, "name": "Ann"}, {"card": CARD}]
    firings = [Firing.objects.create(trigger=trigger, outcome="refused", body=json.dumps(body)) for body in bodies]
    page = Client()
    page.force_login(make_person("owner"))

    assert leaks({"page": page.get(f"/triggers/{trigger.public_id}").content.decode()}) == []
    sample = use_as_sample(make_actor("owner"), trigger, firings[0]).settings["sample"]
    assert sample == {"cc": MASK, "name": "Ann"}


def test_what_came_back_as_its_mask_is_as_it_was_and_nothing_hidden_is_edited() -> None:
    request = make_request(a_run("waiting_approval"), payload={"card": CARD, "sum": 3}, terms={"editable": ["card", "sum"]})

    assert edited_payload(request, {"card": MASK, "sum": 4}) == ({"card": CARD, "sum": 4}, ["sum"])
    with pytest.raises(Invalid) as refused:
        edited_payload(request, {"card": "5", "sum": 3})
    assert refused.value.problems[0].place == "payload.card"
