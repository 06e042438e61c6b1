"""What a streamed answer says of its usage, and what the ledger and the receipt make of it: nothing that was used is shown as free."""

from __future__ import annotations

from decimal import Decimal

import pytest

from flows.models import Call, Price
from flows.runs.receipts import raw_usage_of, receipt_of
from tests.execution.conftest import Drive
from tests.execution.runs import calls_of, finish, model, start
from tests.execution.services import Pair

MILLION = Decimal(1_000_000)


@pytest.fixture
def priced(pair: Pair) -> Pair:
    Price.objects.create(
        model_id="primary", input=Decimal(1), cached_input=Decimal("0.1"), output=Decimal(10), reasoning=Decimal(20)
    )
    return pair


def billed(drive: Drive, directive: str) -> Call:
    drive()
    run = finish(start({"a": model(f"[[serve: {directive}]] one two three four", "primary")}, ["start -> a"]))
    assert run.status == "succeeded"
    (call,) = calls_of(run)
    assert run.spent == call.settled
    return call


@pytest.mark.parametrize("directive", ["no_usage", "zero_usage"])
def test_an_answer_without_usage_is_an_estimate_from_the_price_row(drive: Drive, priced: Pair, directive: str) -> None:
    call = billed(drive, directive)

    receipt = receipt_of(call)
    assert call.usage_source == "estimated"
    assert call.settled is not None
    assert 0 < call.settled <= call.reserved
    assert (receipt.estimated, receipt.adds_up, receipt.unpriced) == (True, True, False)
    assert [line.amount for line in receipt.lines if not line.amount] == []


def test_cached_and_reasoning_tokens_have_lines_and_prices_of_their_own(drive: Drive, priced: Pair) -> None:
    call = billed(drive, "cached")

    read, cached, written = call.input_tokens, call.cached_input_tokens, call.output_tokens
    assert read is not None
    assert cached is not None
    assert written is not None
    assert (cached, call.reasoning_tokens, call.usage_source) == (read // 2, 1, "provider")
    cost = ((read - cached) * 1 + cached * Decimal("0.1") + (written - 1) * 10 + 1 * 20) / MILLION
    assert call.settled == cost
    lines = {line.label: line.amount for line in receipt_of(call).lines}
    assert set(lines) == {"Input", "Cached input", "Output", "Reasoning"}
    assert sum(amount or Decimal(0) for amount in lines.values()) == cost


@pytest.mark.parametrize(("said", "kept"), [("0.0123", Decimal("0.0123")), ("0", Decimal(0))])
def test_what_the_provider_says_a_call_costs_stands_beside_what_was_computed(
    drive: Drive, priced: Pair, said: str, kept: Decimal
) -> None:
    call = billed(drive, f"ok cost={said}")

    assert call.input_tokens is not None
    assert call.output_tokens is not None
    computed = (call.input_tokens * 1 + call.output_tokens * Decimal(10)) / MILLION
    assert (call.settled, call.reported, call.usage_source) == (computed, kept, "provider")
    receipt = receipt_of(call)
    assert receipt.difference == kept - computed
    assert (receipt.said_free, receipt.cost_estimated) == (kept == 0, kept == 0)  # RCP-3: a streamed 0 is not taken as free
    sent = raw_usage_of(call)
    assert sent is not None
    assert (sent["prompt_tokens"], sent["completion_tokens"]) == (call.input_tokens, call.output_tokens)
    assert Decimal(str(sent["cost"])) == kept
