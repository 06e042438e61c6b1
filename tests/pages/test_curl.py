"""What is copied as cURL does, with a key in it, what the button beside it does."""

from __future__ import annotations

import html
import json
import re
import shlex
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from approvals.actions.delegate import delegate_all
from approvals.actions.save_channel import add_channel
from approvals.actions.save_policy import save_policy
from flows.access.actions.invite_person import invite_person
from flows.access.actions.put_secret import put_secret
from flows.access.actor import Actor
from flows.access.curl import curl
from flows.models import Budget, Firing, Flow, ModelEntry, Person, Request, Run, ToolEntry
from tests.makers import (
    DOCUMENT,
    make_base,
    make_flow,
    make_key,
    make_memory,
    make_person,
    make_request,
    make_run,
    make_team,
    make_trigger,
    make_versioned_route,
)
from tests.runs.journals import make_call

pytestmark = pytest.mark.django_db


def copied(client: Client, address: str) -> list[str]:
    """The commands that a page offers to copy."""
    answer = client.get(address)
    assert answer.status_code == 200, address
    return [html.unescape(each) for each in re.findall(r'data-copy="(curl [^"]*)"', answer.content.decode())]


def address_of(command: str) -> str:
    return next(word for word in shlex.split(command) if word.startswith("http://"))


def send(command: str, person: Person) -> Any:
    """What the API answers to a command, after a key has been put in."""
    words = shlex.split(command.replace("$ORCHESTRATOR_KEY", make_key(person, "admin")[1]))
    method = words[words.index("-X") + 1] if "-X" in words else "GET"
    headers = dict(words[at + 1].split(": ", 1) for at, word in enumerate(words) if word == "-H")
    body = words[words.index("--data-binary") + 1] if "--data-binary" in words else ""
    path = address_of(command).removeprefix("http://testserver")
    return Client().generic(method, path, body, content_type="application/json", headers=headers)


def page_of(person: Person) -> Client:
    client = Client()
    client.force_login(person)
    return client


@pytest.mark.parametrize(("status", "page"), [("running", "cancellation"), ("waiting", "pause"), ("failed", "retry")])
def test_the_verbs_of_a_run(status: str, page: str) -> None:
    owner, run = make_person("owner"), make_run(status=status)

    [command] = copied(page_of(owner), f"/runs/{run.public_id}/{page}")
    answer = send(command, owner)

    assert answer.status_code == 202, answer.content
    run = Run.objects.get(id=run.id)
    done = {"cancellation": run.cancel_requested, "pause": run.paused, "retry": run.status == "queued"}
    assert done[page]


def test_each_outcome_of_a_decision() -> None:
    approver, request = make_person("approver", team=make_team("finance")), make_request()

    commands = copied(page_of(approver), f"/approvals/{request.public_id}")
    rejecting = next(each for each in commands if '"reject"' in each)
    answer = send(rejecting, approver)

    assert answer.status_code == 200, answer.content
    assert Request.objects.get(id=request.id).state == "rejected"
    assert {json.loads(shlex.split(each)[-1])["outcome"] for each in commands if "/decisions" in each} == {
        "approve",
        "reject",
        "revise",
    }


def test_what_can_be_done_to_a_trigger() -> None:
    owner, flow = make_person("owner"), make_flow()
    trigger = make_trigger(flow, "webhook", owner=owner, sample={"name": "Ann"})
    Firing.objects.create(trigger=trigger, outcome="refused", body='{"name": "Ann"}')

    commands = copied(page_of(owner), f"/triggers/{trigger.public_id}")

    for part, status in (("firings", 202), ("replay", 202), ("pause", 200), ("secret", 200)):
        command = next(each for each in commands if address_of(each).endswith(f"/{part}"))
        answer = send(command, owner)
        assert answer.status_code == status, (command, answer.content)


