"""Re-rating the past: adjustments beside what was charged, which stays as it was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Fault, Invalid
from flows.access.rights import Right, require
from flows.costs.pricebook import price_at
from flows.costs.prices import cost_of
from flows.models import Adjustment, Call, ModelEntry, Price

LONGEST_REASON = 300
CHUNK = 2000


@dataclass(slots=True)
class Rerating:
    """What a re-rating comes to: calls whose cost is known for the first time, calls that cost something else, and the difference in
    dollars. `left` calls are as they were: their cost is right, or no row held when they began."""

    fresh: int = 0
    corrected: int = 0
    left: int = 0
    amount: Decimal = Decimal(0)


def preview_rerating(actor: Actor, model: str, since: datetime, until: datetime) -> Rerating:
    """What re-rating the calls of a model that began in [since, until) would come to; changes nothing. Raises `Forbidden`."""
    require(actor, Right.MANAGE_PRICES)
    found = Rerating()
    for _ in _adjustments(actor, model, since, until, "", found):
        pass
    return found


def rerate(actor: Actor, model: str, since: datetime, until: datetime, reason: str) -> Rerating:
    """Writes one adjustment a call that costs something else by the rows that the book has for the moment it began. Doing it again
    adds nothing. Raises `Forbidden`, and `Invalid` without a reason, for an unknown model or an empty period."""
    require(actor, Right.MANAGE_PRICES)
    reason, faults = reason.strip(), []
    if not reason or len(reason) > LONGEST_REASON:
        faults.append(Fault("reason", "is needed" if not reason else "is too long", f"At most {LONGEST_REASON} characters."))
    if until <= since:
        faults.append(Fault("until", "is not later than the beginning"))
    found = Rerating()
    with transaction.atomic():
        if not ModelEntry.objects.select_for_update().filter(slug=model).exists():
            faults.append(Fault("model", f"the catalogue has no model named {model[:80]!r}"))
        if faults:
            raise Invalid("Nothing was re-rated.", problems=faults)
        batch: list[Adjustment] = []
        for each in _adjustments(actor, model, since, until, reason, found):
            batch.append(each)
            if len(batch) == CHUNK:
                Adjustment.objects.bulk_create(batch)
                batch = []
        Adjustment.objects.bulk_create(batch)
        data = {"from": since.isoformat(), "to": until.isoformat(), "reason": reason, "amount": f"{found.amount:f}"}
        record_change(actor, "price.rerate", "model", model, data | {"first": found.fresh, "corrected": found.corrected})
    return found


def _adjustments(
    actor: Actor, model: str, since: datetime, until: datetime, reason: str, found: Rerating
) -> Iterator[Adjustment]:
    rows = list(Price.objects.filter(model_id=model))
    calls = Call.objects.filter(
        kind="model", target=model, started_at__gte=since, started_at__lt=until, input_tokens__isnull=False
    )
    adjusted: dict[object, Decimal] = {}
    for call_id, amount in Adjustment.objects.filter(call_id__in=calls.values("id")).values_list("call_id", "amount"):
        adjusted[call_id] = adjusted.get(call_id, Decimal(0)) + amount
    columns = ("id", "run_id", "settled", "started_at", *TOKENS)
    for call in calls.only(*columns).order_by("id").iterator(CHUNK):
        price = price_at(rows, call.started_at)
        cost = cost_of(call, price)  # type: ignore[arg-type]
        known = call.settled is not None or call.id in adjusted
        difference = None if cost is None else cost - (call.settled or Decimal(0)) - adjusted.get(call.id, Decimal(0))
        if price is None or difference is None or (known and not difference):
            found.left += 1
            continue
        found.fresh += not known
        found.corrected += known
        found.amount += difference
        yield Adjustment(
            call_id=call.id,
            run_id=call.run_id,
            price_id=price.row_for(call.input_tokens or 0).id,
            amount=difference,
            priced=call.settled is not None,
            reason=reason,
            by=actor.person,
        )


TOKENS = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
