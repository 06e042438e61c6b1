"""The run form, the list and page of runs, receipts and the inbox in a browser: each check by its identifier."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Locator, expect

from approvals.models import Vote
from flows.costs.prices import PriceRow, cost_of
from flows.models import Call, Person, Price, Run
from flows.models.identifiers import shown
from tests.makers import add_events, make_flow, make_key, make_person, make_request, make_run, make_team
from tests.runs.journals import DOCUMENT, make_attempt, make_call, make_price

ASKS = """\
orchestrator: 1
name: Everything
input:
  type: object
  required: [amount, text, urgent]
  properties:
    amount: {type: number, minimum: 0, title: Amount}
    count: {type: integer, title: Count}
    text: {type: string, contentMediaType: text/plain, minLength: 3, title: Text}
    urgent: {type: boolean, title: Urgent}
    lines: {type: array, items: {type: string}, title: Lines}
limits: {cost: 2.00, at_limit: stop}
steps: {greet: {kind: set, with: {values: {text: "{{ input.text }}"}}}}
edges: [start -> greet]
"""
FORM = "/flows/everything/run"


def field(form: Any, name: str) -> Locator:
    """The control of an input of the flow, or of an option of the form."""
    found: Locator = form.page.locator(f"#id_{name}")
    return found


def make_failed_run() -> Run:
    error = {"step": "judge", "class": "rate_limit", "message": "429 rate limited"}
    run = make_run(make_flow(document=DOCUMENT), status="failed", error=json.dumps(error), spent="0.0421")
    make_attempt(run, "split", kind="set")
    make_attempt(run, "rate", kind="map", output=[])
    for n in (1, 2, 3):
        retried = {"next_at": timezone.now()} if n < 3 else {}
        make_attempt(
            run, "judge", n, status="failed", error={"class": "rate_limit", "message": f"try {n} was refused"}, **retried
        )
        request = {"model": "small-1", "messages": [{"role": "user", "content": f"Judge this, take {n}"}]}
        make_call(run, "judge", n, cost="0.01", status="failed_retryable", request=request)
    make_call(run, "rate[0].assess", cost="0.0121")
    add_events(run, 2, "step.failed")
    return run


def make_settled_call(price: Price, inputs: int, outputs: int, **fields: Any) -> Call:
    """A call that cost what its tokens cost at a price."""
    tokens = {"input_tokens": inputs, "cached_input_tokens": 0, "output_tokens": outputs}
    cost = cost_of(Call(**tokens), PriceRow(price.id, price.input, price.cached_input, price.output))  # type: ignore[arg-type]
    run = make_run(status="succeeded", spent=cost or 0)
    return make_call(run, "greet", cost=str(cost), price_id=price.id, **tokens, **fields)


def receipt(call: Call) -> str:
    return f"/costs/calls/{shown('call', call.id)}"


# --- the run form


def test_RF_1_errors_stand_in_the_summary_and_at_the_fields(visit: Any, person: Any) -> None:
    make_flow("everything", document=ASKS)
    operator = visit(as_=person("operator"))
    operator.go(FORM)
    field(operator, "input-amount").fill("lots")
    field(operator, "input-count").fill("1.5")
    field(operator, "input-lines").fill("[1")

    operator.see("start").click()

    summary = operator.see("form-errors")
    expect(summary).to_contain_text("4 fields need a change")
    expect(summary).to_be_focused()
    for name, said in (("amount", "“lots” is not a number"), ("text", "This is required."), ("count", ""), ("lines", "")):
        expect(field(operator, f"input-{name}")).to_have_attribute("aria-invalid", "true")
        expect(operator.page.locator(f"#id_input-{name}-error")).to_contain_text(said)
        expect(operator.page.locator(f"#id_input-{name}-error")).to_be_visible()
        expect(summary.locator(f"a[href='#id_input-{name}']")).to_be_visible()
    expect(field(operator, "input-amount")).to_have_value("lots")
    operator.is_accessible()
    summary.get_by_role("link", name="Amount").click()
    expect(field(operator, "input-amount")).to_be_focused()
    assert not Run.objects.exists()
    operator.expect_noise("422")
    operator.is_quiet()


def test_RF_2_it_is_filled_from_a_run_and_marks_what_is_edited(visit: Any, person: Any) -> None:
    before = {"amount": 380, "text": "the old text", "urgent": False, "lines": ["x"]}
    run = make_run(make_flow("everything", document=ASKS), status="failed", input=json.dumps(before))
    operator = visit(as_=person("operator"))
    operator.go(f"{FORM}?from={run.public_id}")
    amount, text = field(operator, "input-amount"), field(operator, "input-text")
    expect(operator.see("filled-from")).to_contain_text(f"run #{run.number}")
    expect(amount).to_have_value("380")
    expect(text).to_have_value("the old text")
    changed = operator.see("changed").filter(visible=True)
    expect(changed).to_have_count(0)

    amount.fill("420")
    expect(changed).to_have_text(["changed from 380"])
    amount.fill("380")
    expect(changed).to_have_count(0)
    amount.fill("420")
    field(operator, "input-urgent").check()
    expect(changed).to_have_text(["changed from 380", "changed from no"])
    operator.is_accessible()
    operator.see("start").click()

    operator.page.wait_for_url("**/runs/run_*")
    assert json.loads(Run.objects.exclude(id=run.id).get().input) == before | {"amount": 420, "urgent": True}
    operator.is_quiet()


def test_RF_4_a_limit_below_the_estimate_is_warned_of_before_it_starts(visit: Any, person: Any) -> None:
    flow = make_flow("everything", document=ASKS)
    for cost in ("0.10", "0.30", "0.50"):
        make_call(make_run(flow, status="succeeded", spent=Decimal(cost)), "greet", cost=cost)
    operator = visit(as_=person("operator"))
    operator.go(FORM)
    expect(operator.see("estimate")).to_contain_text("by 3 runs")
    field(operator, "input-amount").fill("1")
    field(operator, "input-text").fill("hello")
    while_typing = operator.page.get_by_text("The limit is lower than that.")
    expect(while_typing).to_be_hidden()

    field(operator, "limit").fill("0.5")
    expect(while_typing).to_be_hidden()
    field(operator, "limit").fill("$0.2")
    expect(while_typing).to_be_visible()
    operator.see("start").click()

    expect(operator.see("limit-warning")).to_contain_text("will probably stop before it is done")
    expect(field(operator, "input-text")).to_have_value("hello")
    assert Run.objects.count() == 3
    operator.is_accessible()
    expect(operator.see("start")).to_have_text("Start all the same")
    operator.see("start").click()
    operator.page.wait_for_url("**/runs/run_*")
    assert Run.objects.latest("id").cap_cost == Decimal("0.2")
    operator.is_quiet()


def test_RF_5_the_copied_command_starts_what_the_form_starts(visit: Any, person: Any) -> None:
    make_flow("everything", document=ASKS)
    operator = visit(as_=person("operator"), permissions=["clipboard-read", "clipboard-write"])
    operator.go(FORM)
    field(operator, "input-amount").fill("4.20")
    field(operator, "input-text").fill('it\'s "quoted" $HOME\n`ü`')
    field(operator, "input-lines").fill('["a"]')
    field(operator, "limit").fill("0.50")
    field(operator, "tags").fill("ops, july")

    operator.see("copy-as-curl").click()
    expect(operator.see("curl")).to_be_visible()
    operator.see("copy-curl").click()
    expect(operator.page.get_by_text("Copied.").first).to_be_visible()
    command = operator.page.evaluate("() => navigator.clipboard.readText()")
    assert not Run.objects.exists()
    operator.is_accessible()
    operator.see("start").click()
    operator.page.wait_for_url("**/runs/run_*")

    _, secret = make_key(make_person("operator"), "runs:write")
    words = command.replace("curl ", "curl --silent --fail --noproxy '*' --max-time 20 ", 1)
    subprocess.run(["sh", "-c", words], check=True, env=os.environ | {"ORCHESTRATOR_KEY": secret}, capture_output=True)
    by_form, by_command = Run.objects.order_by("id")
    for name in ("input", "cap_cost", "tags", "flow_id", "version_id", "at_limit"):
        assert getattr(by_form, name) == getattr(by_command, name), name
    assert (by_form.source, by_command.source) == ("page", "api")
    operator.is_quiet()


# --- runs


def test_RUN_1_and_2_the_address_says_what_is_listed_and_back_restores_the_filter_before(visit: Any, person: Any) -> None:
    flow = make_flow(document=DOCUMENT)
    cheap = make_run(flow, status="failed", spent="0.01")
    dear = make_run(flow, status="failed", spent="0.5")
    middle = make_run(flow, status="failed", spent="0.2")
    make_run(flow, status="succeeded", spent="0.9")
    make_run(flow, status="failed", spent="0.7", created_at=timezone.now() - timedelta(days=3))
    viewer = visit(as_=person("viewer"))
    path = "/runs?state=failed&started=24h&sort=-cost"
    viewer.go(path)

    expect(viewer.see("run-row")).to_have_count(3)
    listed = viewer.see("run-row").evaluate_all("rows => rows.map(row => row.dataset.id)")
    assert listed == [dear.public_id, middle.public_id, cheap.public_id]
    expect(viewer.page.get_by_role("columnheader", name="Cost")).to_have_attribute("aria-sort", "descending")
    assert viewer.path == path
    viewer.is_accessible()

    chips = viewer.page.locator(".filter-chip a")
    for left, name in ((4, "started"), (5, "state")):
        viewer.page.locator(f"[data-filter={name}] a").click()
        expect(viewer.see("run-row")).to_have_count(left)
    expect(chips).to_have_count(0)
    for rows, left in ((4, 1), (3, 2)):
        viewer.page.go_back()
        expect(viewer.see("run-row")).to_have_count(rows)
        expect(chips).to_have_count(left)
    assert viewer.path == path
    viewer.is_quiet()


def test_RD_1_a_failed_run_opens_on_the_failed_step(visit: Any, person: Any) -> None:
    run = make_failed_run()
    operator = visit(as_=person("operator"))
    operator.go(f"/runs/{run.public_id}")

    expect(operator.see("why")).to_contain_text("Judge failed after 3 tries: 429 rate limited")
    inspector = operator.see("inspector")
    expect(inspector).to_have_attribute("data-path", "judge")
    expect(inspector.get_by_test_id("attempt-error")).to_contain_text("try 3 was refused")
    expect(inspector.get_by_text("Judge this, take 3")).to_be_visible()
    expect(inspector.locator("[data-testid=attempt][aria-current=true]")).to_have_text("3")
    for shown_at_once in (operator.see("why"), inspector.get_by_test_id("attempt-error")):
        expect(shown_at_once).to_be_in_viewport()
    operator.is_accessible()
    operator.is_quiet()


# --- receipts


def test_RCP_2_the_price_is_the_one_that_was_valid_then(visit: Any, person: Any) -> None:
    then = make_price(at=timezone.now() - timedelta(days=9), input="1", output="2")
    call = make_settled_call(then, 1_000_000, 0)
    make_price(at=timezone.now() + timedelta(hours=1), input="7", output="9")
    operator = visit(as_=person("operator"))
    operator.go(receipt(call))

    line = operator.see("receipt-line").first
    expect(line).to_contain_text("$1.000000")
    expect(line).to_contain_text("$1.0000000000")
    expect(operator.see("receipt-total")).to_contain_text("$1.0000000000")
    expect(operator.see("charged")).to_contain_text("equals the lines above")
    expect(operator.see("price-row")).to_have_attribute("data-id", then.id.hex)
    expect(operator.see("newer-price")).to_be_visible()
    operator.is_accessible()
    operator.is_quiet()


def test_RCP_3_what_was_not_reported_is_an_estimate_and_not_free(visit: Any, person: Any) -> None:
    call = make_settled_call(make_price(input="1", output="2"), 500, 100, usage_source="estimated")
    operator = visit(as_=person("operator"))
    operator.go(receipt(call))

    expect(operator.see("receipt-total")).to_contain_text("~$0.0007000000")
    expect(operator.see("charged")).to_contain_text("~$0.0007000000")
    expect(operator.see("basis")).to_contain_text("estimated: the provider did not report the usage")
    expect(operator.see("price-row")).to_be_visible()
    operator.is_accessible()
    operator.is_quiet()


def test_RCP_4_an_unknown_price_is_said_to_be_unknown(visit: Any, person: Any) -> None:
    call = make_call(make_run(status="succeeded", unpriced=1), "greet", cost=None, price_id=None)
    operator = visit(as_=person("operator"))
    operator.go(receipt(call))

    expect(operator.see("receipt-total")).to_contain_text("—")
    expect(operator.see("receipt-total")).to_contain_text("unpriced")
    expect(operator.see("add-price")).to_contain_text("Add a price")
    expect(operator.see("receipt")).not_to_contain_text("$0")
    operator.is_accessible()
    operator.is_quiet()


# --- approvals


def test_APR_1_badge_rows_and_api_agree(visit: Any, person: Any) -> None:
    approver: Person = person("approver-1")
    approver.memberships.update(team=make_team("finance"))
    for _ in range(3):
        make_request()
    make_request(make_run(status="waiting_approval", started_by=approver))  # one's own does not wait for oneself
    make_request(terms={"approvers": {"teams": ["legal"]}})
    _, secret = make_key(approver, "approvals:read")
    browser, program = visit(as_=approver), visit()

    def agree(number: int) -> None:
        browser.go("/approvals?box=mine")
        expect(browser.see("approval-row")).to_have_count(number)
        expect(browser.see("approvals-badge").first).to_have_text(str(number))
        address = f"{browser.site.url}/api/v1/approvals?box=mine"
        answer = program.page.request.get(address, headers={"Authorization": f"Bearer {secret}"})
        assert len(answer.json()["items"]) == number

    agree(3)
    browser.is_accessible()
    browser.see("approval-row").first.get_by_role("link").first.click()
    browser.see("approve").click()
    expect(browser.see("toast")).to_contain_text("Approved: Refund 420")  # and the next one is there
    expect(browser.see("request-title")).to_be_focused()
    assert Vote.objects.count() == 1
    agree(2)
    browser.is_quiet()


# --- pages that no check names: the audit finds nothing on them


@pytest.mark.parametrize("tab", ["events", "io", "cost", "approvals"])
def test_each_tab_of_a_run_is_accessible(visit: Any, person: Any, tab: str) -> None:
    run = make_failed_run()
    make_request(run, path="judge")
    operator = visit(as_=person("operator"))
    operator.go(f"/runs/{run.public_id}?tab={tab}")

    holds = {"events": "Step failed", "io": "Output", "cost": "small-1", "approvals": "Refund 420"}
    expect(operator.page.locator(f"#run-{tab}")).to_contain_text(holds[tab])
    operator.is_accessible()
    operator.is_quiet()


def test_the_page_that_asks_before_it_cancels_is_accessible(visit: Any, person: Any) -> None:
    run = make_run(status="waiting")
    operator = visit(as_=person("operator"))
    operator.go(f"/runs/{run.public_id}/cancellation")

    expect(operator.see("cancel-confirm")).to_be_visible()
    operator.is_accessible()
    operator.is_quiet()


def test_the_empty_list_of_runs_is_accessible(visit: Any, person: Any) -> None:
    operator = visit(as_=person("operator"))
    operator.go("/runs")

    expect(operator.see("empty")).to_contain_text("No runs yet")
    operator.is_accessible()
    operator.is_quiet()


def test_the_page_that_names_a_missing_right_is_accessible(visit: Any, person: Any) -> None:
    make_flow("everything", document=ASKS)
    viewer = visit(as_=person("viewer"))

    assert viewer.go(FORM).status == 403
    expect(viewer.see("missing-right")).to_have_text("runs.start")
    viewer.is_accessible()
    viewer.expect_noise("403")
    viewer.is_quiet()
