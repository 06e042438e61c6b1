"""What one call cost, line by line: tokens times the price that was valid when it began, in exact decimals."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext

from flows.access.actor import Actor
from flows.access.querysets import runs_for
from flows.access.refusals import NotFound
from flows.access.rights import Right, require
from flows.costs.prices import CENT_OF_A_MICRODOLLAR, MILLION
from flows.models import Call, Price
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

    @property
    def total_text(self) -> str:
        return exact_text(self.total)

    @property
    def charged_text(self) -> str:
        return exact_text(self.charged)

    @property
    def estimated(self) -> bool:
        return self.call.usage_source == "estimated"

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


def call_named(actor: Actor, public_id: str) -> Call:
    """The call with its run, flow and version. Raises `NotFound`, and `Forbidden` where the actor may see the run, not its costs."""
    try:
        found = Call.objects.filter(id=parsed("call", public_id), run__in=runs_for(actor))
    except UnknownIdentifier:
        raise NotFound("call") from None
    call = found.select_related("run__flow", "run__version").defer("run__input", "run__output", *_BIG).first()
    if call is None:
        raise NotFound("call")
    require(actor, Right.SEE_COSTS, call.run)
    return call


_BIG = ("run__flow__draft", "run__version__document")


def receipt_of(call: Call) -> Receipt:
    """The account of a call: one query for its price row, one for a newer one."""
    price = Price.objects.filter(id=call.price_id).first() if call.price_id is not None else None
    newer = (
        Price.objects.filter(model_id=price.model_id, valid_from__gt=price.valid_from).order_by("valid_from").first()
        if price
        else None
    )
    lines = _lines(call, price)
    total: Decimal | None = None
    if lines and all(line.amount is not None for line in lines):
        with localcontext(prec=DIGITS):
            total = sum((line.amount for line in lines if line.amount is not None), Decimal(0))
    return Receipt(call, price, newer, lines, total, call.settled, is_unpriced(call), _why(call, lines))


def _lines(call: Call, price: Price | None) -> tuple[ReceiptLine, ...]:
    if call.kind != "model" or call.input_tokens is None:
        return ()
    cached = min(call.cached_input_tokens or 0, call.input_tokens)
    input_price = price.input if price is not None else None
    cached_price = price.cached_input if price is not None else None
    output_price = price.output if price is not None else None
    reasoning = f"{call.reasoning_tokens:,} of them reasoning" if call.reasoning_tokens else ""
    lines = [_line("Input", call.input_tokens - cached, input_price)]
    if cached:
        same = price is not None and cached_price is None
        lines.append(
            _line("Cached input", cached, input_price if same else cached_price, "at the price of input" if same else "")
        )
    lines.append(_line("Output", call.output_tokens or 0, output_price, reasoning))
    return tuple(lines)


def _line(label: str, tokens: int, price: Decimal | None, note: str = "") -> ReceiptLine:
    with localcontext(prec=DIGITS):
        amount = Decimal(0) if not tokens else None if price is None else price * tokens / MILLION
    return ReceiptLine(label, tokens, price, amount, note)


def _why(call: Call, lines: tuple[ReceiptLine, ...]) -> str:
    """Why there is nothing to multiply, where there is not."""
    if call.kind != "model":
        return "Tools of the catalogue have no price."
    if call.status == "started":
        return "The call is in progress. What it may cost at most is reserved."
    if lines:
        return ""
    if call.usage_source == "estimated":
        return (
            "The call broke off after it was sent, so the provider did not report what it used. What had been reserved for it, the "
            "most that it could cost, is charged as an estimate."
        )
    if call.usage_source == "none":
        return "Nothing was used: the call failed before the provider took it on."
    return "The provider did not report what was used."
