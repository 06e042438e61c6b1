"""Policies: who decides, by which version, and what cannot be saved."""

import json
from typing import Any

import pytest

from approvals.actions.save_policy import PolicyChanged, retire_policy, save_policy
from approvals.models import Policy, PolicyVersion
from approvals.policies.ruling import rule_on
from approvals.policies.settings import read_settings
from approvals.policies.trying import tried_on_last_runs
from flows.access.actor import Actor
from flows.access.refusals import Forbidden, Invalid
from flows.engine.failures import BadRequest
from flows.models import AuditRow, Person
from flows.steps.services import Occasion
from tests.makers import make_actor, make_flow, make_person, make_run, make_team
from tests.runs.journals import make_call

pytestmark = pytest.mark.django_db

OUTCOMES = {"yes": "approve", "no": "reject"}


@pytest.fixture
def owner() -> Actor:
    return make_actor("owner", username="owner-1")


@pytest.fixture
def finance() -> list[Person]:
    return [make_person("approver", username=f"approver-{n}", team=make_team("finance")) for n in (1, 2)]


def rules(**more: Any) -> dict[str, Any]:
    return {"teams": ["finance"], "tools": ["refunds.*"], "when": "payload.amount > 250", **more}


def occasion(amount: float = 420, **more: Any) -> Occasion:
    given: dict[str, Any] = {"policy": None, "tool": "refunds.create", "flow": "refund", "payload": {"amount": amount}}
    return Occasion(**{**given, "outcomes": OUTCOMES, "editable": ["amount", "note"], **more})


def test_POL_1_saving_makes_the_next_version_and_the_ones_before_stay(owner: Actor, finance: list[Person]) -> None:
    save_policy(owner, "refunds", "Refunds", rules())
    save_policy(owner, "refunds", "Refunds", rules(when="payload.amount > 500"), based_on=1)
    save_policy(owner, "refunds", "Refunds", rules(when="payload.amount > 500"))  # as it stands already

    assert [each.rules["when"] for each in PolicyVersion.objects.order_by("number")] == [
        "payload.amount > 250",
        "payload.amount > 500",
    ]
    with pytest.raises(PolicyChanged):
        save_policy(owner, "refunds", "Refunds", rules(), based_on=1)


