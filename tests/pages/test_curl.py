"""What is copied as cURL does, with a key in it, what the button beside it does."""

from __future__ import annotations

import html
import json
import re
import shlex
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from approvals.actions.delegate import delegate_all
from approvals.actions.save_channel import add_channel
from approvals.actions.save_policy import save_policy
from flows.access.actions.invite_person import invite_person
from flows.access.actor import Actor
from flows.models import Budget, Firing, Person, Request, Run
from tests.makers import make_flow, make_key, make_person, make_request, make_run, make_team, make_trigger

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
    ],
)
def test_a_list_with_the_filters_of_its_page(address: str) -> None:
    owner = make_person("owner")

    [command] = copied(page_of(owner), address)
    answer = send(command, owner)

    assert answer.status_code == 200, answer.content
    query = address.partition("?")[2]
    assert all(each in command for each in query.split("&") if each), command
