"""The cost explorer: each level equals the row above it exactly, whatever is chosen; nothing unknown is shown as nothing."""

from __future__ import annotations

import csv
import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import escape, unescape
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from flows.costs.folding import fold_everything, forget_sums
from flows.costs.tables import table_of
from flows.models import AuditRow, Budget, Call, Run
from flows.runs.spending.wanted import wanted_by
from tests.makers import make_actor, make_flow, make_person, make_run, make_team
from tests.runs.journals import make_call

pytestmark = pytest.mark.django_db

ROW = re.compile(r'data-testid="cost-row">\s*<td class="lead">(?:<a href="(?P<url>[^"]+)">)?(?P<label>[^<]+).*?</tr>', re.DOTALL)
CALLS = re.compile(r'data-label="Calls">([0-9]+)<')
MONEY = re.compile(r'data-money="([^"]*)"')


class Summed(Client):
    """Reads with all days summed that are over, as they are after a few minutes on a running system."""

    def get(self, *args: Any, **kwargs: Any) -> Any:
        forget_sums()
        fold_everything()
        return super().get(*args, **kwargs)


@pytest.fixture(params=[Client, Summed])
def client(request: pytest.FixtureRequest) -> Client:
    client: Client = request.param()
    client.force_login(make_person("operator"))
    return client


def seen(client: Client, url: str, status: int = 200) -> str:
    answer = client.get(url)
    assert answer.status_code == status, answer.content.decode()[:1500]
    return answer.content.decode()


def sent(client: Client, url: str) -> str:
    """What a download holds."""

    async def collected(answer: Any) -> bytes:
        return b"".join([part async for part in answer.streaming_content])

    return async_to_sync(collected)(client.get(url)).decode()


def amount(page: str, testid: str) -> Decimal:
    found = re.search(rf'data-testid="{testid}">(.*?)</(?:dd|td)>', page, re.DOTALL)
    assert found is not None
    return Decimal(MONEY.findall(found[1])[0])


def rows(page: str) -> dict[str, tuple[str, Decimal]]:
    """By label: where the row leads, and what it costs."""
    return {
        unescape(found["label"]): (unescape(found["url"] or ""), Decimal(MONEY.findall(found[0])[-1]))
        for found in ROW.finditer(page)
    }


def when(call: Call, moment: datetime) -> Call:
    Call.objects.filter(id=call.id).update(started_at=moment)
    return call


@pytest.fixture
def spent() -> list[Run]:
    """Two flows over three days, real money, with figures that no rounding survives."""
    noon = timezone.now().replace(hour=12, minute=0)
    runs = []
    for slug in ("refunds", "contracts"):
        flow = make_flow(slug)
        for days in range(3):
            run = make_run(flow, status="succeeded")
            runs.append(run)
            for n in range(3):
                cost = f"0.00{days}1234567{n}"
                when(make_call(run, f"step{n}", cost=cost, target=f"model-{n % 2}"), noon - timedelta(days=days))
    return runs


def period(days: int = 40) -> str:
    today = timezone.localdate()
    return f"from={today - timedelta(days=days)}&to={today}"


def test_CST_1_each_level_is_the_row_above_it_exactly(client: Client, spent: list[Run]) -> None:
    url = f"/costs?{period()}&by=month"
    page = seen(client, url)
    assert amount(page, "total") == sum(call.settled or 0 for call in Call.objects.all())
    levels = []
    while True:
        found = rows(page)
        if not found:
            break
        assert sum(cost for _, cost in found.values()) == amount(page, "total") == amount(page, "table-total")
        label, (url, cost) = max(found.items(), key=lambda pair: pair[1][1])
        levels.append(label)
        page = seen(client, url)
        assert amount(page, "total") == cost
    calls = [Decimal(money) for line in page.split('data-testid="cost-call"')[1:] for money in MONEY.findall(line)[-1:]]
    assert len(levels) == 4, levels
    assert sum(calls) == amount(page, "total")
    assert page.count('href="/costs/calls/') == len(calls) == 3


