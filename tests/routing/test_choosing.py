"""Which model of a route is asked, and what is said of those that are not."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from flows.costs.prices import PriceRow
from flows.engine.failures import BadRequest, ContextTooLong, TooDear, Unavailable
from flows.routing.choosing import Walk, Wanted
from flows.routing.definitions import Candidate, ModelInfo, RouteInfo


def info(slug: str, price: str | None = "1", **fields: Any) -> ModelInfo:
    row = None if price is None else PriceRow(UUID(int=1), Decimal(price), None, Decimal(price))
    return ModelInfo(slug, f"sim/{slug}", price=row, **fields)


SMALL, LARGE, OTHER = info("small"), info("large", "10", context=100_000), info("other", None)


def walk(*candidates: Any, wanted: Wanted | None = None, models: Any = (SMALL, LARGE, OTHER), **more: Any) -> Walk:
    latencies = more.pop("latencies", {})
    route = RouteInfo("balanced", tuple(Candidate.of(each) for each in candidates), frozenset({"unavailable"}), **more)
    return Walk(route, wanted or Wanted(input_tokens=100), {model.slug: model for model in models}, latencies)


def order(course: Walk) -> list[str]:
    return [model.slug for model in course.order]


def said(course: Walk, taken: ModelInfo) -> list[tuple[str, str]]:
    return [(each.model, each.verdict) for each in course.verdicts(taken)]


def test_it_keeps_the_order_of_the_route() -> None:
    course = walk("small", "large")

    assert order(course) == ["small", "large"]
    assert said(course, SMALL) == [("small", "taken"), ("large", "waiting")]
    assert course.why(SMALL) == "first candidate of balanced"


def test_one_that_failed_stands_in_the_account_of_the_next() -> None:
    course = walk("small", "large")
    course.fail(SMALL, Unavailable("down"))

    assert said(course, LARGE) == [("small", "failed"), ("large", "taken")]
    assert course.verdicts(LARGE)[0].why == "unavailable: down"
    assert course.why(LARGE) == "candidate 2 of balanced, after the one before it failed"


def test_the_cheapest_goes_first_and_one_without_a_price_last() -> None:
    assert order(walk("other", "large", "small", strategy="cheapest")) == ["small", "large", "other"]


def test_the_fastest_goes_first_and_one_that_was_not_measured_before_it() -> None:
    course = walk("small", "large", "other", strategy="fastest", latencies={"small": 2.0, "large": 0.5})

    assert order(course) == ["other", "large", "small"]
    assert course.why(LARGE) == "the fastest candidate of balanced, 0.5 s"


def test_lots_are_drawn_by_weight_and_the_same_attempt_draws_the_same() -> None:
    candidates = [{"model": "small", "weight": 3}, {"model": "large", "weight": 1}, {"model": "other", "weight": 0}]

    def first(lot: int) -> str:
        return order(walk(*candidates, wanted=Wanted(lot=str(lot)), strategy="weighted"))[0]

    drawn = Counter(first(lot) for lot in range(2000))

    assert drawn["other"] == 0
    assert 0.70 < drawn["small"] / 2000 < 0.80
    assert first(7) == first(7)


@pytest.mark.parametrize(
    ("when", "wanted", "why"),
    [
        ({"tag": "gold"}, Wanted(), "the run has no tag gold"),
        ({"max_input": 50}, Wanted(input_tokens=60), "the input of about 60 tokens is above 50"),
        ({"min_input": 50}, Wanted(input_tokens=40), "the input of about 40 tokens is below 50"),
        (
            {"max_cost": "0.0001"},
            Wanted(input_tokens=10, max_output=100),
            "the call can cost $0.000111000000, and it may cost $0.0001",
        ),
    ],
)
def test_a_condition_that_does_not_hold_skips_the_candidate(when: Any, wanted: Wanted, why: str) -> None:
    course = walk({"model": "small", "when": when}, "large", wanted=wanted)

    assert order(course) == ["large"]
    assert said(course, LARGE) == [("small", "skipped"), ("large", "taken")]
    assert course.verdicts(LARGE)[0].why == why
    assert why in course.why(LARGE)


def test_a_condition_that_holds_does_not() -> None:
    when = {"tag": "gold", "min_input": 1, "max_input": 1000, "max_cost": "1"}

    assert order(walk({"model": "small", "when": when}, wanted=Wanted(100, tags=frozenset({"gold"})))) == ["small"]


def test_a_ceiling_of_cost_skips_what_has_no_price() -> None:
    course = walk({"model": "other", "when": {"max_cost": "1"}}, "small")

    assert course.verdicts(SMALL)[0].why == "its price is not known, and it may cost $1"


def test_one_that_lacks_what_the_step_or_the_route_needs_is_skipped() -> None:
    able = info("able", capabilities=frozenset({"tools", "json"}))
    course = walk(
        "small", "able", models=(SMALL, able), wanted=Wanted(capabilities=frozenset({"tools"})), needs=frozenset({"json"})
    )

    assert order(course) == ["able"]
    assert course.verdicts(able)[0].why == "it lacks json, tools"


def test_an_input_longer_than_a_context_goes_to_one_that_holds_it() -> None:
    assert order(walk("small", "large", wanted=Wanted(input_tokens=50_000))) == ["large"]


def test_our_estimate_alone_refuses_nobody_where_it_would_refuse_all() -> None:
    assert order(walk("small", "large", wanted=Wanted(input_tokens=500_000))) == ["small", "large"]


def test_where_nobody_may_be_asked_the_failure_says_why_of_each() -> None:
    course = walk({"model": "small", "when": {"tag": "gold"}}, {"model": "large", "when": {"max_input": 5}})

    failure = course.nobody()

    assert isinstance(failure, ContextTooLong)
    assert failure.message == (
        "No candidate of the route balanced takes this request: small: the run has no tag gold; "
        "large: the input of about 100 tokens is above 5."
    )
    assert isinstance(walk({"model": "small", "when": {"tag": "gold"}}).nobody(), BadRequest)


def test_only_cheaper_ones_are_left_where_a_limit_has_no_room_for_the_first() -> None:
    course = walk("large", "other", "small")
    course.spare(TooDear("The limit is near."))

    assert order(course) == ["small"]
    assert said(course, SMALL) == [("large", "skipped"), ("other", "skipped"), ("small", "taken")]
    assert course.why(SMALL) == "cheaper candidate of balanced: a limit has no room for the first"
    with pytest.raises(TooDear, match="No candidate of balanced is cheaper than its first"):
        course.spare(TooDear("Again."))
