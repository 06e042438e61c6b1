"""What a run will probably cost: what the last ones used, at the prices of now, by the routes of the version that is to run."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from flows.engine.document import FlowDocument, parse_document
from flows.models import Flow, ModelEntry, Price, Route
from flows.routing.expecting import expected_cost
from tests.engine.flows import source_of
from tests.makers import make_actor, make_flow, make_run, make_team
from tests.runs.journals import make_call

pytestmark = pytest.mark.django_db


@pytest.fixture
def flow() -> Flow:
    """Asks `usual`, whose models cost one and two dollars per million tokens of input; the output is free."""
    for name, price in (("old", "8"), ("first", "1"), ("second", "2")):
        model = ModelEntry.objects.create(slug=name, model=f"openai/{name}")
        Price.objects.create(model=model, input=Decimal(price), output=Decimal(0))
    Route.objects.create(slug="usual", candidates=["first", "second"])
    return make_flow("asks", document=document("usual"))


def document(route: str, **steps: Any) -> str:
    asked = {"ask": {"kind": "model", "with": {"route": route, "prompt": "x"}}, **steps}
    return source_of(asked, [f"start -> {key}" for key in asked])


def parsed(route: str = "usual", **steps: Any) -> FlowDocument:
    return parse_document(document(route, **steps))


def ran(flow: Flow, *tokens: int, target: str = "first", path: str = "ask") -> None:
    for count in tokens:
        make_call(make_run(flow, status="succeeded"), path, target=target, input_tokens=count, output_tokens=1, cost="5")


def test_half_of_the_runs_and_nine_in_ten_cost_at_most_the_figures(flow: Flow) -> None:
    ran(flow, *(n * 1_000_000 for n in range(1, 11)))

    found = expected_cost(make_actor("operator"), flow, parsed())

    assert found is not None
    assert (found.cost, found.high, found.runs, found.unpriced, found.simulated) == (5, 9, 10, False, False)
    assert found.method.startswith("The tokens that the last 10 runs that succeeded used, step by step, at today's prices")


def test_a_model_that_the_route_no_longer_has_is_priced_as_its_first(flow: Flow) -> None:
    ran(flow, 1_000_000, target="old")
    assert expected_cost(make_actor("operator"), flow, parsed()).cost == 1  # type: ignore[union-attr]
    assert expected_cost(make_actor("operator"), flow, parsed("old")).cost == 8  # type: ignore[union-attr]


def test_a_fallback_that_happened_counts_as_what_it_was(flow: Flow) -> None:
    ran(flow, 1_000_000, target="second")
    assert expected_cost(make_actor("operator"), flow, parsed()).cost == 2  # type: ignore[union-attr]


def test_what_is_in_a_map_counts_every_time_and_a_step_that_is_gone_never(flow: Flow) -> None:
    run = make_run(flow, status="succeeded")
    for path in ("each[0].a", "each[1].a", "each[2].a", "gone"):
        make_call(run, path, target="first", input_tokens=1_000_000, output_tokens=0)
    body = {"steps": {"a": {"kind": "model", "with": {"route": "usual", "prompt": "x"}}}, "edges": ["start -> a"]}

    found = expected_cost(make_actor("operator"), flow, parsed(each={"kind": "map", "with": {"over": "[1]", "body": body}}))

    assert found is not None
    assert (found.cost, found.unseen) == (3, ("ask",))
    assert found.method.endswith("Not counted, since none of them asked: ask.")


def test_a_missing_price_makes_the_figures_lower_bounds(flow: Flow) -> None:
    ModelEntry.objects.create(slug="free-as-in-unknown", model="openai/x")
    ran(flow, 10)
    assert expected_cost(make_actor("operator"), flow, parsed("free-as-in-unknown")).unpriced  # type: ignore[union-attr]


def test_without_a_run_or_the_right_to_see_costs_nothing_is_said(flow: Flow) -> None:
    assert expected_cost(make_actor("operator"), flow, parsed()) is None
    ran(flow, 10)
    assert expected_cost(make_actor("viewer"), flow, parsed()) is None
    assert expected_cost(make_actor("operator", team=make_team("other")), flow, parsed()) is not None
