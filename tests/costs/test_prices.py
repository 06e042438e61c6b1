from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from flows.costs.prices import PriceRow, cost_of, upper_bound
from flows.routing.providers.base import Usage

ROW = PriceRow(UUID(int=1), Decimal("0.25"), Decimal("0.025"), Decimal("1.00"))
counts = st.integers(0, 10**7)
figures = st.decimals(0, 1000, places=6)


def test_it_charges_cached_input_apart() -> None:
    assert cost_of(Usage(1_000_000, 400_000, 500_000), ROW) == Decimal("0.15") + Decimal("0.01") + Decimal("0.50")


def test_without_a_cached_price_the_cached_part_costs_the_same() -> None:
    row = PriceRow(UUID(int=1), Decimal(1), None, Decimal(1))
    assert cost_of(Usage(1_000_000, 400_000, 0), row) == Decimal(1)


def test_an_unknown_price_is_not_zero() -> None:
    unknown = PriceRow(UUID(int=1), None, None, None)
    assert cost_of(Usage(1, 0, 1), unknown) is None
    assert cost_of(Usage(1, 0, 1), None) is None
    assert upper_bound(unknown, 1, 1) is None
    assert upper_bound(None, 1, 1) is None
    assert upper_bound(PriceRow(UUID(int=1), Decimal(1), None, None), 1, 1) is None


def test_nothing_used_costs_nothing_even_without_a_price_for_it() -> None:
    assert cost_of(Usage(0, 0, 0), PriceRow(UUID(int=1), None, None, None)) == 0


def test_it_is_exact_where_floats_are_not() -> None:
    row = PriceRow(UUID(int=1), Decimal("0.1"), None, Decimal("0.2"))
    assert cost_of(Usage(3, 0, 0), row) == Decimal("0.000000300000")


@given(counts, counts, counts, figures, figures, figures)
def test_the_bound_covers_what_the_count_allows(
    read: int, cached: int, written: int, one: Decimal, two: Decimal, three: Decimal
) -> None:
    row = PriceRow(UUID(int=1), one, two, three)
    cost, bound = cost_of(Usage(read, cached, written), row), upper_bound(row, read, written)
    assert cost is not None
    assert bound is not None
    assert Decimal(0) <= cost <= bound + Decimal("0.000000000001")
