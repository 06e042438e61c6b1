"""What calls would have cost with another model: their tokens at its prices of now. Nothing is changed by asking."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import Coalesce, Greatest, Least
from django.utils import timezone

from flows.access.refusals import Fault, Invalid
from flows.costs.pricebook import price_at
from flows.costs.prices import PriceRow, cost_of
from flows.costs.reports import ZERO
from flows.models import Call, Price

METHOD = (
    "The tokens that these calls used, at the prices of the other model that hold now. Another model may count the same text as more or "
    "fewer tokens, answer at another length and use its cache otherwise. Calls without known tokens are left out of both figures."
)


@dataclass(frozen=True, slots=True)
class WouldHave:
    """Calls of one model: what those with known tokens cost, and would have cost (None: the price lacks a figure); `left_out` have no
    known tokens."""

    model: str
    calls: int
    left_out: int
    cost: Decimal
    instead: Decimal | None

    @property
    def difference(self) -> Decimal | None:
        return None if self.instead is None else self.instead - self.cost


@dataclass(frozen=True, slots=True)
class _Used:
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int


def would_have_cost(calls: QuerySet[Call], model: str) -> list[WouldHave]:
    """By the model that was called, the dearest first: one query more than tiers. Raises `Invalid` where `model` has no price now."""
    price = price_at(list(Price.objects.filter(model_id=model)), timezone.now())
    if price is None:
        fault = Fault("model", f"{model[:80]!r} has no price", "Choose one with a price in the price book.")
        raise Invalid("This cannot be reckoned.", problems=[fault])
    calls = calls.filter(kind="model", cached=False).exclude(status="started").order_by()
    known = Q(input_tokens__isnull=False)
    found: dict[str, dict[str, Any]] = {
        row["target"]: row | {"instead": ZERO}
        for row in calls.values("target").annotate(
            n=Count("id", filter=known), left=Count("id", filter=~known), cost=Coalesce(Sum("settled", filter=known), ZERO)
        )
    }
    for tier, used in _by_tier(calls.filter(known), price):
        instead = cost_of(_Used(*(used[name] or 0 for name in _Used.__dataclass_fields__)), tier)
        row = found[used["target"]]
        row["instead"] = None if instead is None or row["instead"] is None else row["instead"] + instead
    rows = [WouldHave(row["target"], row["n"], row["left"], row["cost"], row["instead"]) for row in found.values()]
    return sorted(rows, key=lambda each: (-each.cost, each.model))


def _by_tier(calls: QuerySet[Call], price: PriceRow) -> Any:
    """(row of the price, sums by model) of the calls that are of its length. Within a row the cost is linear in the tokens."""
    tiers = (price, *price.beyond)
    cached = Least(Coalesce("cached_input_tokens", 0), F("input_tokens"))
    written = Greatest(Least(Coalesce("cache_write_tokens", 0), F("input_tokens") - cached), 0)
    reasoning = Least(Coalesce("reasoning_tokens", 0), Coalesce("output_tokens", 0))
    sums = {
        "input_tokens": Sum("input_tokens"),
        "cached_input_tokens": Sum(cached),
        "cache_write_tokens": Sum(written),
        "output_tokens": Sum(Coalesce("output_tokens", 0)),
        "reasoning_tokens": Sum(reasoning),
    }
    named = {f"all_{name}": expression for name, expression in sums.items()}
    for n, tier in enumerate(tiers):
        within = calls.filter(input_tokens__gt=tier.above) if n else calls
        if n + 1 < len(tiers):
            within = within.filter(input_tokens__lte=tiers[n + 1].above)
        alone = PriceRow(
            tier.id, tier.input, tier.cached_input, tier.output, tier.cache_write, tier.reasoning
        )  # the sums are longer than any one call
        for row in within.values("target").annotate(**named):
            yield alone, {name.removeprefix("all_"): value for name, value in row.items()}
