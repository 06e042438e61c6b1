"""What another model would have cost: exactly its prices times the tokens, in the row for each call's length."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.test import Client

from flows.access.refusals import Invalid
from flows.costs.whatif import would_have_cost
from flows.models import Call
from tests.makers import make_flow, make_key, make_person, make_run
from tests.runs.journals import make_call, make_price

pytestmark = pytest.mark.django_db


@pytest.fixture
def other() -> str:
    make_price("other", input="1", cached_input="0.1", output="10", reasoning="20")
    make_price("other", above=200_000, input="2", output="20")
    return "other"


def called(tokens: int, **fields: object) -> None:
    plain = {"input_tokens": tokens, "output_tokens": 100, "cached_input_tokens": 0, "cost": "0.5", "target": "first"}
    make_call(make_run(make_flow(), status="succeeded"), "a", **(plain | fields))  # type: ignore[arg-type]


def test_each_call_is_taken_at_the_row_for_its_length(other: str) -> None:
    called(1000, cached_input_tokens=400, output_tokens=50, reasoning_tokens=20)
    called(300_000)
    called(7, target="second", cost="9")
    called(0, input_tokens=None, output_tokens=None)

    second, first = would_have_cost(Call.objects.all(), other)

    short = (Decimal(600) * 1 + Decimal(400) * Decimal("0.1") + 30 * 10 + 20 * 20) / 1_000_000
    long = (Decimal(300_000) * 2 + 100 * 20) / Decimal(1_000_000)
    assert (first.model, first.calls, first.left_out, first.cost, first.instead) == ("first", 2, 1, Decimal(1), short + long)
    assert first.difference == short + long - 1
    assert (second.model, second.calls, second.cost) == ("second", 1, 9)


def test_a_missing_figure_is_unknown_and_a_model_without_a_price_is_refused(other: str) -> None:
    called(10)
    make_price("half", input="1", output=None)
    assert would_have_cost(Call.objects.all(), "half")[0].instead is None
    with pytest.raises(Invalid, match="cannot be reckoned"):
        would_have_cost(Call.objects.all(), "unheard-of")


def test_page_and_api_say_the_same_and_change_nothing(other: str) -> None:
    called(1000)
    called(1000, simulated=True)
    before = list(Call.objects.values())
    client = Client()
    client.force_login(make_person("operator"))
    _, secret = make_key(make_person("operator"), "costs:read")

    page = client.get("/costs/what-if?from=2026-01-01&to=2027-01-01&as=other").content.decode()
    answer = Client().get("/api/v1/costs/what-if?as=other", headers={"Authorization": f"Bearer {secret}"}).json()

    assert answer["items"] == [
        {"model": "first", "calls": 1, "left_out": 0, "cost": "0.5", "instead": "0.002", "difference": "-0.498"}
    ]
    assert 'data-money="0.002000000000"' in page
    assert list(Call.objects.values()) == before
    assert client.get("/costs/what-if?as=unheard-of").status_code == 422