def test_CST_1_a_program_is_told_what_the_page_shows(client: Client, spent: list[Run]) -> None:
    """The table of `GET /costs`, too, is that of sums and of the calls since, to the last place."""
    owner, run = make_actor("owner"), spent[0]
    when(make_call(run, "late", cost="0.0000000001", target="model-9"), timezone.now())
    make_call(run, "pretended", cost="7", simulated=True)
    whole = [(by, "") for by in ("day", "flow", "model", "provider", "run", "step", "tag", "version")]
    narrowed = [("run", "&flow=refunds"), ("step", "&flow=refunds"), ("model", "&step=step1,late"), ("run", "&purpose=all")]
    for by, narrow in whole + narrowed:
        query = f"{period()}&by={by}{narrow}"
        page, wanted = seen(client, f"/costs?{query}"), wanted_by(QueryDict(query))
        total, table = table_of(owner, wanted.scope(), by)
        assert amount(page, "total") == total.cost + total.simulated
        told = [(each.cost + each.simulated, each.calls) for each in table]
        shown = [(Decimal(MONEY.findall(row[0])[-1]), int(CALLS.findall(row[0])[0])) for row in ROW.finditer(page)]
        assert shown == told, (by, narrow)


def test_a_bar_of_the_chart_leads_to_its_days(client: Client, spent: list[Run]) -> None:
    """In the table that has the chart's figures, over days and over stretches of them, with the same choices."""
    for days in (40, 200):
        page = seen(client, f"/costs?{period(days)}&by=flow&flow=refunds")
        bars = re.findall('<th scope="row"><a href="([^"]+)">.*?data-money="([^"]+)"', page.split('data-testid="chart-table"')[1])
        assert bars
        for url, total in bars:
            assert amount(seen(client, unescape(url)), "total") == Decimal(total)


def test_a_flows_page_tells_what_its_runs_have_cost_and_those_of_no_other(client: Client, spent: list[Run]) -> None:
    early = make_call(make_run(spent[0].flow, status="succeeded"), "early", cost="1")
    when(early, timezone.now() - timedelta(days=70))
    page = seen(client, "/flows/refunds?tab=costs")

    told = [Decimal(MONEY.findall(row)[0]) for row in page.split('data-testid="spend-row"')[1:]]
    month = timezone.localtime().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    calls = Call.objects.filter(run__flow__slug="refunds")
    assert told == [sum(call.settled or 0 for call in each) for each in (calls.filter(started_at__gte=month), calls)]


def test_CST_2_what_has_no_price_makes_totals_a_lower_bound_and_is_listed(client: Client, spent: list[Run]) -> None:
    for n in range(2):
        make_call(spent[0], f"dark{n}", cost=None)
    page = seen(client, f"/costs?{period()}&by=flow")

    assert "≥" in page.split('data-testid="total"')[1][:200]
    found = re.search(r'<a href="([^"]+)">review 2</a>', page)
    assert found is not None
    review = seen(client, unescape(found[1]))
    assert review.count('data-testid="cost-call"') == 2
    assert review.count("unpriced</span>") >= 2


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_CST_4_an_export_sums_to_the_total_with_currency_source_and_price(client: Client, spent: list[Run], form: str) -> None:
    total = amount(seen(client, f"/costs?{period()}&by=flow&flow=refunds"), "total")

    text = sent(client, f"/costs/export.{form}?{period()}&by=flow&flow=refunds")
    lines: list[dict[str, Any]] = (
        list(csv.DictReader(text.splitlines())) if form == "csv" else [json.loads(line) for line in text.splitlines()]
    )

    assert sum(Decimal(line["cost"]) for line in lines) == total
    assert {line["flow"] for line in lines} == {"refunds"}
    assert {line["currency"] for line in lines} == {"USD"}
    assert {"usage_source", "price_id", "call", "run"} <= lines[0].keys()


def test_a_cell_of_the_export_is_no_formula(client: Client, spent: list[Run]) -> None:
    make_call(spent[0], "=cmd()", cost="1")
    text = sent(client, f"/costs/export.csv?{period()}")

    assert "'=cmd()" in text
    assert ",=cmd()" not in text


def test_CST_5_every_choice_is_in_the_address_and_can_be_taken_back(client: Client, spent: list[Run]) -> None:
    page = seen(client, f"/costs?{period()}&by=model&flow=refunds")

    assert set(rows(page)) == {"model-0", "model-1"}
    assert 'data-filter="flow"' in page
    assert f'href="/costs?{escape(period())}&amp;by=model" aria-label="Remove filter Flow"' in page


