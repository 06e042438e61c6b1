"""Costs, budgets and prices in a browser: each check by its identifier, on a ledger of several flows, models and days."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from playwright.sync_api import Locator, expect

from approvals.alerts import raise_alerts
from approvals.models import Notice
from flows.costs.folding import fold_everything
from flows.execution.budgets import NOTE
from flows.models import AllowedHost, AuditRow, Budget, BudgetPeriod, Call, Person, Price, Run
from tests.execution.conftest import Drive, drive, models_loaded
from tests.execution.runs import finish, make_model, start
from tests.execution.runs import model as asking
from tests.makers import make_flow, make_run
from tests.runs.journals import make_call, make_price
from tests.servers.loopback import running
from tests.servers.model_server import ModelServer

__all__ = ["drive", "models_loaded"]

DAYS = 12


@pytest.fixture
def ledger(site: Any) -> list[Call]:
    """Two flows, three models, a dozen days; three calls without a price, some estimated, one simulated, one paid and lost."""
    price = make_price("large-1", at=timezone.now() - timedelta(days=40), input="2.5", cached_input="0.25", output="10")
    flows = [make_flow("refunds"), make_flow("triage")]
    calls: list[Call] = []
    for day in range(DAYS):
        for n, flow in enumerate(flows):
            run = make_run(flow, status="succeeded")
            calls += [
                make_call(run, "classify", cost=f"0.{day + 1:02}{n}0000123", target="large-1", price_id=price.id),
                make_call(run, "answer", cost="0.0333333333", target="small-1", usage_source="estimated" if n else "provider"),
            ]
            _at(run, day)
    lost = make_run(flows[0], status="failed")
    calls.append(make_call(lost, "classify", cost="0.5", target="large-1", status="failed_retryable"))
    calls += [make_call(lost, f"x{n}", cost=None, target="mini-x") for n in range(3)]
    calls.append(make_call(lost, "sim", cost="7", simulated=True, target="sim-small"))
    for run in Run.objects.all():
        spent = sum((call.settled or Decimal(0) for call in calls if call.run_id == run.id), Decimal(0))
        Run.objects.filter(id=run.id).update(spent=spent)
    fold_everything()
    return calls


def _at(run: Run, day: int) -> None:
    moment = timezone.now() - timedelta(days=day)
    Run.objects.filter(id=run.id).update(created_at=moment)
    Call.objects.filter(run_id=run.id).update(started_at=moment, ended_at=moment)


def period() -> str:
    today = timezone.now().date()
    return f"from={today - timedelta(days=DAYS + 1)}&to={today}"


def money(cell: Locator) -> Decimal:
    amount = cell.locator("[data-money]").first.get_attribute("data-money")
    assert amount is not None
    return Decimal(amount)


def real(calls: list[Call]) -> Decimal:
    return sum((call.settled or Decimal(0) for call in calls if not call.simulated), Decimal(0))


@pytest.mark.parametrize("look", [{}, {"dark": True}, {"phone": True}], ids=["light", "dark", "phone"])
def test_CST_1_drilling_from_month_to_call_each_level_is_the_row_above(
    visit: Any, person: Any, ledger: list[Call], look: dict[str, bool]
) -> None:
    owner = visit(as_=person("owner"), **look)
    owner.go(f"/costs?{period()}&by=month")
    assert money(owner.see("table-total")) == real(ledger) == money(owner.see("total"))
    for level in ("day", "flow", "run", "call"):
        row = owner.see("cost-row").filter(has=owner.page.locator("td.lead a")).first
        cell = money(row.locator("td").last)
        row.locator("td.lead a").first.click()
        owner.page.wait_for_url(re.compile(rf"by={level}"))
        assert money(owner.see("total")) == cell, level
        if level == "flow":
            owner.is_accessible("dark" if look.get("dark") else "light")
    calls = owner.see("cost-call")
    shown = [money(calls.nth(n)) for n in range(calls.count()) if calls.nth(n).locator("[data-money]").count()]
    assert sum(shown) == money(owner.see("total"))
    calls.first.locator("a").first.click()
    expect(owner.see("receipt")).to_be_visible()
    owner.is_quiet()


def test_CST_2_what_has_no_price_makes_a_lower_bound_and_review_lists_exactly_it(
    visit: Any, person: Any, ledger: list[Call]
) -> None:
    owner = visit(as_=person("owner"))
    owner.go(f"/costs?{period()}")
    expect(owner.see("total")).to_contain_text("≥")
    owner.see("integrity").get_by_role("link", name="review 3").click()
    expect(owner.see("cost-call")).to_have_count(3)
    owner.is_accessible()
    owner.is_quiet()


def test_CST_3_a_price_adjusts_the_past_only_once_that_is_confirmed(visit: Any, person: Any, ledger: list[Call]) -> None:
    owner = visit(as_=person("owner"))
    make_price("mini-x", at=timezone.now() - timedelta(days=3), input="1", output="1")
    owner.go(f"/costs?{period()}")
    before = money(owner.see("total"))
    expect(owner.see("adjusted")).to_have_count(0)
    today = timezone.now().date()
    owner.go(f"/prices/rerating?model=mini-x&from={today}&to={today}")
    expect(owner.see("fresh")).to_have_text("3")
    owner.is_accessible()
    owner.page.get_by_label("Reason").fill("the price sheet came late")
    owner.see("rerate").click()
    owner.go(f"/costs?{period()}")
    expect(owner.see("adjusted")).to_contain_text("3 of them without a price before")
    assert money(owner.see("total")) == before
    owner.is_quiet()


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_CST_4_an_export_sums_to_the_page_at_full_precision(visit: Any, person: Any, ledger: list[Call], form: str) -> None:
    owner = visit(as_=person("owner"))
    owner.go(f"/costs?{period()}")
    shown = money(owner.see("total"))
    text = owner.page.request.get(f"{owner.site.url}/costs/export.{form}?{period()}").text()
    if form == "csv":
        lines: list[dict[str, Any]] = list(csv.DictReader(io.StringIO(text)))
    else:
        import json

        lines = [json.loads(line) for line in text.splitlines()]
    assert sum(Decimal(line["cost"]) for line in lines if line["cost"]) == shown == real(ledger)
    assert {"currency", "usage_source", "price_id"} <= set(lines[0])


def test_CST_5_and_9_every_choice_is_in_the_address_over_thirteen_months(visit: Any, person: Any, ledger: list[Call]) -> None:
    owner = visit(as_=person("owner"))
    owner.go("/costs")
    owner.page.get_by_role("link", name="13 months").click()
    owner.page.get_by_role("navigation", name="Grouped by").get_by_role("link", name="Model").click()
    owner.page.wait_for_url("**by=model**")
    address = owner.path
    assert "from=" in address
    other = visit(as_=person("operator"))
    other.go(address)
    assert money(other.see("total")) == money(owner.see("total")) == real(ledger)
    owner.is_quiet()


def test_CST_6_simulated_spend_is_apart(visit: Any, person: Any, ledger: list[Call]) -> None:
    owner = visit(as_=person("owner"))
    owner.go(f"/costs?{period()}")
    assert money(owner.see("total")) == real(ledger)
    owner.page.get_by_role("navigation", name="Purpose").get_by_role("link", name="Simulated").click()
    owner.page.wait_for_url(re.compile("purpose=simulated"))
    assert money(owner.see("total")) == 7
    owner.is_quiet()


def test_CST_7_the_readers_zone_moves_the_borders_of_days_and_is_named(visit: Any, person: Any, ledger: list[Call]) -> None:
    owner = visit(as_=person("owner"))
    owner.go(f"/costs?{period()}")
    expect(owner.see("integrity")).to_contain_text("Days are those of UTC")
    owner.context.add_cookies([{"name": "tz", "value": "Pacific/Auckland", "url": owner.site.url}])
    today = timezone.now().date()
    owner.go(f"/costs?from={today - timedelta(days=20)}&to={today + timedelta(days=1)}&by=day")
    expect(owner.see("integrity")).to_contain_text("Days are those of Pacific/Auckland")
    assert money(owner.see("table-total")) == real(ledger)


def test_CST_8_the_chart_has_a_table_with_the_same_figures(visit: Any, person: Any, ledger: list[Call]) -> None:
    owner = visit(as_=person("owner"))
    owner.go(f"/costs?{period()}&by=flow")
    owner.see("chart").get_by_text("Table", exact=True).click()
    cells = owner.see("chart-table").locator("td[data-money]")
    amounts = [Decimal(cells.nth(n).get_attribute("data-money") or "") for n in range(cells.count())]
    assert sum(amounts) == real(ledger)
    assert owner.see("chart").locator("rect[class^=series-]").count() > DAYS
    owner.is_accessible()
    owner.is_quiet()


# --- receipts


def test_RCP_1_2_and_6_rows_multiply_and_add_at_the_price_of_then_and_the_providers_figure_stands_beside(
    visit: Any, person: Any
) -> None:
    price = make_price("large-1", at=timezone.now() - timedelta(days=3), input="2.5", cached_input="0.25", output="10")
    make_price("large-1", at=timezone.now() + timedelta(minutes=1), input="3", output="12")
    run = make_run(status="succeeded")
    tokens = {"input_tokens": 9812, "cached_input_tokens": 8608, "output_tokens": 412}
    call = make_call(run, "a", cost="0.009282", price_id=price.id, target="large-1", reported="0.00929", **tokens)
    Budget.objects.create(scope="all", period="month", cost=100)
    owner = visit(as_=person("owner"))
    owner.go(f"/costs/calls/call_{call.id.hex}")
    amounts = owner.see("receipt-line")
    expect(amounts.nth(0)).to_contain_text("$0.0030100000")
    expect(amounts.nth(1)).to_contain_text("$0.0021520000")
    expect(amounts.nth(2)).to_contain_text("$0.0041200000")
    expect(owner.see("receipt-total")).to_contain_text("$0.0092820000")
    expect(owner.see("reported")).to_contain_text("$0.0092900000")
    expect(owner.see("reported")).to_contain_text("difference +$0.0000080000 (0.09 %)")
    expect(owner.see("price-row")).to_have_attribute("data-id", price.id.hex)
    expect(owner.see("newer-price")).to_be_visible()
    expect(owner.see("asked")).to_have_text("large-1")
    expect(owner.see("basis")).to_contain_text("times our price")
    expect(owner.see("charged-to")).to_contain_text("all, month")
    owner.is_accessible()
    owner.is_quiet()


def test_RCP_3_4_and_5_what_is_said_to_be_free_unpriced_or_lost_is_called_so(visit: Any, person: Any, ledger: list[Call]) -> None:
    """A streamed call with tokens and a reported cost of 0 is an estimate from the price row; one without a price has no total; one
    that failed and was billed is waste."""
    lost = next(call for call in ledger if call.status == "failed_retryable")
    price = Price.objects.get(model_id="large-1")
    free = make_call(make_run(status="succeeded"), "a", cost="0.0035", target="large-1", price_id=price.id, reported="0")
    dark = next(call for call in ledger if call.settled is None)
    owner = visit(as_=person("owner"))
    owner.go(f"/costs/calls/call_{free.id.hex}")
    expect(owner.see("receipt-total")).to_contain_text("~$0.0035000000")
    expect(owner.see("charged")).to_contain_text("~$0.0035000000")
    expect(owner.see("said-free")).to_have_text("not taken as free")
    expect(owner.see("basis")).to_contain_text("estimated from the price row: the provider reported tokens and a cost of $0")
    owner.go(f"/costs/calls/call_{dark.id.hex}")
    expect(owner.see("receipt-total")).to_contain_text("—")
    expect(owner.see("add-price").get_by_role("link", name="Add a price")).to_have_attribute("href", re.compile("model=mini-x"))
    Call.objects.filter(id=free.id).delete()
    owner.go(f"/costs/calls/call_{lost.id.hex}")
    expect(owner.page.get_by_text("This call failed and was paid for all the same.")).to_be_visible()
    owner.go(f"/costs?{period()}")
    assert money(owner.see("wasted")) == Decimal("0.5")
    owner.is_accessible()
    owner.is_quiet()


# --- budgets


def used(spent: str, reserved: str = "0", **fields: Any) -> Budget:
    """A budget of ten dollars a month, in the middle of it."""
    now = timezone.now()
    budget = Budget.objects.create(scope="all", period="month", cost=10, warn=[50, 80], **fields)
    BudgetPeriod.objects.create(
        budget=budget,
        begins=now - timedelta(days=15),
        ends=now + timedelta(days=15),
        spent=Decimal(spent),
        reserved=Decimal(reserved),
    )
    return budget


@pytest.mark.parametrize("look", [{}, {"dark": True}, {"phone": True}], ids=["light", "dark", "phone"])
def test_BUD_1_5_and_6_the_meter_says_spent_reserved_projected_and_when_the_limit_comes(
    visit: Any, person: Any, look: dict[str, bool], settings: Any
) -> None:
    settings.EMAIL_HOST = "127.0.0.1"
    used("8.2", "0.5")
    holder = person("owner")
    Person.objects.update(email="owner@example.com")
    for _ in range(2):
        with connection.cursor() as cursor:
            cursor.execute(NOTE)
        raise_alerts()
    assert AuditRow.objects.filter(action="budget.reached").count() == 1
    assert [notice.subject for notice in Notice.objects.filter(event="budget")] == ["Budget all, month: 80 % used"]
    make_call(make_run(status="succeeded"), "a", cost="8.2")
    owner = visit(as_=holder, **look)
    owner.go("/costs")
    expect(owner.see("marks")).to_contain_text("the budget all, month passed 80 % of its limit")
    owner.go("/budgets")
    row = owner.see("budget-row")
    said = row.locator("svg[role=img]").get_attribute("aria-label") or ""
    for words in ("$8.20 spent", "$0.5000 reserved", "projected", "of $10.00"):
        assert words in said, said
    expect(row).to_contain_text("limit about")
    expect(row).to_contain_text("passed 80 %")
    expect(row.get_by_test_id("band")).to_be_visible()
    owner.is_accessible("dark" if look.get("dark") else "light")
    owner.is_quiet()


def test_BUD_2_at_the_limit_no_call_is_sent_and_the_run_shows_stopped_by_budget(visit: Any, person: Any, drive: Drive) -> None:
    with running(ModelServer()) as service:
        make_model("small", model="openai/small-1", api_base=f"{service.base}/v1")
        AllowedHost.objects.create(host=service.host)
        Budget.objects.create(scope="model", subject="small", period="day", cost=Decimal("0.000001"))
        drive()
        run = finish(start({"a": asking("Hello", "small")}, ["start -> a"]))
        assert not service.asked
    owner = visit(as_=person("owner"))
    owner.go(f"/runs/{run.public_id}")
    main = owner.page.get_by_role("main")
    expect(main.locator("[data-state=budget_stopped]").first).to_contain_text("Stopped by budget")
    expect(main).to_contain_text("budget model small, day")
    assert not Call.objects.exists()
    owner.is_quiet()


def test_BUD_4_raising_needs_a_reason_and_stands_in_the_audit(visit: Any, person: Any) -> None:
    budget = used("8.2")
    owner = visit(as_=person("owner"))
    owner.go("/budgets/edit?scope=all&subject=&period=month")
    owner.page.get_by_label("Money, $").fill("20")
    owner.see("save").click()
    expect(owner.see("problems")).to_contain_text("raising a limit needs a reason")
    owner.is_accessible()
    owner.page.get_by_label("Reason").fill("a campaign")
    owner.see("save").click()
    owner.page.wait_for_url("**/budgets")
    budget.refresh_from_db()
    assert budget.cost == 20
    assert AuditRow.objects.get(action="budget.change").data["reason"] == "a campaign"
    expect(owner.see("changed")).to_contain_text("cost 10 → 20")
    expect(owner.see("changed")).to_contain_text("by owner: a campaign")
    owner.expect_noise("422")
    owner.is_quiet()


def test_a_limit_below_what_is_spent_is_refused(visit: Any, person: Any) -> None:
    used("8.2")
    owner = visit(as_=person("owner"))
    owner.go("/budgets/edit?scope=all&subject=&period=month")
    owner.page.get_by_label("Money, $").fill("5")
    owner.see("save").click()
    expect(owner.see("problems")).to_contain_text("less than what this month has used")
    expect(owner.page.get_by_label("Money, $")).to_have_value("5")
    owner.expect_noise("422")
    owner.is_quiet()


def test_BUD_3_what_a_provider_billed_beyond_the_bound_is_said(visit: Any, person: Any) -> None:
    used("10.5")
    make_call(make_run(status="succeeded"), "a", cost="0.75", reserved="0.25")
    owner = visit(as_=person("owner"))
    owner.go("/budgets")
    expect(owner.see("over")).to_contain_text("$0.5000 over the limit")
    expect(owner.see("overshoot")).to_contain_text("1 call did, by $0.5000 at most")
    owner.is_accessible()
    owner.is_quiet()


def test_BUD_1_a_budget_that_was_passed_marks_its_day_and_a_view_is_kept(visit: Any, person: Any, ledger: list[Call]) -> None:
    facts = {"actor_name": "budgets", "door": "worker", "action": "budget.reached", "subject_kind": "budget"}
    AuditRow.objects.create(**facts, subject="all, month", data={"share": 80})
    owner = visit(as_=person("owner"))
    owner.go(f"/costs?{period()}&by=flow&then=model")
    expect(owner.see("marks")).to_contain_text("the budget all, month passed 80 % of its limit")
    expect(owner.see("cost-part")).to_have_count(5)
    owner.page.get_by_text("Pin this view").click()
    owner.page.get_by_label("Name", exact=True).fill("Two weeks")
    owner.see("pin").click()
    expect(owner.see("view")).to_have_text("Two weeks")
    owner.is_accessible()
    owner.is_quiet()


# --- prices


def test_PRC_1_and_5_a_date_shows_the_rows_of_then_with_their_tiers(visit: Any, person: Any) -> None:
    june, july = timezone.now() - timedelta(days=60), timezone.now() - timedelta(days=5)
    make_price("large-1", at=june, input="2.5", output="10")
    make_price("large-1", at=june, above=200_000, input="5", output="20")
    make_price("large-1", at=july, input="3", output="12")
    long = Price.objects.get(model_id="large-1", above=200_000)
    call = make_call(
        make_run(status="succeeded"),
        "a",
        cost="1.252",
        target="large-1",
        price_id=long.id,
        input_tokens=250_000,
        output_tokens=100,
    )
    owner = visit(as_=person("owner"))
    owner.go(f"/costs/calls/call_{call.id.hex}")
    expect(owner.see("tier")).to_contain_text("over 200,000 input tokens")
    expect(owner.see("receipt-line").first).to_contain_text("$1.2500000000")
    owner.go(f"/prices?on={(june + timedelta(days=2)).date()}")
    page = owner.page.get_by_role("main")
    expect(page).to_contain_text("$2.5")
    expect(page).to_contain_text("over 200,000 input tokens")
    expect(page).not_to_contain_text("$3.0")
    owner.is_accessible()
    owner.is_quiet()


def test_PRC_2_an_overlap_is_refused_with_both_rows(visit: Any, person: Any) -> None:
    make_price("large-1", at=timezone.now() - timedelta(days=60), input="2.5", output="10")
    owner = visit(as_=person("owner"))
    owner.go("/prices/new?model=large-1")
    owner.page.locator("[name=input]").fill("-1")
    owner.page.locator("[name=output]").fill("12")
    owner.page.locator("form button.primary").click()
    expect(owner.see("problems")).to_contain_text("is not a price")
    owner.page.locator("[name=input]").fill("3")
    owner.page.locator("[name=since]").fill(f"{timezone.now() - timedelta(days=30):%Y-%m-%dT00:00}")
    owner.page.locator("form button.primary").click()
    expect(owner.see("problems")).to_contain_text("$3")
    expect(owner.see("problems")).to_contain_text("$2.5")
    expect(owner.page.locator("[name=input]")).to_have_value("3")
    assert Price.objects.filter(model_id="large-1").count() == 1
    owner.is_accessible()
    owner.expect_noise("422")


def test_PRC_3_an_import_shows_what_it_will_do_and_a_broken_line_stops_all_of_it(visit: Any, person: Any) -> None:
    make_price("large-1", at=timezone.now() - timedelta(days=60), input="2.5", output="10")
    before = Price.objects.count()
    owner = visit(as_=person("owner"))
    owner.go("/prices/import")
    owner.page.locator("textarea").fill("model,input,output\nlarge-1,3,12\nlarge-1,x,1\n")
    owner.page.locator("form button.primary").first.click()
    expect(owner.page.get_by_role("main")).to_contain_text("line 3")
    assert Price.objects.count() == before
    make_price("small-1", input="1", output="2")
    owner.page.locator("textarea").fill("model,input,output\nlarge-1,3,12\nsmall-1,1,2\n")
    owner.page.locator("form button.primary").first.click()
    for group, model in (("new", ""), ("changed", "large-1"), ("ignored", "small-1")):
        expect(owner.see(f"group-{group}")).to_contain_text(model or "New 0")
    expect(owner.see("group-changed")).to_contain_text("$2.5")
    assert Price.objects.count() == before + 1
    owner.is_accessible()
    owner.see("import-now").click()
    owner.page.wait_for_url("**/prices")
    assert Price.objects.filter(model_id="large-1").count() == 2
    owner.expect_noise("422")


def test_PRC_4_a_model_without_a_price_stands_in_the_book_at_once(visit: Any, person: Any, ledger: list[Call]) -> None:
    owner = visit(as_=person("owner"))
    owner.go("/prices?tab=unpriced")
    expect(owner.page.get_by_role("main")).to_contain_text("mini-x")
    owner.is_accessible()
    owner.is_quiet()


# --- what another model would have cost


def test_another_model_is_reckoned_on_a_page(visit: Any, person: Any, ledger: list[Call]) -> None:
    make_price("other", input="1", output="1")
    owner = visit(as_=person("owner"), phone=True)
    owner.go(f"/costs/what-if?{period()}&as=other")
    expect(owner.see("what-if-row")).to_have_count(3)
    owner.is_accessible()
    owner.is_quiet()
