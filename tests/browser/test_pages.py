"""What people do with the pages: the checks of the interaction specification that need a browser, each by its identifier."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from approvals.actions.decide import decide
from approvals.models import Vote
from flows.access.actor import Actor
from flows.models import Person, Request, Run
from tests.makers import make_flow, make_person, make_request, make_run, make_team
from tests.runs.journals import DOCUMENT, make_attempt, make_call

PASSWORD = "correct horse battery"


@pytest.fixture
def finance(person: Any) -> Person:
    held: Person = person("approver-1")
    held.memberships.update(team=make_team("finance"))
    return held


def at(request: Request) -> str:
    return f"/approvals/{request.public_id}"


def test_SH_1_the_badge_is_the_number_of_rows_in_mine(visit: Any, finance: Person) -> None:
    for _ in range(3):
        make_request()
    make_request(terms={"approvers": {"teams": ["legal"]}})
    approver = visit(as_=finance)
    approver.go("/approvals?box=mine")

    expect(approver.see("approval-row")).to_have_count(3)
    expect(approver.see("approvals-badge").first).to_have_text("3")
    approver.is_accessible()
    approver.is_quiet()


def test_HOME_3_5_and_6_on_a_phone_the_cards_keep_their_order_and_their_place_and_lead_to_their_lists(
    visit: Any, person: Any
) -> None:
    """A request that is decided elsewhere leaves its card, and nothing below moves."""
    request = make_request(terms={"approvers": {}})
    owner = visit(phone=True, as_=person("owner"))
    owner.go("/")
    expect(owner.see("home-request")).to_have_count(1)
    expect(owner.see("live")).to_have_attribute("data-status", "live")

    def tops() -> list[float]:
        return [owner.see(f"home-{name}").bounding_box()["y"] for name in ("needs", "broken", "money", "flight")]

    before = tops()
    decide(Actor(person=make_person("approver", username="approver-2")), request.id, "reject", request.revision)

    expect(owner.see("home-request")).to_have_count(0)
    assert tops() == before == sorted(before)
    owner.page.get_by_test_id("in-state").first.click()
    expect(owner.see("run-row")).to_have_count(1)
    owner.is_quiet()


def test_SH_5_an_address_of_a_filtered_list_shows_others_the_same(visit: Any, person: Any) -> None:
    flow = make_flow(document=DOCUMENT)
    for status in ("failed", "succeeded", "failed", "running", "budget_stopped"):
        make_run(flow, status=status)
    first, second = visit(as_=person("operator")), visit(as_=person("owner"))
    path = "/runs?state=failed,budget_stopped&sort=-cost"
    shown = []
    for each in (first, second):
        each.go(path)
        expect(each.see("run-row")).to_have_count(3)
        rows = each.see("run-row").evaluate_all("rows => rows.map(row => row.dataset.id)")
        columns = each.page.locator("th").all_inner_texts()
        sort = each.page.locator("th[aria-sort]").evaluate_all("all => all.map(one => one.ariaSort)")
        shown.append((rows, columns, sort))
        each.is_quiet()

    assert shown[0] == shown[1]


def test_SH_7_no_page_is_wider_than_360_pixels(visit: Any, person: Any) -> None:
    run = make_run(make_flow("a-flow-with-quite-a-long-name-as-people-give-them", document=DOCUMENT), status="waiting_approval")
    call = make_call(run, "judge")
    make_attempt(run, "judge", output={"text": "x" * 200})
    request = make_request(run, payload={"amount": 420, "reason": "a" * 300}, terms={"approvers": {}})
    owner = visit(phone=True, as_=person("owner"), viewport={"width": 360, "height": 780})
    page = f"/runs/{run.public_id}"
    paths = ["/runs", "/flows", f"/flows/{run.flow.slug}", f"/flows/{run.flow.slug}?tab=runs", f"/flows/{run.flow.slug}/run"]
    paths += [page, f"{page}?step=judge", f"{page}?tab=events", f"{page}?tab=io", f"{page}?tab=cost", f"{page}/cancellation"]
    paths += [f"/costs/calls/call_{call.id.hex}", "/approvals", at(request), "/nowhere"]

    for path in paths:
        owner.go(path)
        wider = owner.page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0, f"{path} is {wider} px too wide"


def test_RF_3_a_double_click_starts_one_run(visit: Any, person: Any) -> None:
    flow = make_flow()
    operator = visit(as_=person("operator"))
    operator.go(f"/flows/{flow.slug}/run")
    operator.see("run-form").locator("input[name=name], textarea[name=name], [name$=name]").first.fill("Ann")

    operator.see("start").dblclick()

    operator.page.wait_for_url("**/runs/run_*")
    assert Run.objects.count() == 1
    operator.is_quiet()


def test_APR_3_and_4_no_key_decides_and_both_answers_weigh_the_same(visit: Any, finance: Person) -> None:
    request = make_request()
    approver = visit(as_=finance)
    approver.go(at(request))
    approve, reject = approver.see("approve"), approver.see("reject")
    expect(approve).not_to_be_focused()
    expect(reject).not_to_be_focused()
    one, other = approve.bounding_box(), reject.bounding_box()
    assert (round(one["width"]), round(one["height"])) == (round(other["width"]), round(other["height"]))

    for key, button in (("a", approve), ("r", reject)):
        approver.page.keyboard.press(key)
        expect(button).to_be_focused()
    approver.is_accessible()
    request.refresh_from_db()
    assert request.state == "pending"
    assert not Vote.objects.exists()
    approver.is_quiet()


def test_APR_5_of_two_who_decide_one_wins_and_the_other_learns_who(visit: Any, finance: Person) -> None:
    request = make_request()
    second = make_person("approver", username="approver-2", team=make_team("finance"))
    first, late = visit(as_=finance), visit(as_=second)
    for each in (first, late):
        each.go(at(request))
        expect(each.see("approve")).to_be_visible()
    late.page.route("**/approvals/**/news**", lambda route: route.abort())  # it has not heard of it yet
    late.page.get_by_label("Comment").fill("I would not")

    first.see("approve").click()
    expect(first.see("decided-text")).to_contain_text("Approved by approver-1")
    if late.see("reject").is_enabled():
        late.see("reject").click()
        expect(late.see("lost")).to_contain_text("Approved by approver-1")
    else:
        expect(late.see("request-news")).to_contain_text("Approved by approver-1")

    assert Vote.objects.count() == 1
    request.refresh_from_db()
    assert request.state == "approved"


def test_APP_1_looking_from_outside_changes_nothing(visit: Any, finance: Person) -> None:
    request, nobody = make_request(), visit()
    for _ in range(10):
        nobody.go(at(request))
        assert nobody.path.startswith("/login?next=")

    request.refresh_from_db()
    assert request.state == "pending"
    assert not Vote.objects.exists()


def test_APP_2_signing_in_leads_to_the_same_request(visit: Any, finance: Person) -> None:
    request, someone = make_request(), visit(phone=True)
    someone.go(at(request))
    someone.page.get_by_label("Username").fill("approver-1")
    someone.page.get_by_label("Password").fill(PASSWORD)
    someone.page.get_by_role("button", name="Sign in").click()

    expect(someone.see("approval")).to_have_attribute("data-id", request.public_id)
    assert someone.path == at(request)
    someone.is_quiet()


def test_APP_3_on_a_phone_all_is_reached_and_the_bar_hides_no_focus(visit: Any, finance: Person) -> None:
    request = make_request(payload={"amount": 420, "reason": "it was charged twice " * 60})
    approver = visit(phone=True, as_=finance)
    approver.go(at(request))
    approver.fits()
    bar = approver.see("decision-bar")
    for _ in range(40):
        approver.page.keyboard.press("Tab")
        inside, box = approver.page.evaluate(
            """() => { const it = document.activeElement, box = it.getBoundingClientRect()
              return [!!it.closest("[data-testid=decision-bar], .nav, dialog"), [box.top, box.bottom]] }"""
        )
        edge = bar.bounding_box()
        if not inside and edge["y"] < 844:
            assert box[0] < edge["y"] or box[0] >= edge["y"] + edge["height"], "the focus is below the bar"
    for name in ("approve", "reject"):
        assert approver.see(name).bounding_box()["height"] >= 48
    approver.is_accessible()
    approver.is_quiet()


def test_APP_4_at_twice_the_text_size_nothing_is_cut(visit: Any, finance: Person) -> None:
    request = make_request()
    approver = visit(phone=True, as_=finance)
    approver.go(at(request))

    approver.page.evaluate("() => { document.documentElement.style.fontSize = '200%' }")

    approver.fits()
    cut = approver.see("approval").evaluate(
        """root => [...root.querySelectorAll("h1, h2, dd, dt, button, td, th, label")]
          .filter(each => getComputedStyle(each).overflow === "hidden" && each.scrollWidth > each.clientWidth + 1)
          .map(each => each.outerHTML.slice(0, 120))"""
    )
    assert cut == []


def test_APP_5_a_decided_request_shows_the_outcome(visit: Any, finance: Person) -> None:
    request = make_request()
    first = visit(as_=finance)
    first.go(at(request))
    first.page.get_by_label("Comment").fill("only this once")
    first.see("approve").click()
    expect(first.see("decided-text")).to_be_visible()

    later = visit(phone=True, as_=finance)
    later.go(at(request))
    expect(later.see("decided-text")).to_contain_text("Approved by approver-1")
    expect(later.see("decision-comment")).to_have_text("only this once")
    expect(later.see("approve")).to_have_count(0)
    later.fits()
    later.is_accessible()
    later.is_quiet()


def test_APP_6_a_request_that_one_may_not_see_is_not_there(visit: Any, finance: Person) -> None:
    hidden = make_request(make_run(make_flow(team=make_team("legal"))), terms={"approvers": {"teams": ["legal"]}})
    approver = visit(as_=finance)

    assert approver.go(at(hidden)).status == 404
    expect(approver.see("problem")).to_contain_text("There is nothing here")
    approver.is_accessible()