def test_what_is_done_to_flows_people_budgets_and_all_of_it() -> None:
    owner = make_person("owner")
    make_flow("greet")
    make_flow("fresh", published=False)
    make_key(owner, "runs:read")
    Budget.objects.create(scope="all", period="month", cost="5.50")
    make_person("viewer", username="gone")
    pages = {
        "/flows/greet/pause": 200,
        "/flows/fresh/publication": 200,
        "/settings/keys": 204,
        "/settings/people/gone/deactivation": 422,  # it names a successor that is to be filled in
        "/budgets/edit?scope=all&subject=&period=month": 200,
        "/killswitch": 200,
    }

    for address, status in pages.items():
        commands = [each for each in copied(page_of(owner), address) if "-X" in each]
        assert commands, address
        answer = send(commands[0], owner)
        assert answer.status_code == status, (address, commands[0], answer.content)


def test_what_is_done_to_policies_notices_people_teams_keys_and_new_triggers() -> None:
    """Each button's command, once what stands there in capitals is filled in."""
    owner, team = make_person("owner"), make_team("finance")
    make_person("approver", username="ann", team=team)
    make_flow(
        "plain", document="orchestrator: 1\nname: Plain\nsteps: {a: {kind: set, with: {values: {x: 1}}}}\nedges: [start -> a]\n"
    )
    policy = save_policy(Actor(person=owner), "refunds", "Refunds", {"teams": ["finance"]}).policy
    channel, _ = add_channel(Actor(person=owner), "webhook", "Ops", "https://example.com/hook", [])
    invited, _ = invite_person(Actor(person=owner), [("viewer", None)])
    delegate_all(Actor(person=owner), "ann", timezone.now() + timedelta(days=2))
    bulk = {"policy": "refunds", "policy_version": 1, "bulk": True, "risk": "low"}
    request = make_request(terms=bulk)
    filled = {
        "TEAM": "finance",
        "TOOL": "refunds.*",
        "USERNAME": "ann",
        "SLUG": "fresh",
        "NAME": "Fresh",
        "https://…": "https://a.example",
    }
    chosen = {"item": f"{request.public_id}:1", "outcome": "approve"}
    together = page_of(owner).post("/approvals/bulk", chosen).content.decode()
    commands = [html.unescape(each) for each in re.findall(r'data-copy="(curl [^"]*)"', together)]
    for address in (
        "/approvals/policies/new",
        f"/approvals/policies/{policy.slug}",
        "/approvals/channels",
        "/approvals/settings",
        "/settings/people",
        "/settings/people/invite",
        "/settings/people/ann",
        "/settings/teams",
        "/settings/keys",
        "/triggers/new?kind=schedule&flow=plain",
        "/triggers/new?kind=webhook&flow=plain",
    ):
        commands += [each for each in copied(page_of(owner), address) if "-X" in each]
    done = set()
    for command in commands:
        answer = send(re.sub("|".join(filled), lambda found: filled[found[0]], command), owner)
        assert answer.status_code < 300, (command, answer.content)
        done.add(re.sub(r"\w+_[0-9a-f]{32}", "ID", address_of(command).partition("/v1/")[2]))

    assert len(done) >= 18, sorted(done)
    assert channel.kind == "webhook"
    assert invited.public_id


@pytest.mark.parametrize(
    "address",
    [
        "/runs?state=failed&started=24h&q=greet",
        "/approvals?box=all&risk=low&due=day",
        "/approvals?box=decided",
        "/approvals/policies",
        "/approvals/health",
        "/flows?status=live",
        "/triggers?kind=webhook",
        "/audit",
        "/models?provider=sim",
        "/tools",
        "/prices?model=small-1",
        "/budgets?status=at-risk",
        "/knowledge",
    ],
)
def test_a_list_with_the_filters_of_its_page(address: str) -> None:
    owner = make_person("owner")

    command = copied(page_of(owner), address)[0]
    answer = send(command, owner)

    assert answer.status_code == 200, answer.content
    query = address.partition("?")[2]
    assert all(each in command for each in query.split("&") if each), command


