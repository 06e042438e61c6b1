"""What one call cost, line by line: tokens times the price that was valid when it began, in exact decimals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from itertools import groupby
from typing import Any

from flows.access.actor import Actor
from flows.access.masking import mask_of
from flows.access.querysets import runs_for
from flows.access.refusals import NotFound
from flows.access.rights import Right, require
from flows.costs.pricebook import row_of, tier_of
from flows.costs.prices import CENT_OF_A_MICRODOLLAR, MILLION, Part, parts_of
from flows.models import Adjustment, Call, Price
from flows.models.identifiers import UnknownIdentifier, parsed
from flows.runs.reads import is_unpriced

DIGITS = 60  # more than any figure times any number of tokens has


def exact_text(amount: Decimal | None, least: int = 10) -> str:
    """An amount with every figure that it has, and at least so many places."""
    if amount is None:
        return ""
    text = f"{amount:f}"
    whole, _, places = text.partition(".")
    return f"{whole}.{places.rstrip('0').ljust(least, '0')}"


@dataclass(frozen=True, slots=True)
class ReceiptLine:
    """One kind of token. `price` is dollars per million, `amount` exactly what that many cost; None where the price is unknown."""

    label: str
    tokens: int
    price: Decimal | None
    amount: Decimal | None
    note: str = ""

    @property
    def price_text(self) -> str:
        return exact_text(self.price, 6)

    @property
    def amount_text(self) -> str:
        return exact_text(self.amount)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A call's account. `total` is the sum of the lines; `charged` what the ledger holds. They are equal, or `why` says why not."""

    call: Call
    price: Price | None
    newer: Price | None
    lines: tuple[ReceiptLine, ...]
    total: Decimal | None
    charged: Decimal | None
    unpriced: bool
    why: str = ""
    tier: str = ""
    adjustments: tuple[Adjustment, ...] = ()

    @property
    def total_text(self) -> str:
        return exact_text(self.total)

    @property
    def charged_text(self) -> str:
        return exact_text(self.charged)

    @property
    def reported_text(self) -> str:
        return exact_text(self.call.reported)

    @property
    def difference(self) -> Decimal | None:
        """What the provider says beyond what was computed; None where it says nothing, or nothing was computed."""
        return None if self.call.reported is None or self.total is None else self.call.reported - self.total

    @property
    def difference_text(self) -> str:
        return exact_text(self.difference)

    @property
    def difference_share(self) -> Decimal | None:
        """The difference as a part of what was computed; None where there is nothing to compare."""
        return self.difference / self.total if self.difference and self.total else None

    @property
    def said_free(self) -> bool:
        """Whether the provider says that tokens which have a price cost nothing: that is not believed."""
        return self.call.reported == 0 and bool(self.total)

    @property
    def now(self) -> Decimal | None:
        """What the call costs with its adjustments."""
        return (self.charged or Decimal(0)) + sum(each.amount for each in self.adjustments) if self.adjustments else self.charged

    @property
    def now_text(self) -> str:
        return exact_text(self.now)

    @property
    def estimated(self) -> bool:
        """Whether the tokens are ours."""
        return self.call.usage_source == "estimated"

    @property
    def cost_estimated(self) -> bool:
        return self.estimated or self.said_free

    @property
    def wasted(self) -> bool:
        """Whether it cost something and gave nothing."""
        return self.call.status in ("failed_retryable", "failed_final", "unknown") and bool(self.charged or self.unpriced)

    @property
    def adds_up(self) -> bool:
        """Whether the lines come to what was charged, as far as the ledger's twelve places go."""
        if self.total is None or self.charged is None:
            return self.total is None and self.charged is None
        with localcontext(prec=DIGITS):
            return self.total.quantize(CENT_OF_A_MICRODOLLAR) == self.charged


def raw_usage_of(call: Call) -> Mapping[str, Any] | None:
    """The usage as the provider sent it; None where it sent none, and where the payload has been removed."""
    answer = mask_of(call.run).read(call.response) if call.kind == "model" else None
    usage = answer.get("usage") if isinstance(answer, dict) else None
    return usage if isinstance(usage, dict) else None


