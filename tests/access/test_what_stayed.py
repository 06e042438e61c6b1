"""What runs leave behind, memories and pinned results, is shown without what is hidden of them: on pages, by API and by command."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.test import Client

from flows.access.actor import Actor
from flows.builder.editing.samples import pinned
from flows.engine.masking import MASK
from flows.models import Flow, MemoryEntry, Person, Pin, Run, ToolEntry
from flows.runs.actions.pin_output import pin_output
from orchestrator.retention.purge import remove_payloads
from tests.makers import make_flow, make_key, make_memory, make_person, make_run
from tests.runs.journals import make_attempt

pytestmark = pytest.mark.django_db

CARD = "4111-2222-3333"
DOCUMENT = """\
orchestrator: 1
name: Kept
input: {type: object, properties: {card: {type: string, x-mask: secret}}}
steps:
  copy: {kind: set, with: {values: {said: "{{ input.card }}"}}}
  ask:
    kind: model
    with: {route: r, prompt: x, output: {type: object, properties: {iban: {type: string, x-mask: personal}, ok: {type: boolean}}}}
edges: [start -> copy, copy -> ask]
"""


@pytest.fixture
def owner() -> Person:
    return make_person("owner")


@pytest.fixture
def flow() -> Flow:
    return make_flow("kept", document=DOCUMENT)


def given(flow: Flow) -> Run:
    return make_run(flow, status="succeeded", input=json.dumps({"card": CARD}))


def reader(person: Person) -> Client:
    """Signed in, and with a key."""
    client = Client(headers={"Authorization": f"Bearer {make_key(person, 'admin')[1]}"})
    client.force_login(person)
    return client


def everywhere(client: Client, entry: MemoryEntry) -> list[str]:
    """What each place shows of a memory."""
    by_command = StringIO()
    call_command("memory", "list", stdout=by_command)
    call_command("memory", "show", entry.public_id, stdout=by_command)
    addresses = ("/memory", f"/memory/{entry.public_id}", "/api/v1/memory", f"/api/v1/memory/{entry.public_id}")
    return [client.get(address).content.decode() for address in addresses] + [by_command.getvalue()]


def test_a_memory_is_shown_without_what_is_hidden_of_the_run_that_set_it(flow: Flow, owner: Person) -> None:
    client = reader(owner)
    entry = make_memory(flow, "payer", {"card": CARD, "note": f"paid by {CARD}", "city": "Vigo"}, run=given(flow), path="keep")

    for shown in everywhere(client, entry):
        assert CARD not in shown
        assert MASK in shown or "\\u2022" in shown
        assert "Vigo" in shown
    assert client.get("/api/v1/memory?text=Vigo").json()["items"]
    assert not client.get("/api/v1/memory?text=4111").json()["items"], "nobody finds it by guessing"


def test_once_the_payloads_of_its_run_are_gone_all_of_it_is_hidden(flow: Flow, owner: Person) -> None:
    run = given(flow)
    entry = make_memory(flow, "payer", {"card": CARD, "city": "Vigo"}, run=run)
    remove_payloads([run.id])

    for shown in everywhere(reader(owner), entry):
        assert CARD not in shown
        assert "Vigo" not in shown


def test_a_correction_that_still_holds_the_mask_is_refused(flow: Flow, owner: Person) -> None:
    client = reader(owner)
    entry = make_memory(flow, "payer", {"card": CARD, "city": "Vigo"}, run=given(flow))
    address = f"/api/v1/memory/{entry.public_id}"

    kept = client.put(address, {"value": {"card": MASK, "city": "Lugo"}}, content_type="application/json")
    assert kept.status_code == 422
    assert "still holds" in kept.json()["problems"][0]["message"]
    assert json.loads(MemoryEntry.objects.get().value)["card"] == CARD
    assert client.put(address, {"value": {"city": "Lugo"}}, content_type="application/json").status_code == 200


def test_a_pinned_result_is_shown_without_what_its_run_or_its_step_hides_and_used_as_it_is(flow: Flow, owner: Person) -> None:
    client, actor = reader(owner), Actor(person=owner)
    pin_output(actor, "kept", "copy", {"said": f"card {CARD}"}, run=given(flow))
    pin_output(actor, "kept", "ask", {"iban": "ES9121000418", "ok": True}, edited=True)

    listed = {each["step"]: each["output"] for each in client.get("/api/v1/flows/kept/pins").json()}

    assert listed == {"copy": {"said": f"card {MASK}"}, "ask": {"iban": MASK, "ok": True}}
    sample = pinned(flow).outputs
    assert [sample[name]["output"] for name in ("copy", "ask")] == [listed["copy"], listed["ask"]]
    assert CARD in Pin.objects.get(path="copy").output
    sent = client.put(
        "/api/v1/flows/kept/pins/ask", {"output": {"iban": "ES9121000418", "ok": False}}, content_type="application/json"
    )
    assert sent.json()["output"] == {"iban": MASK, "ok": False}


def test_a_test_shows_no_more_of_what_stands_in_for_its_steps_than_where_that_comes_from(flow: Flow, owner: Person) -> None:
    """Pinned results of a marked tool, those of a run that hides its input, and results of earlier runs: on the page of the test, on
    that of its run, and over the API."""
    result = {"type": "object", "properties": {"iban": {"type": "string", "x-mask": "personal"}, "ok": {"type": "boolean"}}}
    ToolEntry.objects.create(slug="bank.look", kind="python", effect="read", repeat="freely", result=result)
    tool = "  look: {kind: tool, with: {tool: bank.look, arguments: {}}}\n"
    tried = make_flow(
        "tried", document=DOCUMENT.replace("  ask:", f"{tool}  ask:").replace("copy -> ask", "copy -> look, look -> ask")
    )
    earlier = make_run(tried, status="succeeded", input=json.dumps({"card": "4999-8888-7777"}))
    pin_output(Actor(person=owner), "tried", "copy", {"said": f"card {CARD}"}, run=given(tried))
    sources = {"copy": "pinned", "look": "pinned", "ask": f"run #{earlier.number}"}
    run = make_run(tried, purpose="test", status="succeeded", input="{}", handling={"dry": True, "sources": sources})
    outputs = {
        "copy": {"said": f"card {CARD}"},
        "look": {"iban": "ES9121000418", "ok": True},
        "ask": {"said": "of 4999-8888-7777"},
    }
    for path, output in outputs.items():
        make_attempt(run, path, output=output)
    client = reader(owner)

    for address in (f"/flows/tried/tests/{run.public_id}", f"/runs/{run.public_id}?step=look", f"/api/v1/runs/{run.public_id}"):
        answer = client.get(address)
        shown = answer.content.decode()
        assert answer.status_code == 200, address
        assert MASK in shown or json.dumps(MASK)[1:-1] in shown, address
        for secret in (CARD, "ES9121000418", "4999-8888-7777"):
            assert secret not in shown, (address, secret)
