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
    """Dollars per million tokens. None is an unknown figure; but without `cached_input` and `cache_write` those parts of the input
    cost what `input` costs, and without `reasoning` that part of the output costs what `output` costs.

    A row holds for requests of more than `above` input tokens. `beyond` are the rows of the same moment for longer ones, by rising
    `above`.
    """

    id: UUID
    input: Decimal | None
    cached_input: Decimal | None
    output: Decimal | None
    cache_write: Decimal | None = None
    reasoning: Decimal | None = None
    above: int = 0
    beyond: tuple[PriceRow, ...] = ()

    def row_for(self, input_tokens: int) -> PriceRow:
        """The row that holds for a request of so many input tokens."""
        return next((row for row in reversed(self.beyond) if input_tokens > row.above), self)


class Tokens(Protocol):
    """What was used: `cached_input_tokens` is the part of `input_tokens` that came from the provider's cache, `cache_write_tokens`
    the part that was written to it, `reasoning_tokens` the part of `output_tokens` that nobody sees."""

    @property
    def input_tokens(self) -> int: ...
    @property
    def cached_input_tokens(self) -> int: ...
    @property
    def cache_write_tokens(self) -> int: ...
    @property
    def output_tokens(self) -> int: ...
    @property
    def reasoning_tokens(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of token of a call: how many, and at which price. `figure` is None where it is not known; `borrowed` names the kind
    whose price stands in."""

    label: str
    tokens: int
    figure: Decimal | None
    borrowed: str = ""


UNKNOWN = PriceRow(UUID(int=0), None, None, None)


def parts_of(usage: Tokens, price: PriceRow | None) -> list[Part]:
    """What a usage consists of, at the row for its length; the parts come to all of its tokens, once each."""
    row = price.row_for(usage.input_tokens) if price is not None else UNKNOWN
    cached = min(usage.cached_input_tokens or 0, usage.input_tokens)
    written = min(usage.cache_write_tokens or 0, usage.input_tokens - cached)
    output = usage.output_tokens or 0
    apart = min(usage.reasoning_tokens or 0, output) if row.reasoning is not None else 0
    parts = [Part("Input", usage.input_tokens - cached - written, row.input)]
    for label, tokens, figure in (("Cached input", cached, row.cached_input), ("Cache write", written, row.cache_write)):
        if tokens:
            parts.append(Part(label, tokens, row.input if figure is None else figure, "input" if figure is None else ""))
    parts.append(Part("Output", output - apart, row.output))
    if apart:
        parts.append(Part("Reasoning", apart, row.reasoning))
    return parts


def cost_of(usage: Tokens, price: PriceRow | None) -> Decimal | None:
    """Dollars that this usage costs, to twelve places. None where a figure that is needed is not known."""
    if price is None:
        return None
    total = Decimal(0)
    for part in parts_of(usage, price):
        if not part.tokens:
            continue
        if part.figure is None:
            return None
        total += part.figure * part.tokens
    return (total / MILLION).quantize(CENT_OF_A_MICRODOLLAR)


def upper_bound(price: PriceRow | None, input_tokens: int, max_output: int) -> Decimal | None:
    """Dollars that a request can cost at most: what is reserved before it is sent.

    `input_tokens` is our count, raised by a tenth; `max_output` the limit that is always sent. Of the rows whose length the request
    may reach the dearest counts. None where the price is unknown.
    """
    if price is None:
        return None
    longest = input_tokens * INPUT_MARGIN
    total = Decimal(0)
    for row in (price, *(row for row in price.beyond if row.above < longest)):
        if row.input is None or row.output is None:
            return None
        dearest_input = max(row.input, row.cached_input or Decimal(0), row.cache_write or Decimal(0))
        dearest_output = max(row.output, row.reasoning or Decimal(0))
        total = max(total, dearest_input * longest + dearest_output * max_output)
    return (total / MILLION).quantize(CENT_OF_A_MICRODOLLAR, rounding=ROUND_CEILING)