def call_named(actor: Actor, public_id: str) -> Call:
    """The call with its run, flow and version. Raises `NotFound`, and `Forbidden` where the actor may see the run, not its costs."""
    try:
        found = Call.objects.filter(id=parsed("call", public_id), run__in=runs_for(actor))
    except UnknownIdentifier:
        raise NotFound("call") from None
    call = (
        found.select_related("run__flow__team", "run__version", "run__started_by")
        .defer("run__input", "run__output", *_BIG)
        .first()
    )
    if call is None:
        raise NotFound("call")
    require(actor, Right.SEE_COSTS, call.run)
    return call


_BIG = ("run__flow__draft", "run__version__document")


def receipt_of(call: Call) -> Receipt:
    """The account of a call: one query for the rows of its model's price, one for its adjustments."""
    rows = (
        list(Price.objects.filter(model__prices=call.price_id).select_related("entered_by")) if call.price_id is not None else []
    )
    price = next((row for row in rows if row.id == call.price_id), None)
    newer = None
    if price is not None:
        later = [row for row in rows if row.above == price.above and row.valid_from > price.valid_from]
        newer = min(later, key=lambda row: row.valid_from, default=None)
    lines = _lines(call, price)
    total: Decimal | None = None
    if lines and all(line.amount is not None for line in lines):
        with localcontext(prec=DIGITS):
            total = sum((line.amount for line in lines if line.amount is not None), Decimal(0))
    adjustments = tuple(Adjustment.objects.filter(call_id=call.id).select_related("by").order_by("at"))
    tier = tier_of(price, any(row.above for row in rows)) if price is not None else ""
    unpriced = is_unpriced(call) and not adjustments
    return Receipt(call, price, newer, lines, total, call.settled, unpriced, _why(call, lines), tier, adjustments)


def asked_words(call: Call, beside: Iterable[Call]) -> str:
    """Who was asked of the step's attempt until this call, and why each before it did not do: `small-1 (rate_limit ×2) → large-1`."""
    chain = [each for each in beside if each.attempt == call.attempt and each.n <= call.n]
    parts = []
    for target, calls in groupby(chain, key=lambda each: each.target):
        errors = Counter(each.error_class for each in calls if each.error_class)
        said = ", ".join(error if n == 1 else f"{error} ×{n}" for error, n in errors.items())
        parts.append(f"{target} ({said})" if said else target)
    return " → ".join(parts)


def _lines(call: Call, price: Price | None) -> tuple[ReceiptLine, ...]:
    if call.kind != "model" or call.input_tokens is None:
        return ()
    row = row_of(price) if price is not None else None
    return tuple(_line(call, part) for part in parts_of(call, row))  # type: ignore[arg-type]


def _line(call: Call, part: Part) -> ReceiptLine:
    note = f"at the price of {part.borrowed}" if part.borrowed else ""
    if part.label == "Output" and call.reasoning_tokens and part.tokens == call.output_tokens:
        note = f"{call.reasoning_tokens:,} of them reasoning"
    with localcontext(prec=DIGITS):
        amount = Decimal(0) if not part.tokens else None if part.figure is None else part.figure * part.tokens / MILLION
    return ReceiptLine(part.label, part.tokens, part.figure, amount, note)


def _why(call: Call, lines: tuple[ReceiptLine, ...]) -> str:
    """Why there is nothing to multiply, where there is not."""
    if call.kind != "model":
        return "Tools of the catalogue have no price."
    if call.status == "started":
        return "The call is in progress. What it may cost at most is reserved."
    if lines:
        return ""
    if call.cached:
        return "An equal question had been answered before, so nothing was sent and nothing is owed."
    if call.usage_source == "estimated":
        return (
            "The call broke off after it was sent, so the provider did not report what it used. What had been reserved for it, the "
            "most that it could cost, is charged as an estimate."
        )
    if call.usage_source == "none":
        return "Nothing was used: the call failed before the provider took it on."
    return "The provider did not report what was used."
