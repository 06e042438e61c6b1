"""Model steps: what they cost, what they fall back to, and the limits that stop them before the call."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from flows.costs.prices import PriceRow, cost_of, upper_bound
from flows.models import Call, Price, Run
from flows.routing.providers.base import Usage
from tests.execution.conftest import Drive
from tests.execution.runs import (
    calls_of,
    error_of,
    finish,
    make_model,
    make_route,
    model,
    output_of,
    reach,
    start,
    types_of,
    until,
)


def price_of(call: Call) -> PriceRow:
    price = Price.objects.get(id=call.price_id)
    return PriceRow(price.id, price.input, price.cached_input, price.output)


def test_the_ledger_has_tokens_price_and_exact_cost(drive: Drive) -> None:
    entry = make_model(price=("0.25", "1.5"))
    drive()

    run = finish(start({"a": model("Say something")}, ["start -> a"], limits={"cost": 1}))

    (call,) = calls_of(run)
    assert call.usage_source == "provider"
    assert call.input_tokens
    assert call.output_tokens
    assert call.price_id == entry.prices.get().id
    assert call.simulated
    usage = Usage(call.input_tokens, call.cached_input_tokens or 0, call.output_tokens)
    assert call.settled == cost_of(usage, price_of(call))
    assert call.settled == (Decimal("0.25") * call.input_tokens + Decimal("1.5") * call.output_tokens) / 1_000_000
    assert Decimal(0) < call.settled < call.reserved
    assert (run.spent, run.reserved) == (call.settled, 0)
    assert (run.spent_tokens, run.reserved_tokens) == (call.input_tokens + call.output_tokens, 0)
    assert json.loads(call.request or "")["messages"] == [{"role": "user", "content": "Say something"}]
    assert json.loads(call.response or "")["text"]


def test_a_price_that_changed_later_does_not_change_what_was_charged(drive: Drive) -> None:
    entry = make_model(price=("1", "1"))
    old = entry.prices.get()
    drive()
    first = finish(start({"a": model()}, ["start -> a"]))
    Price.objects.create(model=entry, input=Decimal(2), output=Decimal(2))

    second = until(
        lambda: next((r for r in [finish(start({"a": model()}, ["start -> a"]))] if calls_of(r)[0].price_id != old.id), None)
    )

    assert calls_of(first)[0].price_id == old.id
    assert second.spent == 2 * first.spent


def test_a_503_falls_back_to_the_second_candidate_with_both_calls_in_the_ledger(drive: Drive) -> None:
    make_model("first", settings={"fail": "unavailable"})
    make_model("second")
    make_route("balanced", "first", "second")
    drive()

    run = finish(start({"a": model("[[sim: say=hello]]", "balanced")}, ["start -> a"], output="{{ steps.a.output }}"))

    assert output_of(run) == "hello"
    first, second = calls_of(run)
    assert (first.target, first.status, first.error_class, first.n) == ("first", "failed_retryable", "unavailable", 1)
    assert (second.target, second.status, second.n) == ("second", "succeeded", 2)
    assert first.reason == "first candidate of balanced"
    assert second.reason == "candidate 2 of balanced, after the one before it failed"
    assert (first.settled, run.spent) == (0, second.settled)
    assert first.idempotency_key == second.idempotency_key
    events = types_of(run)
    assert events[2:] == ["step.started", "call.failed", "call.started", "step.succeeded", "run.ended"]


def test_a_class_that_the_route_does_not_name_does_not_fall_back(drive: Drive) -> None:
    make_model("first", settings={"fail": "bad_request"})
    make_model("second")
    make_route("balanced", "first", "second")
    drive()

    run = finish(start({"a": model(route="balanced")}, ["start -> a"]))

    assert (run.status, run.reason) == ("failed", "bad_request")
    assert [call.target for call in calls_of(run)] == ["first"]


def test_when_every_candidate_fails_the_step_fails_as_the_last_one_did(drive: Drive) -> None:
    make_model("first", settings={"fail": "unavailable"})
    make_model("second", settings={"fail": "rate_limit"})
    make_route("balanced", "first", "second")
    drive()

    run = finish(start({"a": model(route="balanced")}, ["start -> a"]))

    assert run.reason == "rate_limit"
    assert [call.status for call in calls_of(run)] == ["failed_retryable"] * 2


def test_an_answer_that_is_not_of_the_schema_is_paid_for(drive: Drive) -> None:
    make_model(settings={"fail": "invalid_output"})
    schema = {"type": "object", "required": ["x"], "properties": {"x": {"type": "integer"}}}
    drive()

    run = finish(start({"a": model(with_={"output": schema, "repair": 0})}, ["start -> a"]))

    assert run.reason == "invalid_output"
    (call,) = calls_of(run)
    assert call.settled == run.spent
    assert run.spent > 0


def test_a_step_whose_route_is_slow_ends_with_its_timeout_and_is_charged_what_was_reserved(drive: Drive) -> None:
    make_model(settings={"delay": 30})
    drive()

    run = finish(start({"a": model(timeout="200ms")}, ["start -> a"]), within=15)

    assert (run.status, run.reason) == ("failed", "timeout")
    assert error_of(run)["class"] == "timeout"
    (call,) = calls_of(run)
    assert call.settled == call.reserved
    assert call.usage_source == "estimated"


def test_a_missing_key_names_the_environment_variable(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    make_model("real", model="openai/real", api_base="http://127.0.0.1:1/v1", api_key_env="NO_SUCH_KEY")
    drive()

    run = finish(start({"a": model(route="real")}, ["start -> a"]))

    assert run.reason == "bad_key"
    assert "NO_SUCH_KEY" in error_of(run)["message"]
    assert calls_of(run)[0].settled == 0


def test_an_unknown_price_is_refused_where_a_cost_limit_applies_with_the_words_to_mend_it(drive: Drive) -> None:
    make_model(price=None)
    drive()

    by_run = finish(start({"a": model()}, ["start -> a"], limits={"cost": 1}))
    by_step = finish(start({"a": model(limits={"cost": 1})}, ["start -> a"]))

    for run in (by_run, by_step):
        assert run.reason == "bad_request"
        assert "The price of sim-a is not known" in error_of(run)["message"]
        assert "add a price for it to the price book" in error_of(run)["message"]
        assert calls_of(run) == []


def test_an_unknown_price_without_a_limit_stays_unknown(drive: Drive) -> None:
    make_model(price=None)
    drive()

    run = finish(start({"a": model()}, ["start -> a"]))

    assert run.status == "succeeded"
    assert calls_of(run)[0].settled is None
    assert (run.unpriced, run.spent) == (1, 0)
    assert run.spent_tokens > 0


# ---------------------------------------------------------------------- limits


def parallel(count: int, **directives: Any) -> tuple[dict[str, Any], list[str]]:
    """Steps side by side whose answers have ten tokens at most."""
    told = " ".join(f"[[sim: {name}={what}]]" for name, what in {"delay": 0.1, **directives}.items())
    steps = {f"b{n}": model(f"{told} {n}", with_={"max_output": 10}) for n in range(count)}
    return steps, [f"start -> b{n}" for n in range(count)]


def watched(run: Run) -> tuple[Run, Decimal]:
    """The ended run, and the most that it had spent and reserved together at any time."""
    most = Decimal(0)

    def look() -> bool:
        nonlocal most
        now = Run.objects.get(id=run.id)
        most = max(most, now.spent + now.reserved)
        return now.ended_at is not None

    until(look)
    return finish(run), most


def test_parallel_branches_never_exceed_the_cap_together(drive: Drive) -> None:
    make_model(price=("0", "100000"))  # a token of output costs ten cents, and ten are reserved: a dollar a call
    steps, edges = parallel(8, tokens=40)
    drive()

    run, most = watched(start(steps, edges, limits={"cost": 3, "at_limit": "stop"}))

    assert (run.status, run.reason) == ("budget_stopped", "cost")
    assert most <= 3
    assert run.spent <= 3
    made = calls_of(run)
    assert len(made) == 3
    assert all(call.status == "succeeded" for call in made)


def test_room_that_settling_calls_make_is_used(drive: Drive) -> None:
    make_model(price=("0", "100000"))
    steps, edges = parallel(8, say="x")  # all eight fit, but not all at once
    drive()

    run, most = watched(start(steps, edges, limits={"cost": "2.5"}))

    assert run.status == "succeeded"
    assert len(calls_of(run)) == 8
    assert most <= Decimal("2.5")


def test_a_cap_that_has_no_room_for_the_first_call_stops_the_run_before_it(drive: Drive) -> None:
    make_model(price=("0", "100000"))
    drive()

    run = finish(start({"a": model(with_={"max_output": 100})}, ["start -> a"], limits={"cost": 1, "at_limit": "stop"}))

    assert (run.status, run.reason, run.spent) == ("budget_stopped", "cost", 0)
    assert calls_of(run) == []
    assert "The run's limit of $1" in error_of(run)["message"]


def test_the_lower_of_two_limits_holds(drive: Drive) -> None:
    make_model(price=("0", "100000"))
    drive()

    run = start(
        {"a": model(with_={"max_output": 100})},
        ["start -> a"],
        limits={"cost": 100},
        run_limits={"cost": "1", "at_limit": "stop"},
    )

    assert finish(run).status == "budget_stopped"


def test_a_cap_on_tokens_stops_the_run(drive: Drive) -> None:
    make_model()
    steps = {f"s{n}": model(f"{n}", with_={"max_output": 50}) for n in range(6)}
    drive()

    run = finish(
        start(steps, ["start -> s0", *(f"s{n} -> s{n + 1}" for n in range(5))], limits={"tokens": 150, "at_limit": "stop"})
    )

    assert (run.status, run.reason) == ("budget_stopped", "tokens")
    assert 0 < run.spent_tokens <= 150
    assert run.reserved_tokens == 0
    assert 1 <= len(calls_of(run)) < 6


def test_a_cap_on_steps_stops_the_run(drive: Drive) -> None:
    make_model()
    drive()

    run = finish(start({"a": model(), "b": model()}, ["start -> a", "a -> b"], limits={"steps": 1, "at_limit": "stop"}))

    assert (run.status, run.reason) == ("budget_stopped", "steps")
    assert [call.path for call in calls_of(run)] == ["a"]


def test_a_steps_own_limit_stops_the_run_before_the_call(drive: Drive) -> None:
    make_model(price=("0", "100000"))
    drive()

    run = finish(start({"a": model(limits={"cost": "0.5", "at_limit": "stop"})}, ["start -> a"]))

    assert (run.status, run.reason) == ("budget_stopped", "cost of a")
    assert calls_of(run) == []
    assert "The limit of $0.5 of step" in error_of(run)["message"]


def test_the_reservation_is_the_upper_bound_of_the_call(drive: Drive) -> None:
    make_model(price=("3", "7"), settings={"delay": 30})
    drive()
    run = start({"a": model(with_={"max_output": 40})}, ["start -> a"])

    (call,) = until(lambda: calls_of(run))
    now = reach(run, "running")

    assert now.reserved == call.reserved == upper_bound(price_of(call), call.reserved_tokens - 40, 40)
    assert now.reserved_tokens == call.reserved_tokens
    assert now.open_calls == 1


def test_a_call_notes_how_long_its_first_text_took(drive: Drive) -> None:
    make_model(settings={"delay": 0.2})
    make_model("dead", settings={"fail": "unavailable"})
    drive()

    (call,) = calls_of(finish(start({"a": model()}, ["start -> a"])))
    (failed,) = calls_of(finish(start({"a": model(route="dead")}, ["start -> a"])))

    assert call.first_text is not None
    assert 0.1 < call.first_text <= (call.ended_at - call.started_at).total_seconds() + 0.1
    assert failed.first_text is None