def test_POL_5_every_edit_is_in_the_audit_log_with_before_and_after(owner: Actor, finance: list[Person]) -> None:
    save_policy(owner, "refunds", "Refunds", rules())
    save_policy(owner, "refunds", "Refunds", rules(quorum=2))
    retire_policy(owner, "refunds")

    first, second, third = AuditRow.objects.filter(subject="refunds").order_by("id")
    assert first.data["before"] is None
    assert (second.data["before"]["quorum"], second.data["after"]["quorum"]) == (1, 2)
    assert third.action == "policy.retire"


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ({"quorum": 3}, "quorum"),
        ({"teams": ["finance", "nobody"]}, "teams"),
        ({"people": ["ghost"]}, "people"),
        ({"teams": [], "people": []}, "people"),
        ({"when": "payload.amount >"}, "when"),
        ({"when": "steps.x.output"}, "when"),
        ({"chosen_by": "__import__('os')"}, "chosen_by"),
        ({"bulk": True, "risk": "high"}, "bulk"),
        ({"ladder": [{"after": "1h", "act": "approve"}]}, "ladder.0.act"),
        ({"ladder": [{"after": "1h", "act": "reject"}, {"after": "2h", "act": "remind"}]}, "ladder.0.act"),
        ({"ladder": [{"after": "2h", "act": "remind"}, {"after": "1h", "act": "reject"}]}, "ladder.1.after"),
        ({"ladder": [{"after": "soon", "act": "remind"}]}, "ladder.0.after"),
        ({"each_team": True, "quorum": 1, "teams": ["finance", "legal"]}, "quorum"),
        ({"channels": ["Finance chat"]}, "channels"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_POL_3_what_nobody_can_satisfy_or_read_is_refused_by_its_field(
    owner: Actor, finance: list[Person], more: dict[str, Any], place: str
) -> None:
    make_team("legal")

    with pytest.raises(Invalid) as refusal:
        save_policy(owner, "refunds", "Refunds", rules(**more))

    assert place in [fault.place for fault in refusal.value.problems]
    assert not Policy.objects.exists()


def test_POL_3_one_person_cannot_be_the_vote_of_two_teams(owner: Actor) -> None:
    both = make_person("approver", username="both", team=make_team("finance"))
    both.memberships.create(team=make_team("legal"), role="approver")
    wanted = rules(teams=["finance", "legal"], each_team=True, quorum=2)

    with pytest.raises(Invalid):
        save_policy(owner, "refunds", "Refunds", wanted)
    make_person("approver", team=make_team("legal"))
    assert save_policy(owner, "refunds", "Refunds", wanted).number == 1


@pytest.mark.parametrize("role", ["viewer", "operator", "approver", "builder", "auditor"])
def test_only_owners_save(role: str, finance: list[Person]) -> None:
    with pytest.raises(Forbidden):
        save_policy(make_actor(role), "refunds", "Refunds", rules())


def test_it_rules_by_what_is_asked(owner: Actor, finance: list[Person]) -> None:
    ladder = [{"after": "10m", "act": "remind"}, {"after": "4h", "act": "reject"}]
    save_policy(owner, "refunds", "Refunds over 250", rules(editable=["amount"], ladder=ladder, risk="high"))

    ruling = rule_on(occasion())

    assert ruling is not None
    assert (ruling.asks, ruling.policy, ruling.due) == (True, "refunds v1", 4 * 3600)
    terms = ruling.terms
    assert terms["approvers"] == {"people": [], "teams": ["finance"]}
    assert (terms["editable"], terms["at_deadline"], terms["values"]) == (["amount"], "no", {"amount": 420})
    assert json.dumps(terms)
    below = rule_on(occasion(100))
    assert below is not None
    assert not below.asks
    assert rule_on(occasion(tool="mail.send")) is None
    assert rule_on(occasion(policy="refunds", tool="mail.send")) is not None


def test_the_payload_may_choose_who_decides(owner: Actor, finance: list[Person]) -> None:
    make_person("approver", username="ann", team=make_team("legal"))
    chosen_by = "['legal', 'approver-1'] if payload.amount > 5000 else payload.nobody"
    save_policy(owner, "refunds", "Refunds", rules(chosen_by=chosen_by.replace("payload.nobody", "'ghost'")))

    large, small = rule_on(occasion(9000)), rule_on(occasion(300))

    assert large is not None
    assert small is not None
    assert large.terms["approvers"] == {"people": ["approver-1"], "teams": ["legal"]}
    assert small.terms["approvers"] == {"people": [], "teams": ["finance"]}


def test_a_rule_that_cannot_be_evaluated_or_is_out_of_force_fails_the_step_in_words(owner: Actor, finance: list[Person]) -> None:
    save_policy(owner, "refunds", "Refunds", rules())

    with pytest.raises(BadRequest, match="refunds v1"):
        rule_on(occasion(payload={"other": 1}))
    with pytest.raises(BadRequest, match="no policy 'ghost'"):
        rule_on(occasion(policy="ghost"))
    retire_policy(owner, "refunds")
    with pytest.raises(BadRequest):
        rule_on(occasion(policy="refunds"))
    assert rule_on(occasion()) is None


def test_POL_2_trying_lists_the_calls_of_past_runs_and_changes_nothing(owner: Actor, finance: list[Person]) -> None:
    run = make_run(make_flow("refund"), status="succeeded")
    for number, amount in enumerate((100, 300, 900)):
        make_call(run, f"pay_{number}", kind="tool", target="refunds.create", request={"amount": amount})
    make_call(run, "odd", kind="tool", target="refunds.create", request={"sum": 1})
    make_call(run, "mail", kind="tool", target="mail.send", request={"amount": 900})
    before = AuditRow.objects.count()

    trial = tried_on_last_runs(owner, read_settings(rules()))

    assert {each.path for each in trial.asked} == {"pay_1", "pay_2"}
    assert [each.path for each in trial.failed] == ["odd"]
    assert (trial.runs, trial.calls) == (1, 4)
    assert AuditRow.objects.count() == before
    assert not Policy.objects.exists()
