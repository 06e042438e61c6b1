"""Approvals in a browser: the checks APR, APP and POL of the interaction specification that need one."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from playwright.sync_api import expect

from approvals.actions.save_policy import save_policy
from approvals.deadlines import expire_due
from approvals.models import Notice, PolicyVersion, Vote
from approvals.notices.messages import chat_body
from flows.access.actor import Actor
from flows.models import AuditRow, Person, Request, RunPass
from flows.runs.actions.cancel_run import cancel_run
from tests.makers import make_actor, make_flow, make_key, make_limit_question, make_person, make_request, make_run, make_team
from tests.pages.test_approvals import DOCUMENT
from tests.runs.journals import make_attempt, make_call

BULK = {
    "policy": "refunds",
    "policy_name": "Refunds",
    "policy_version": 1,
    "bulk": True,
    "tool": "refunds.create",
    "risk": "medium",
}


@pytest.fixture
def finance(person: Any) -> Person:
    held: Person = person("approver-1")
    held.memberships.update(team=make_team("finance"))
    return held


@pytest.fixture
def second(site: Any) -> Person:
    return make_person("approver", username="approver-2", team=make_team("finance"))


def at(request: Request) -> str:
    return f"/approvals/{request.public_id}"


def press(visit: Any, *keys: str) -> None:
    visit.page.wait_for_selector("html[data-scripted]")  # a key, unlike a click, waits for nothing
    for key in keys:
        visit.page.keyboard.press(key)


def test_APR_2_five_requests_are_cleared_by_the_keyboard_alone(visit: Any, finance: Person) -> None:
    finance.memberships.create(role="operator")
    for hours in range(1, 5):
        make_request(
            due=timezone.now() + timedelta(hours=hours), terms={"policy_version": 2, "policy": "refunds", "policy_name": "R"}
        )
    make_limit_question()
    approver = visit(as_=finance)
    approver.go("/approvals")

    press(approver, "j", "Enter")
    for number, key in enumerate(("a", "r", "c", "a")):
        expect(approver.see("decision-form")).to_be_visible()
        before = approver.path
        press(approver, key)
        press(approver, "Control+Enter")
        approver.page.wait_for_url(lambda url, before=before: before not in url)
        expect(approver.see("request-title")).to_be_focused()
        assert Vote.objects.count() == number + 1
    stop = approver.see("choice-stop")
    for _ in range(30):
        if stop.evaluate("button => button === document.activeElement"):
            break
        press(approver, "Tab")
    press(approver, "Control+Enter")
    expect(approver.see("decided-text")).to_contain_text("Stopped")

    rows = AuditRow.objects.filter(action="approval.decide").order_by("id")
    assert [row.data["outcome"] for row in rows] == ["approve", "reject", "revise", "approve", "stop"]
    assert {row.door for row in rows} == {"page"}
    assert [row.data.get("policy") for row in rows][:4] == ["refunds v2"] * 4
    approver.go(f"/approvals/{rows[0].subject}")
    approver.see("trail").locator("summary").click()
    expect(approver.see("trace").filter(has_text="voted")).to_contain_text("web, revision 1, refunds v2")
    approver.is_quiet()


def test_APR_6_a_page_that_is_behind_cannot_approve_and_shows_what_changed(visit: Any, finance: Person) -> None:
    request = make_request()
    approver = visit(as_=finance)
    approver.go(at(request))
    approver.page.route("**/approvals/**/news**", lambda route: route.abort())
    approver.page.get_by_label("Comment").fill("I agree")
    text = '{"amount":520,"reason":"double"}'
    Request.objects.filter(id=request.id).update(payload=text, revision=2)

    approver.see("approve").click()

    expect(approver.see("lost")).to_be_visible()
    expect(approver.see("changed-rows")).to_contain_text("420")
    expect(approver.see("changed-rows")).to_contain_text("520")
    assert not Vote.objects.exists()
    approver.expect_noise("409", "ERR_FAILED")


def test_APR_7_an_edit_keeps_the_proposal_the_edit_and_the_difference(visit: Any, finance: Person) -> None:
    request = make_request()
    approver = visit(as_=finance)
    approver.go(at(request))

    press(approver, "e")
    edit = approver.see("edit").locator("input")
    expect(edit).to_be_focused()
    edit.fill("400")
    expect(approver.see("changed")).to_be_visible()
    approver.see("approve").click()

    expect(approver.see("edits")).to_contain_text("420")
    expect(approver.see("edits")).to_contain_text("400")
    approver.is_accessible()


def test_APR_8_past_its_deadline_it_follows_what_was_said_and_shows_that(visit: Any, finance: Person) -> None:
    over = timezone.now() - timedelta(seconds=5)
    rejected, escalated = make_request(due=over), make_request(due=over, terms={"at_deadline": "escalate"})
    approver = visit(as_=finance)
    approver.go(at(rejected))
    expect(approver.page.locator("main")).to_contain_text("Then it is decided as “reject”")
    assert expire_due() == 2

    approver.go(at(rejected))
    expect(approver.see("decided")).to_have_attribute("data-state", "expired")
    expect(approver.see("decided-text")).to_have_text("Expired (“reject”)")
    approver.is_accessible()
    approver.go(at(escalated))
    expect(approver.page.locator("main")).to_contain_text("it stays open and was escalated")
    expect(approver.see("decision-form")).to_be_visible()
    assert not Vote.objects.exists()


def test_APR_9_who_started_wrote_or_asked_for_it_is_refused_on_page_and_api_and_no_chat_decides(
    visit: Any, finance: Person
) -> None:
    asked = make_request()
    RunPass.objects.create(run=asked.run, number=2, by=finance, verb="retry")
    own = [
        make_request(make_run(status="waiting_approval", started_by=finance)),
        make_request(terms={"authors": [finance.username]}),
        asked,
    ]
    approver, headers = visit(as_=finance), {"Authorization": f"Bearer {make_key(finance, 'approvals:write')[1]}"}

    for request in own:
        approver.go(at(request))
        expect(approver.see("may-not")).to_contain_text("nobody decides on their own request")
        expect(approver.see("approve")).to_have_count(0)
        address, body = f"/api/v1/approvals/{request.public_id}/decisions", {"outcome": "approve", "revision": 1}
        answer = Client().post(address, body, content_type="application/json", headers=headers)
        assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (403, "self-approval")
    said = chat_body(Notice(subject="Needs approval", path=at(asked), event="asked"))["text"]
    assert [word.rpartition("/")[2] for word in said.split() if "://" in word] == [asked.public_id], "one link, to the page"
    assert not Vote.objects.exists()
    approver.is_accessible()
    approver.is_quiet()


def test_APR_10_high_risk_is_never_chosen_together(visit: Any, finance: Person) -> None:
    make_request(terms={**BULK, "risk": "high", "bulk": False}, due=timezone.now() + timedelta(hours=1))
    for _ in range(2):
        make_request(terms=BULK)
    approver = visit(as_=finance)
    approver.go("/approvals?box=team")
    boxes = approver.see("approval-row").locator("[data-select]")

    boxes.nth(0).check()
    expect(approver.see("bulk-reason")).to_contain_text("High risk")
    expect(approver.see("bulk-approve")).to_be_disabled()
    boxes.nth(0).uncheck()
    boxes.nth(1).check()
    boxes.nth(2).check()
    expect(approver.see("bulk-approve")).to_be_enabled()
    approver.see("bulk-approve").click()
    expect(approver.see("bulk-row")).to_have_count(2)
    approver.is_accessible()
    approver.page.get_by_label("Type 2 to confirm").fill("2")
    approver.see("bulk-confirm").click()

    expect(approver.see("approval-row")).to_have_count(1)
    assert approver.path == "/approvals?box=team", "back in the list that they were chosen from"
    assert Vote.objects.count() == 2
    approver.is_quiet()


def test_APR_11_a_cancelled_run_takes_its_request_along(visit: Any, finance: Person) -> None:
    request = make_request()
    approver, other = visit(as_=finance), visit(as_=finance)
    approver.go("/approvals")
    other.go(at(request))
    expect(approver.see("live")).to_have_attribute("data-status", "live")
    expect(other.see("live")).to_have_attribute("data-status", "live")

    assert request.run is not None
    cancel_run(make_actor("operator"), request.run)

    expect(approver.see("changes")).to_contain_text("no longer here")
    expect(other.see("request-news")).to_contain_text("Withdrawn")


def test_APR_12_a_decided_request_shows_who_when_what_and_why(visit: Any, finance: Person, second: Person) -> None:
    request = make_request()
    first, later = visit(as_=finance), visit(as_=second)
    first.go(at(request))
    first.page.get_by_label("Comment").fill("Charged twice, I checked")
    first.see("approve").click()
    expect(first.see("decided-text")).to_contain_text("Approved by approver-1")

    later.go(at(request))

    expect(later.see("decided")).to_contain_text("Approved by approver-1")
    expect(later.see("decision-comment")).to_contain_text("Charged twice")
    expect(later.see("decision-form")).to_have_count(0)
    later.see("trail").locator("summary").click()
    expect(later.see("trace").filter(has_text="voted")).to_contain_text("web, revision 1")


def test_a_step_that_waits_is_decided_on_the_page_of_its_run(visit: Any, finance: Person) -> None:
    run = make_run(make_flow("refund", document=DOCUMENT), status="waiting_approval")
    request = make_request(run, path="ask")
    make_attempt(run, "ask", status="waiting", kind="approval")
    approver = visit(as_=finance)
    approver.go(f"/runs/{run.public_id}?step=ask")

    expect(approver.see("step-decision").get_by_test_id("argument")).to_have_count(2)
    approver.page.get_by_label("Comment").fill("Twice")
    approver.is_accessible()
    approver.see("approve").click()

    approver.page.wait_for_url(f"**/runs/{run.public_id}?step=ask")
    expect(approver.see("decision-form")).to_have_count(0)
    request.refresh_from_db()
    assert (request.state, request.comment) == ("approved", "Twice")
    approver.is_quiet()


def test_a_decision_of_low_risk_is_undone_in_time(visit: Any, finance: Person) -> None:
    request = make_request(terms={"risk": "low"})
    approver = visit(as_=finance)
    approver.go(at(request))

    approver.see("approve").click()
    expect(approver.see("undo-banner")).to_be_visible()
    approver.see("undo").click()

    expect(approver.see("decision-form")).to_be_visible()
    assert not Vote.objects.exists()
    assert AuditRow.objects.filter(action="approval.undo").count() == 1


def test_claim_ask_and_hand_over_keep_what_was_typed(visit: Any, finance: Person, second: Person) -> None:
    make_person("viewer", username="viv")
    request = make_request()
    approver = visit(as_=finance)
    approver.go(at(request))

    press(approver, "i")
    expect(approver.see("at-it")).to_contain_text("Claimed by approver-1")
    press(approver, "d")
    approver.see("delegate-form").locator("select").select_option("viv")
    approver.see("delegate-send").click()
    expect(approver.see("lost")).to_contain_text("requests.decide")
    press(approver, "q")
    approver.see("ask-form").locator("textarea").fill("Was it charged twice?")
    approver.see("ask-send").click()
    expect(approver.see("lost")).to_be_visible()
    expect(approver.see("ask-form").locator("textarea")).to_have_value("Was it charged twice?")
    approver.see("ask-form").locator("select").select_option("approver-2")
    approver.see("ask-send").click()
    expect(approver.see("remark")).to_contain_text("Was it charged twice?")
    approver.is_accessible()
    approver.expect_noise("422")
    approver.is_quiet()


@pytest.mark.parametrize("dark", [False, True])
def test_APP_3_on_a_phone_everything_is_within_reach(visit: Any, finance: Person, dark: bool) -> None:
    request = make_request(due=timezone.now() + timedelta(minutes=12))
    make_request()
    approver = visit(phone=True, dark=dark, as_=finance)
    for path in ("/approvals", at(request), "/approvals/policies", "/approvals/settings", "/approvals/health"):
        approver.go(path)
        approver.fits()
        approver.is_accessible("dark" if dark else "light")
    approver.go(at(request))
    one, other = approver.see("approve").bounding_box(), approver.see("reject").bounding_box()
    assert round(one["width"]) == round(other["width"])
    assert one["height"] >= 48
    assert approver.see("comment-form").is_visible()


def test_POL_1_2_3_and_5_a_policy_is_made_tried_refused_and_saved(visit: Any, person: Any, finance: Person) -> None:
    """POL-1, POL-2, POL-3 and POL-5."""
    run = make_run(make_flow("refund"), status="succeeded")
    for number, amount in enumerate((100, 900)):
        make_call(run, f"pay_{number}", kind="tool", target="refunds.create", request={"amount": amount})
    owner = visit(as_=person("owner"))
    owner.go("/approvals/policies/new")
    form = owner.page
    form.get_by_label("Name").fill("Large refunds")
    form.get_by_label("Tools").fill("refunds.*")
    form.get_by_label("Ask when").fill("payload.amount > 250")
    form.get_by_label("Teams who decide").fill("finance")
    form.get_by_label("Votes needed").fill("2")

    owner.see("try").click()
    expect(owner.see("would-ask")).to_have_text("1")  # POL-2
    expect(owner.see("tried")).to_contain_text("900")
    assert not PolicyVersion.objects.exists()
    owner.see("save-policy").click()
    expect(form.get_by_text(re.compile("2 votes are needed and only 1 may decide")).first).to_be_visible()  # POL-3
    expect(form.get_by_label("Ask when")).to_have_value("payload.amount > 250")
    owner.is_accessible()
    form.get_by_label("Votes needed").fill("1")
    owner.see("save-policy").click()
    expect(owner.see("policy-version")).to_have_count(1)
    request = make_request(terms=BULK)
    form.get_by_label("Ask when").fill("payload.amount > 500")
    owner.see("save-policy").click()
    expect(owner.see("policy-version")).to_have_count(2)
    owner.is_accessible()
    owner.go(at(request))
    expect(owner.see("policy")).to_contain_text("(v1)")  # POL-1: it is asked under the version of that time

    owner.go("/audit?action=policy.save")
    expect(owner.see("audit-row")).to_have_count(2)
    owner.page.get_by_text("What changed").first.click()
    for words in ("before", "payload.amount > 250", "payload.amount > 500"):
        expect(owner.see("audit-row").first).to_contain_text(words)  # POL-5
    owner.expect_noise("422")
    owner.is_quiet()


def test_POL_4_figures_lead_to_the_requests_that_they_count(visit: Any, person: Any, finance: Person) -> None:
    save_policy(Actor(person=person("owner")), "refunds", "Refunds", {"teams": ["finance"]})
    for number in range(3):
        request = make_request(terms=BULK)
        Request.objects.filter(id=request.id).update(
            state="approved",
            decided_by=finance,
            decided_at=timezone.now(),
            answer=request.payload if number else '{"amount":1,"reason":"double"}',
        )
    approver = visit(as_=finance)
    approver.go("/approvals/policies")
    expect(approver.see("asked")).to_have_text("3")
    expect(approver.see("unchanged")).to_have_text("67 %")

    approver.see("unchanged").click()

    expect(approver.see("approval-row")).to_have_count(2)
    approver.is_accessible()
    approver.is_quiet()