@pytest.mark.parametrize("by", ["hour", "provider", "route", "team"])
def test_each_grouping_comes_to_the_total(client: Client, spent: list[Run], by: str) -> None:
    make_call(make_run(make_flow(team=make_team("ops")), status="succeeded"), "a", cost="0.5", target="model-1", route="balanced")
    page = seen(client, f"/costs?{period(20)}&by={by}")

    assert sum(cost for _, cost in rows(page).values()) == amount(page, "total")
    assert len(rows(page)) > 1 or by == "provider"


def test_a_run_with_two_tags_stands_in_both_and_untagged_ones_in_none(client: Client) -> None:
    flow = make_flow()
    for cost, tags in (("1", ["a", "b"]), ("2", ["a"]), ("4", [])):
        make_call(make_run(flow, status="succeeded", tags=tags), "s", cost=cost)
    page = seen(client, f"/costs?{period()}&by=tag")

    assert {label: cost for label, (_, cost) in rows(page).items()} == {"a": 3, "b": 1, "none": 4}
    assert amount(page, "total") == 7
    assert amount(seen(client, rows(page)["a"][0]), "total") == 3


@pytest.mark.parametrize(("by", "then"), [("flow", "model"), ("day", "flow"), ("model", "person"), ("run", "route")])
def test_the_parts_of_each_row_come_to_the_row_and_lead_on(client: Client, spent: list[Run], by: str, then: str) -> None:
    page = seen(client, f"/costs?{period()}&by={by}&then={then}")
    groups = page.split('data-testid="cost-row"')[1:]

    assert len(groups) == {"flow": 2, "day": 3, "model": 2, "run": 6}[by]
    for group in groups:
        row, *parts = group.split("</tbody>")[0].split('data-testid="cost-part"')
        assert parts
        assert sum(Decimal(MONEY.findall(part)[-1]) for part in parts) == Decimal(MONEY.findall(row)[-1])
    link = re.search(
        r'data-testid="cost-part".*?href="([^"]+)".*?data-money="([^"]+)"[^>]*>[^<]*</span></td></tr>', page, re.DOTALL
    )
    if link is not None:
        assert amount(seen(client, unescape(link[1])), "total") == Decimal(link[2])
    seen(client, f"/costs?{period()}&by={by}&then={by}", 422)


def test_long_tables_have_pages_and_one_total(client: Client) -> None:
    flow = make_flow()
    for _ in range(53):
        make_call(make_run(flow, status="succeeded"), "s", cost="0.1")
    first = seen(client, f"/costs?{period()}&by=run")
    onward = re.search(r'href="([^"]+)" rel="next"', first)
    assert onward is not None
    second = seen(client, unescape(onward[1]))

    assert (len(rows(first)), len(rows(second))) == (50, 3)
    assert amount(first, "table-total") == amount(second, "table-total") == Decimal("5.3")


def test_a_pinned_view_is_an_address_that_only_its_person_sees(client: Client, spent: list[Run]) -> None:
    given = {"name": "Refunds by model", "query": f"{period()}&by=model&flow=refunds", "every": "week"}

    assert client.post("/costs/views", given)["Location"] == f"/costs?{period()}&by=model&flow=refunds"
    page = seen(client, "/costs")
    assert 'data-testid="view" title="Mailed after each week of UTC">Refunds by model · each week</a>' in page
    assert AuditRow.objects.get(action="report.schedule").data["every"] == "week"
    kept = re.search(r'href="([^"]+)" data-testid="view"', page)
    assert kept is not None
    assert set(rows(seen(client, unescape(kept[1])))) == {"model-0", "model-1"}
    other = Client()
    other.force_login(make_person("operator"))
    assert "Refunds by model" not in seen(other, "/costs")
    removal = re.search(r'action="(/costs/views/[0-9a-f]+/removal)"', page)
    assert removal is not None
    assert other.post(removal[1]).status_code == 404
    assert client.post(removal[1]).status_code == 302
    assert "Refunds by model · each week" not in seen(client, "/costs")
    assert [row.data["every"] for row in AuditRow.objects.filter(action="report.schedule").order_by("id")] == ["week", "never"]
    for wrong in ({"name": ""}, {"query": "by=wind"}, {"every": "hour"}):
        assert client.post("/costs/views", given | wrong).status_code == 422


