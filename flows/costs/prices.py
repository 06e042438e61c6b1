"""What a call costs: exact decimal dollars from a price row and the tokens that were used. An unknown price is not zero."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Protocol
from uuid import UUID

MILLION = Decimal(1_000_000)
CENT_OF_A_MICRODOLLAR = Decimal("0.000000000001")  # what the ledger's columns hold
INPUT_MARGIN = Decimal("1.1")  # a provider may count a little more than we do


@dataclass(frozen=True, slots=True)
class PriceRow:
    """Dollars per million tokens. None is an unknown figure; without `cached_input` the cached part costs what `input` costs."""

    id: UUID
    input: Decimal | None
    cached_input: Decimal | None
    output: Decimal | None


class Tokens(Protocol):
    """What was used: `cached_input_tokens` is the part of `input_tokens` that came from the provider's cache."""

    @property
    def input_tokens(self) -> int: ...
    @property
    def cached_input_tokens(self) -> int: ...
    @property
    def output_tokens(self) -> int: ...


def cost_of(usage: Tokens, price: PriceRow | None) -> Decimal | None:
    """Dollars that this usage costs, to twelve places. None where a figure that is needed is not known."""
    if price is None:
        return None
    cached = min(usage.cached_input_tokens, usage.input_tokens)
    cached_price = price.input if price.cached_input is None else price.cached_input
    parts = ((usage.input_tokens - cached, price.input), (cached, cached_price), (usage.output_tokens, price.output))
    total = Decimal(0)
    for tokens, figure in parts:
        if not tokens:
            continue
        if figure is None:
            return None
        total += figure * tokens
    return (total / MILLION).quantize(CENT_OF_A_MICRODOLLAR)


def upper_bound(price: PriceRow | None, input_tokens: int, max_output: int) -> Decimal | None:
    """Dollars that a request can cost at most: what is reserved before it is sent.

    `input_tokens` is our count, raised by a tenth; `max_output` the limit that is always sent. None where the price is unknown.
    """
    if price is None or price.input is None or price.output is None:
        return None
    dearest_input = max(price.input, price.cached_input or Decimal(0))
    total = dearest_input * input_tokens * INPUT_MARGIN + price.output * max_output
    return (total / MILLION).quantize(CENT_OF_A_MICRODOLLAR, rounding=ROUND_CEILING)