def test_a_table_of_costs_with_every_choice_of_its_page() -> None:
    owner, flow = make_person("owner"), make_flow("greet")
    run = make_run(flow, status="succeeded")
    make_call(run, "a", cost="0.5", started_at=datetime(2026, 7, 15, 12, tzinfo=UTC))
    make_call(run, "b", cost="0.25", target="other", started_at=datetime(2026, 7, 15, 12, tzinfo=UTC))
    make_call(make_run(make_flow("other")), "a", cost="4", started_at=datetime(2026, 7, 15, 12, tzinfo=UTC))
    address = f"/costs?from=2026-07-01&to=2026-07-15&by=model&flow=greet,none&model=small-1,other&run={run.public_id}"

    [command] = [each for each in copied(page_of(owner), address) if "/api/v1/costs" in each]
    answer = send(command, owner).json()

    assert {each["name"]: Decimal(each["cost"]) for each in answer["items"]} == {
        "small-1": Decimal("0.5"),
        "other": Decimal("0.25"),
    }
    assert Decimal(answer["total"]["cost"]) == Decimal("0.75"), "the last day is in it, other flows are not"
    for wrong in ("purpose=none", "version=x", "run=nonsense"):
        refused = send(curl("GET", f"http://testserver/api/v1/costs?{wrong}"), owner)
        assert [each["place"] for each in refused.json()["problems"]] == [wrong.partition("=")[0]], refused.content


def test_every_command_of_the_catalogues_pages_leads_to_an_operation(mail_server: None) -> None:
    """What a placeholder stands for is refused by name (422), or it cannot be now (409); nothing else goes wrong."""
    owner, flow = make_person("owner"), make_flow("greet")
    make_key(owner, "runs:read")
    base, document, _ = make_base("notes")
    entry = make_memory(flow)
    ToolEntry.objects.create(slug="look.up", kind="python", effect="read", repeat="freely", arguments={"type": "object"})
    put_secret(Actor(person=owner), "SPARE", "a-value-of-its-own", [], [])
    ModelEntry.objects.create(slug="spare", model="sim/spare")
    route = make_versioned_route("balanced", "spare")
    pages = {
        "/models/spare": 3,
        "/models/new": 1,
        f"/routes/{route.slug}": 2,
        f"/routes/{route.slug}/edit": 3,
        "/routes/new": 1,
        "/tools/look.up": 3,
        "/secrets": 2,
        "/connections": 1,
        f"/knowledge/{base.slug}": 2,
        f"/knowledge/{base.slug}/removal": 1,
        f"/knowledge/{base.slug}/documents/{document.public_id}/removal": 1,
        "/knowledge/new": 1,
        f"/memory/{entry.public_id}": 1,
        f"/memory/{entry.public_id}/removal": 1,
        "/prices/new": 1,
        "/prices/import": 1,
        "/flows/greet/drills": 1,
        "/settings/general": 2,
        "/settings/data": 1,
        "/me": 1,
    }

    for address, least in pages.items():
        commands = [each for each in copied(page_of(owner), address) if "-X" in each]
        assert len(commands) >= least, (address, commands)
        for command in commands:
            with transaction.atomic():
                status = send(command, owner).status_code
                transaction.set_rollback(True)
            assert status in (200, 201, 202, 204, 409, 422), (address, command, status)


def test_going_back_to_a_version_live_and_as_the_draft() -> None:
    owner, flow = make_person("owner"), make_flow("greet")
    changed = DOCUMENT.replace("Hello", "Good day")
    headers = {"Authorization": f"Bearer {make_key(owner, 'admin')[1]}", "If-Match": f'"{flow.revision}"'}
    put = Client().put("/api/v1/flows/greet", changed, content_type="application/yaml", headers=headers)
    assert put.status_code == 200, put.content
    published = Client().post("/api/v1/flows/greet/publication", {}, content_type="application/json", headers=headers)
    assert published.json().get("version") == 2, published.content

    [command] = [each for each in copied(page_of(owner), "/flows/greet/versions/1/rollback") if "-X" in each]
    assert send(command, owner).json()["version"] == 3
    assert send(command, owner).status_code == 409, "another version is live by now"
    [restoring] = [each for each in copied(page_of(owner), "/flows/greet?tab=versions") if '"version": 1' in each]
    assert "Hello" in send(restoring, owner).json()["document"]
    assert "Hello" in Flow.objects.get(slug="greet").draft