def test_BUD_1_a_day_on_which_a_budget_passed_a_share_is_marked_in_the_chart(client: Client, spent: list[Run]) -> None:
    data = {"share": 80, "spent": "8.2", "limit": "10"}
    facts = {"actor_name": "budgets", "door": "worker", "action": "budget.reached", "subject_kind": "budget"}
    AuditRow.objects.create(**facts, subject="all, month", data=data)
    AuditRow.objects.create(**facts, subject="flow contracts, month", data=data)

    page = seen(client, f"/costs?{period()}&by=flow")
    assert page.count('data-testid="budget-mark"') == 1
    assert "the budget all, month passed 80 % of its limit" in page
    assert seen(client, f"/costs?{period()}&flow=contracts").count('data-testid="budget-mark"') == 2


def test_CST_6_simulated_money_is_apart(client: Client, spent: list[Run]) -> None:
    make_call(spent[0], "sim", cost="7", simulated=True)
    real = amount(seen(client, f"/costs?{period()}"), "total")

    assert amount(seen(client, f"/costs?{period()}&purpose=simulated"), "total") == 7
    assert amount(seen(client, f"/costs?{period()}&purpose=all"), "total") == real + 7


def test_calls_stand_apart_by_what_they_were_for(client: Client) -> None:
    """A rehearsal is no production, a draft's test with a real model costs real money and says so."""
    flow = make_flow()
    for cost, purpose, simulated in (("1", "live", False), ("2", "test", False), ("4", "drill", True), ("8", "live", True)):
        make_call(make_run(flow, status="succeeded", purpose=purpose), "a", cost=cost, simulated=simulated)

    found = rows(seen(client, f"/costs?{period()}&by=purpose&purpose=all"))

    assert {label: cost for label, (_, cost) in found.items()} == {"production": 1, "test": 2, "drill": 4, "simulated": 8}
    assert amount(seen(client, f"/costs?{period()}"), "total") == 3
    for label, (url, cost) in found.items():
        assert amount(seen(client, unescape(url)), "total") == cost, label


def test_CST_7_days_are_those_of_the_readers_zone(client: Client) -> None:
    run = make_run(make_flow(), status="succeeded")
    today = timezone.localdate()
    when(
        make_call(run, "late", cost="1"),
        datetime.combine(today - timedelta(days=2), datetime.min.time(), tzinfo=UTC).replace(hour=23),
    )
    client.cookies["tz"] = "Asia/Tokyo"

    page = seen(client, f"/costs?{period(10)}&by=day")

    day = today - timedelta(days=1)
    assert list(rows(page)) == [f"{day:%a} {day.day} {day:%b %Y}"]
    assert "Days are those of Asia/Tokyo" in page


def test_each_row_says_how_much_more_it_costs_than_in_the_period_before(client: Client) -> None:
    noon = timezone.now().replace(hour=12, minute=0)
    runs = {slug: make_run(make_flow(slug), status="succeeded") for slug in ("refunds", "contracts")}
    for slug, days, cost in (("refunds", 1, "3"), ("refunds", 3, "2"), ("contracts", 1, "1"), ("contracts", 9, "5")):
        when(make_call(runs[slug], f"s{days}", cost=cost), noon - timedelta(days=days))
    today = timezone.localdate()
    page = seen(client, f"/costs?from={today - timedelta(days=2)}&to={today - timedelta(days=1)}&by=flow")

    changes = re.findall(r'data-label="Against before">(?:<span class="faint">)?([^<]+)<', page)
    assert changes == ["+50 %", "–"]
    assert 'data-label="Against before"' not in seen(client, f"/costs?{period()}&by=month")


def test_what_failed_and_was_paid_for_is_waste(client: Client, spent: list[Run]) -> None:
    make_call(spent[0], "lost", cost="0.5", status="failed_final")

    assert amount(seen(client, f"/costs?{period()}"), "wasted") == Decimal("0.5")


def test_costs_of_teams_that_one_is_not_in_are_absent(spent: list[Run]) -> None:
    team = make_team()
    make_call(make_run(make_flow(team=team), status="succeeded"), "x", cost="100")
    client, stranger = Client(), make_person("operator", team=make_team())
    client.force_login(stranger)

    assert amount(seen(client, f"/costs?{period()}"), "total") < 1


@pytest.mark.parametrize(
    "query", ["by=wind", "from=soon", "from=2026-02-01&to=2026-01-01", "purpose=x", "run=run_x", "version=x", "from=1026-01-01"]
)
def test_what_cannot_be_shown_is_said(client: Client, query: str) -> None:
    page = seen(client, f"/costs?{query}", 422)

    assert "These costs cannot be shown." in page


