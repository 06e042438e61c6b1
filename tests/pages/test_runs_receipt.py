"""The receipt of a call: exact decimals, the price that was valid then, what is unknown said as unknown."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from flows.costs.prices import PriceRow, cost_of
from flows.models import Adjustment, Call, Price, Run
from flows.models.identifiers import shown
from tests.makers import make_flow, make_person, make_run, make_team
from tests.runs.journals import make_call, make_price

pytestmark = pytest.mark.django_db


def signed_in(*roles: str, **fields: Any) -> Client:
    client = Client()
    client.force_login(make_person(*roles, **fields))
    return client


def at(call: Call) -> str:
    return f"/costs/calls/{shown('call', call.id)}"


def receipt_of(call: Call, client: Client | None = None) -> str:
    answer = (client or signed_in("operator")).get(at(call))
    assert answer.status_code == 200, answer.content.decode()[:1500]
    return answer.content.decode()


def priced_call(price: Price, inputs: int = 9812, cached: int = 8608, outputs: int = 412, **fields: Any) -> Call:
    """A call whose settled cost is what the engine would have settled."""
    call = Call(input_tokens=inputs, cached_input_tokens=cached, output_tokens=outputs)
    cost = cost_of(call, PriceRow(price.id, price.input, price.cached_input, price.output))  # type: ignore[arg-type]
    run = make_run(status="succeeded", spent=cost or 0)
    return make_call(
        run,
        "greet",
        cost=None if cost is None else str(cost),
        price_id=price.id,
        input_tokens=inputs,
        cached_input_tokens=cached,
        output_tokens=outputs,
        **fields,
    )


def lines(page: str) -> list[tuple[str, int, str, str]]:
    found = re.findall(
        r'data-testid="receipt-line" data-type="([\w ]+)">.*?data-tokens="(\d+)".*?data-price="([\d.]+)".*?data-money="([\d.]+)"',
        page,
        re.DOTALL,
    )
    return [(label, int(tokens), price, amount) for label, tokens, price, amount in found]


def total(page: str) -> str:
    found = re.search(r'data-testid="receipt-total">.*?data-money="([\d.]+)"', page, re.DOTALL)
    assert found is not None
    return found[1]


def test_RCP_1_the_lines_multiply_and_add_exactly() -> None:
    call = priced_call(make_price(input="2.5", cached_input="0.25", output="10"))

    page = receipt_of(call)

    assert lines(page) == [
        ("Input", 1204, "2.500000", "0.0030100000"),
        ("Cached input", 8608, "0.250000", "0.0021520000"),
        ("Output", 412, "10.000000", "0.0041200000"),
    ]
    assert total(page) == "0.0092820000"
    assert "equals the lines above" in page


@pytest.mark.parametrize(
    ("figures", "tokens"),
    [
        ({"input": "0.000000001", "cached_input": None, "output": "123456789.123456789"}, (1, 0, 3)),
        ({"input": "3.333333333", "cached_input": "0.1", "output": "7.777777777"}, (999_999_937, 3, 104_729)),
        ({"input": "0", "cached_input": "0", "output": "0"}, (10, 5, 7)),
    ],
)
def test_RCP_1_it_is_exact_to_the_last_figure(figures: dict[str, str | None], tokens: tuple[int, int, int]) -> None:
    inputs, cached, outputs = tokens
    call = priced_call(make_price(**figures), inputs, cached, outputs)

    page = receipt_of(call)

    from decimal import localcontext

    with localcontext(prec=60):
        for _, count, price, amount in lines(page):
            assert Decimal(price) * count / 1_000_000 == Decimal(amount)
        assert sum(Decimal(amount) for *_, amount in lines(page)) == Decimal(total(page))
    assert "equals the lines above" in page


def test_RCP_2_the_price_is_the_one_that_was_valid_then_though_there_is_a_newer_one() -> None:
    then = make_price(at=timezone.now() - timedelta(days=9), input="1", output="2")
    call = priced_call(then, 1_000_000, 0, 0)
    make_price(at=timezone.now() + timedelta(hours=1), input="7", output="9")

    page = receipt_of(call)

    assert lines(page)[0] == ("Input", 1_000_000, "1.000000", "1.0000000000")
    assert f'data-testid="price-row" data-id="{then.id.hex}"' in page
    assert 'data-testid="newer-price"' in page


def test_RCP_3_what_the_provider_did_not_report_is_an_estimate_from_the_price_row_and_never_free() -> None:
    call = priced_call(make_price(input="1", output="2"), 500, 0, 100, usage_source="estimated")

    page = receipt_of(call)

    assert total(page) == "0.0007000000"
    assert "~$0.0007000000" in page
    assert "estimated" in page.partition('data-testid="basis"')[2][:60]


def test_RCP_4_an_unknown_price_is_stated_as_unknown() -> None:
    run = make_run(status="succeeded", unpriced=1)
    call = make_call(run, "greet", cost=None, price_id=None)

    page = receipt_of(call)

    assert "unpriced" in page.partition('data-testid="receipt-total"')[2]
    assert 'data-testid="add-price"' in page
    assert "$0<" not in page
    assert "$0.0" not in page


def test_RCP_4_a_price_row_without_a_figure_is_unknown_too() -> None:
    run = make_run(status="succeeded", unpriced=1)
    call = make_call(run, "greet", cost=None, price_id=make_price().id, input_tokens=10)

    assert 'data-testid="add-price"' in receipt_of(call)


def test_RCP_5_a_failed_call_that_was_billed_is_marked_as_waste() -> None:
    page = receipt_of(priced_call(make_price(input="1", output="2"), status="failed_final", error_class="invalid_output"))

    assert "failed and was paid for all the same" in page
    assert "invalid_output" in page


def test_a_call_that_broke_off_says_that_its_reservation_was_charged() -> None:
    run = make_run(status="failed", spent="0.31")
    call = make_call(run, "greet", cost="0.31", status="unknown", usage_source="estimated", input_tokens=None, output_tokens=None)

    page = receipt_of(call)

    assert "broke off after it was sent" in page
    assert "~$0.3100000000" in page


def test_a_simulated_call_says_that_no_money_was_spent() -> None:
    page = receipt_of(priced_call(make_price(input="1", output="2"), simulated=True))

    assert 'data-testid="simulated"' in page
    assert "no money was spent" in page


def test_it_leads_to_its_run_step_and_the_calls_beside_it() -> None:
    call = priced_call(make_price(input="1", output="2"), n=2, provider_id="req_8f", reason="candidate 2 of balanced")
    make_call(call.run, "greet", n=1, cost="0", status="failed_retryable", usage_source="none", error_class="rate_limit")

    page = receipt_of(call)

    assert f'href="/runs/{call.run.public_id}"' in page
    assert f"/runs/{call.run.public_id}?step=greet&amp;attempt=1" in page
    assert "req_8f" in page
    assert "candidate 2 of balanced" in page
    assert page.count('data-testid="beside"') == 2
    assert "rate_limit" in page


def test_it_needs_the_right_to_see_costs_and_is_not_there_for_those_who_may_not_see_the_run() -> None:
    flow = make_flow(team=make_team("ours"))
    call = make_call(make_run(flow, status="succeeded"), "greet")

    refused = signed_in("viewer", team=make_team("ours")).get(at(call))
    hidden = signed_in("operator", team=make_team("theirs")).get(at(call))

    assert refused.status_code == 403
    assert "costs.see" in refused.content.decode()
    assert hidden.status_code == 404
    assert signed_in("operator").get("/costs/calls/call_x").status_code == 404
    assert Client().get(at(call)).status_code == 302


def test_PRC_5_a_tier_is_named() -> None:
    base = make_price(at=timezone.now() - timedelta(days=2), input="1", output="2")
    tier = make_price(at=timezone.now() - timedelta(days=2), input="2", output="2", above=200_000)

    assert '<span data-testid="tier">tier base</span>' in receipt_of(priced_call(base))
    assert '<span data-testid="tier">tier over 200,000 input tokens</span>' in receipt_of(priced_call(tier))


def test_RCP_6_what_the_provider_says_stands_beside_what_was_computed() -> None:
    page = receipt_of(priced_call(make_price(input="1", output="2"), 1000, 0, 0, reported="0.0010080000"))

    assert 'data-money="0.0010000000"' in page
    assert 'data-money="0.0010080000"' in page
    assert "difference +$0.0000080000 (0.80 %)" in page


def test_RCP_3_tokens_at_a_reported_cost_of_nothing_are_not_taken_as_free() -> None:
    price = make_price(input="1", output="2")
    page = receipt_of(priced_call(price, 1000, 0, 0, reported="0"))

    assert "~$0.0010000000" in page
    assert "not taken as free" in page
    assert "a cost of $0" in page.partition('data-testid="basis"')[2][:140]
    free = receipt_of(priced_call(make_price("gratis", input="0", output="0"), 1000, 0, 0, reported="0", target="gratis"))
    assert "not taken as free" not in free


def test_it_says_who_was_asked_before_and_what_went_wrong() -> None:
    run = make_run(status="succeeded")
    for n in (1, 2):
        failed = {"status": "failed_retryable", "error_class": "rate_limit", "cost": "0"}
        make_call(run, "a", n=n, target="small-1", route="balanced", **failed)
    call = make_call(run, "a", n=3, target="large-1", route="balanced", route_version=7)
    page = receipt_of(call)

    asked = re.sub(r"<[^>]+>", "", page.partition('data-testid="asked">')[2].partition("</dd>")[0])
    assert asked == "route balanced v7 → small-1 (rate_limit ×2) → large-1"


def test_an_adjustment_stands_beside_what_was_charged() -> None:
    call = make_call(make_run(status="succeeded"), "greet", cost=None)
    price = make_price(input="1", output="2")
    Adjustment.objects.create(call_id=call.id, run_id=call.run_id, price=price, amount="0.5", priced=False, reason="late sheet")

    page = receipt_of(call)

    assert 'data-money="0.5000000000"' in page
    assert "late sheet" in page


def test_the_usage_as_the_provider_sent_it_is_a_file_until_the_payloads_go() -> None:
    sent = {"prompt_tokens": 9, "completion_tokens": 4, "cost": 0.25, "prompt_tokens_details": {"cached_tokens": 3}}
    answer = {"text": "secret words", "output": "secret words", "finish_reason": "stop", "usage": sent}
    team = make_team()
    call = make_call(make_run(make_flow(team=team), status="succeeded"), "greet", response=answer, provider_id="req_8f")
    file = signed_in("operator").get(f"{at(call)}/usage.json")

    assert file.json() == {"call": shown("call", call.id), "model": call.target, "provider_id": "req_8f", "usage": sent}
    assert "attachment" in file["Content-Disposition"]
    assert b"secret" not in file.content
    assert f'href="{at(call)}/usage.json"' in receipt_of(call)
    assert signed_in("viewer").get(f"{at(call)}/usage.json").status_code == 403
    assert signed_in("operator", team=make_team()).get(f"{at(call)}/usage.json").status_code == 404
    Call.objects.filter(id=call.id).update(response=None)
    assert "the provider sent none" in receipt_of(call)
    Run.objects.filter(id=call.run_id).update(purged_at=timezone.now())
    assert "by the retention rule; the figures stay" in receipt_of(call)
    assert signed_in("operator").get(f"{at(call)}/usage.json").status_code == 404


def test_it_takes_few_queries() -> None:
    call = priced_call(make_price(input="1", output="2"))
    client = signed_in("operator")
    receipt_of(call, client)

    with CaptureQueriesContext(connection) as caught:
        receipt_of(call, client)

    assert len(caught) <= 11
