"""Approvals and policies by command: the same verbs, rights and audit rows as on the pages."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from approvals.actions.save_policy import save_policy
from approvals.models import Delegation, Docket, PolicyVersion, Remark, Vote
from approvals.taking_up import take_up_new
from flows.engine.masking import MASK
from flows.models import AuditRow, Person, Request
from tests.engine.flows import source_of
from tests.makers import make_actor, make_flow, make_limit_question, make_person, make_request, make_run, make_team
from tests.runs.journals import make_call

pytestmark = pytest.mark.django_db

RULES = "teams: [finance]\ntools: [refunds.*]\nwhen: payload.amount > 250\n"


@pytest.fixture
def finance() -> list[Person]:
    return [make_person("approver", username=name, team=make_team("finance")) for name in ("ann", "bob")]


def refused(*words: str) -> str:
    with pytest.raises(CommandError) as refusal:
        call_command(*words)
    return str(refusal.value)


def test_requests_are_listed_shown_and_decided(finance: list[Person], capsys: Any) -> None:
    request = make_request()
    make_request(state="approved")
    take_up_new()

    call_command("approval", "list", "--as", "ann")
    said = capsys.readouterr()
    assert said.out.startswith(f"{request.public_id}: Refund 420 ")
    assert "1 of 1 in mine" in said.err
    call_command("approval", "show", request.public_id, "--as", "ann")
    shown = capsys.readouterr().out
    assert request.payload_hash in shown
    assert json.loads(shown[shown.index("{") :]) == {"amount": 420, "reason": "double"}
    assert "an outcome" not in shown
    words = ("approval", "decide", request.public_id, "approve", "--set", "amount=400", "--comment", "Twice", "--as", "ann")
    call_command(*words, "--revision", "1")

    assert "Approved by ann: Refund 420" in capsys.readouterr().out
    request.refresh_from_db()
    assert (request.state, json.loads(request.answer or "{}")["amount"]) == ("approved", 400)
    rows = AuditRow.objects.filter(subject=request.public_id).order_by("id")
    assert [(row.action, row.door, row.actor_name) for row in rows] == [
        ("approval.request", "worker", "approvals"),
        ("approval.view", "cli", "ann"),
        ("approval.decide", "cli", "ann"),
    ]
    call_command("approval", "list", "--box", "done", "--as", "ann")
    assert "Approved by ann" in capsys.readouterr().out


def test_the_list_is_narrowed_as_the_page_is(finance: list[Person], capsys: Any) -> None:
    low = make_request(terms={"risk": "low", "policy": "refunds"})
    make_request(terms={"risk": "high", "policy": "refunds"})
    edited = make_request(state="approved", answer='{"amount":1,"reason":"double"}', decided_by=finance[0])
    make_request(state="rejected", decided_by=finance[0])

    for words, only in ((("--risk", "low", "--policy", "refunds"), low), (("--box", "done", "--was", "edited"), edited)):
        call_command("approval", "list", *words, "--as", "ann")
        said = capsys.readouterr()
        assert said.out.startswith(only.public_id)
        assert said.err.startswith("1 of 1")


def test_a_hidden_field_is_not_shown_and_decided_as_it_was(finance: list[Person], capsys: Any) -> None:
    schema = {"type": "object", "properties": {"card": {"type": "string", "x-mask": "secret"}}}
    source = source_of({"a": {"kind": "set", "with": {"values": {"x": 1}}}}, ["start -> a"], input=schema)
    run = make_run(make_flow("kept", document=source), status="waiting_approval", input=json.dumps({"card": "4111-2222"}))
    request = make_request(run, payload={"card": "4111-2222", "sum": 3}, terms={"editable": ["card", "sum"]})
    decide = ("approval", "decide", request.public_id, "approve", "--revision", "1", "--as", "ann")

    call_command("approval", "list", "--as", "ann")
    call_command("approval", "show", request.public_id, "--as", "ann")

    said = capsys.readouterr()
    assert "4111" not in said.out + said.err
    assert json.loads(said.out[said.out.index("{") :]) == {"card": MASK, "sum": 3}
    assert "payload.card" in refused(*decide, "--set", "card=5")
    call_command(*decide, "--set", "sum=4")
    assert json.loads(Request.objects.get().answer or "{}") == {"card": "4111-2222", "sum": 4}


def test_bad_decisions_change_nothing_and_say_why(finance: list[Person]) -> None:
    request = make_request()
    decide = ("approval", "decide", request.public_id)

    assert "changed" in refused(*decide, "approve", "--revision", "2", "--as", "ann")
    assert "Choose of: " in refused(*decide, "maybe", "--revision", "1", "--as", "ann")
    assert "payload.amount" in refused(*decide, "approve", "--revision", "1", "--set", "amount=much", "--as", "ann")
    assert "Only a person can decide" in refused(*decide, "approve", "--revision", "1")
    make_person("viewer", username="viv")
    assert "approvers of team finance" in refused(*decide, "approve", "--revision", "1", "--as", "viv")
    assert "no request" in refused("approval", "show", "req_nothing", "--as", "ann")
    assert not Vote.objects.exists()
    assert AuditRow.objects.filter(action="approval.refuse", door="cli").count() == 5


def test_what_people_do_beside_deciding(finance: list[Person], capsys: Any) -> None:
    request = make_request()
    name = request.public_id

    call_command("approval", "claim", name, "--as", "ann")
    call_command("approval", "assign", name, "--to", "ann", "--as", "ann")
    call_command("approval", "ask", name, "Was it charged twice?", "--to", "bob", "--as", "ann")
    call_command("approval", "comment", name, "It was", "--as", "bob")
    call_command("approval", "delegate", name, "--to", "bob", "--as", "ann")
    call_command("approval", "away", "--to", "bob", "--until", "2027-01-01T00:00Z", "--as", "ann")

    docket = Docket.objects.get(request=request)
    assert (docket.claimed_by, docket.assigned_to) == (finance[0], finance[0])
    assert [each.kind for each in Remark.objects.order_by("id")] == ["question", "answer"]
    assert Delegation.objects.filter(giver=finance[0], taker=finance[1]).count() == 2
    make_person("viewer", username="viv")
    assert "requests.decide" in refused("approval", "delegate", name, "--to", "viv", "--as", "ann")
    assert "no time" in refused("approval", "away", "--to", "bob", "--until", "soon", "--as", "ann")


def test_a_limit_is_raised_by_command(capsys: Any) -> None:
    make_person("owner", username="olga")
    request = make_limit_question()

    call_command("approval", "decide", request.public_id, "raise", "--revision", "1", "--set", "limit=2.50", "--as", "olga")

    assert Request.objects.get().outcome == "raise"


def test_policies_are_tried_saved_listed_and_retired(finance: list[Person], tmp_path: Path, capsys: Any) -> None:
    make_person("owner", username="olga")
    file = tmp_path / "refunds.yaml"
    file.write_text(RULES)
    run = make_run(make_flow("refund"), status="succeeded")
    for number, amount in enumerate((100, 900)):
        make_call(run, f"pay_{number}", kind="tool", target="refunds.create", request={"amount": amount})

    call_command("policy", "try", str(file), "--as", "olga")
    assert "It would have asked 1 times in 1 runs" in capsys.readouterr().out
    assert not PolicyVersion.objects.exists()
    call_command("policy", "save", "refunds", str(file), "--name", "Refunds over 250", "--as", "olga")
    call_command("policy", "list", "--as", "ann")
    assert "refunds v1: Refunds over 250: 1 of finance; never the starter; no deadline" in capsys.readouterr().out
    call_command("policy", "show", "refunds")
    assert json.loads(capsys.readouterr().out)["when"] == "payload.amount > 250"
    file.write_text(RULES + "quorum: 3\n")
    assert "quorum: 3 votes are needed and only 2 may decide" in refused("policy", "save", "refunds", str(file), "--as", "olga")
    assert "policies.manage" in refused("policy", "save", "refunds", str(file), "--as", "ann")
    assert "cannot be read" in refused("policy", "try", str(tmp_path / "nowhere.yaml"))
    call_command("policy", "retire", "refunds", "--as", "olga")
    call_command("policy", "list")
    assert "refunds v1 (no longer in force)" in capsys.readouterr().out


def test_health_is_told_by_policy_and_person(finance: list[Person], capsys: Any) -> None:
    save_policy(make_actor("owner"), "refunds", "Refunds", {"teams": ["finance"]})
    request = make_request(terms={"policy": "refunds", "policy_version": 1})
    call_command("approval", "decide", request.public_id, "approve", "--revision", "1", "--as", "ann")
    capsys.readouterr()

    call_command("policy", "health", "--as", "ann")

    told = capsys.readouterr().out
    assert "refunds: 1 asked, 1 decided, median " in told
    assert "ann: 1 decided" in told