def test_an_empty_period_says_what_will_stand_here(client: Client) -> None:
    assert "Nothing was spent here" in seen(client, "/costs")


@pytest.mark.parametrize(
    "by", ["day", "person", "run", "step", "tag", "call", "day&then=flow", "month&then=flow", "run&then=flow", "step&then=model"]
)
def test_CST_9_the_number_of_queries_does_not_grow(client: Client, spent: list[Run], by: str) -> None:
    """At most the twelve of a list, whatever is chosen, where days are summed."""
    fold_everything()

    def queries() -> int:
        with CaptureQueriesContext(connection) as caught:
            assert Client.get(client, f"/costs?{period(200)}&by={by}").status_code == 200
        return len(caught)

    before = queries()
    flow = make_flow()
    for n in range(30):
        make_call(make_run(flow, status="succeeded"), f"s{n}", cost="1")

    assert queries() == before
    assert before <= 12


def test_what_a_run_costs_is_told_of_the_middle_one_of_each_and_of_each_success(client: Client) -> None:
    flow = make_flow()
    for cost, status in (("1", "succeeded"), ("2", "succeeded"), ("9", "failed")):
        run = make_run(flow, status=status)
        when(make_call(run, "a", cost=cost), timezone.now() - timedelta(days=2))
        make_call(run, "b", cost="0.3")
    make_call(make_run(flow, status="succeeded"), "sim", cost="70", simulated=True)
    page = seen(client, f"/costs/per-run?{period()}")

    assert (amount(page, "median-run"), amount(page, "each-run"), amount(page, "each-success")) == (
        Decimal("2.3"),
        Decimal("4.3"),
        Decimal("6.45"),
    )
    explorer, tiles = seen(client, f"/costs?{period()}"), re.compile("<dt>[A-Z][a-z]+ (?:run|per run|per success)</dt>")
    assert 'hx-get="/costs/per-run?' in explorer
    assert tiles.findall(explorer) == tiles.findall(page), "what comes later has its room from the beginning"
    make_call(make_run(flow, status="failed"), "dark", cost=None)
    assert seen(client, f"/costs/per-run?{period()}").count("≥ ") == 3


def test_where_no_call_has_a_price_the_sum_is_called_unpriced(client: Client) -> None:
    make_call(make_run(make_flow(), status="succeeded"), "dark", cost=None)
    page = seen(client, f"/costs?{period()}&by=flow")

    assert amount(page, "total") == 0
    assert "≥" not in page
    assert page.count('<span class="figure" data-money="0.0000000000">—</span> <span class="chip warn">unpriced</span>') == 3


def test_budgets_of_what_the_page_shows_are_lines_in_the_chart(client: Client, spent: list[Run]) -> None:
    for scope, subject, cost, when_ in (
        ("all", "", "0.02", "day"),
        ("all", "", "700", "week"),
        ("flow", "refunds", "0.01", "day"),
    ):
        Budget.objects.create(scope=scope, subject=subject, period=when_, cost=Decimal(cost))
    page = seen(client, f"/costs?{period()}")

    assert page.count('data-testid="budget-line"') == 1
    assert "the budget all, day: $0.02 a day, $0.0200 a bar" in page
    assert "the budget all, week: $700 a week, $100.00 a bar: far above all bars" in page
    assert "the budget flow refunds, day: $0.01 a day" in seen(client, f"/costs?{period()}&flow=refunds")
    assert 'data-testid="budget-line"' not in seen(client, f"/costs?{period()}&flow=contracts")


def test_the_days_that_are_left_of_the_month_have_a_band_in_the_chart(client: Client) -> None:
    today = timezone.localdate()
    run = make_run(make_flow(), status="succeeded")
    make_call(run, "now", cost="1")
    assert "Not enough history" in seen(client, "/costs")
    for days in range(1, 29):
        when(make_call(run, f"s{days}", cost=str(days)), timezone.now() - timedelta(days=days))
    page = seen(client, "/costs")
    month_end = (today.replace(day=1) + timedelta(days=32)).replace(day=1) - timedelta(days=1)

    assert page.count('data-testid="band"') == (month_end - today).days
    assert "Not enough history" not in page
    assert ("Forecast: what is spent so far" in page) == (month_end != today)
