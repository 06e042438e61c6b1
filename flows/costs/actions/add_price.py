"""Adding a row to the price book."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import connection, transaction
from django.utils import timezone

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.installation import money
from flows.access.refusals import Fault, Invalid
from flows.access.rights import Right, require
from flows.costs.pricebook import FIGURES, ends_of, figures_text
from flows.models import ModelEntry, Price

PLACES = 9
MOST = Decimal(10) ** 9
LONGEST_SOURCE = 200


@dataclass(frozen=True, slots=True)
class Wanted:
    """A row as somebody wants it: dollars per million tokens, and when it holds. Without `since` it begins now."""

    model: str
    figures: Mapping[str, Decimal | None]
    since: datetime | None = None
    until: datetime | None = None
    above: int = 0
    source: str = ""


class Overlaps(Invalid):
    """Another row holds at that time. Prices of the past stay as they were; a change begins now or later."""

    slug = "price-overlaps"

    def __init__(self, new: Price, old: Price, end: datetime | None) -> None:
        self.new, self.old, self.end = new, old, end
        super().__init__(
            "Two rows of a model cannot hold at the same time.",
            problems=[
                Fault("new row", f"{in_words(new)}: {span(new.valid_from, new.valid_to)}"),
                Fault("row in the book", f"{in_words(old)}: {span(old.valid_from, end)}", MEND),
            ],
        )


MEND = "Let the new row begin now or later, and outside a row that has an end of its own."


def add_price(actor: Actor, wanted: Wanted) -> Price:
    """Adds the row, with its line in the audit log. Raises `Forbidden`, `Invalid` naming each fault, and `Overlaps` with both rows."""
    require(actor, Right.MANAGE_PRICES)
    with transaction.atomic():
        return put_price(actor, wanted)


def put_price(actor: Actor, wanted: Wanted) -> Price:
    """The same for somebody whose right is known, in the transaction that is open."""
    faults = faults_of(wanted)
    entry = ModelEntry.objects.select_for_update().filter(slug=wanted.model).first()
    if entry is None:
        faults.append(Fault("model", f"the catalogue has no model named {wanted.model[:80]!r}", "Add it to the catalogue first."))
    if faults or entry is None:
        raise Invalid("The price cannot be added.", problems=faults)
    now = database_time()
    row = Price(
        model=entry,
        above=wanted.above,
        valid_from=wanted.since or now,
        valid_to=wanted.until,
        source=wanted.source,
        entered_by=actor.person,
        **wanted.figures,
    )
    _refuse_overlap(row, now)
    old = Price.objects.filter(model=entry, above=row.above, valid_from__lt=row.valid_from).order_by("-valid_from").first()
    row.save(force_insert=True)
    change = {"before": figures_text(old) if old is not None else None, "after": figures_text(row)}
    data = figures_text(row) | change | {"from": row.valid_from.isoformat(), "to": row.valid_to and row.valid_to.isoformat()}
    record_change(actor, "price.add", "model", entry.slug, data | {"above": row.above, "source": row.source, "price": row.id.hex})
    return row


def database_time() -> datetime:
    """What time it is for the database, whose clock alone compares times."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now


def faults_of(wanted: Wanted) -> list[Fault]:
    """What is wrong with the row by itself."""
    faults = []
    for name, figure in wanted.figures.items():
        if name not in FIGURES:
            faults.append(Fault(name, "is no kind of token", f"Choose of: {', '.join(FIGURES)}."))
        elif figure is None:
            continue
        elif not figure.is_finite() or figure < 0:
            faults.append(Fault(name, f"{figure} is not a price", "Give an amount per million tokens, 0 or more."))
        elif figure >= MOST or figure != round(figure, PLACES):
            faults.append(Fault(name, f"{figure} cannot be kept", f"At most {PLACES} places, and less than a billion."))
    if wanted.figures.get("input") is None or wanted.figures.get("output") is None:
        faults.append(Fault("input, output", "both are needed", "Give 0 for a kind of token that costs nothing."))
    if wanted.above < 0 or wanted.above >= 2**31:
        faults.append(Fault("above", f"{wanted.above} is no number of tokens", "Give 0 for the base price."))
    if wanted.until is not None and wanted.until <= (wanted.since or timezone.now()):
        faults.append(Fault("until", "is not later than the beginning", "Leave it out, or give a later moment."))
    if len(wanted.source) > LONGEST_SOURCE:
        faults.append(Fault("source", f"is longer than {LONGEST_SOURCE} characters", "Shorten it."))
    return faults


def _refuse_overlap(row: Price, now: datetime) -> None:
    rows = Price.objects.filter(model_id=row.model_id, above=row.above)
    for old, end in ends_of(rows).items():
        holds = old.valid_from <= row.valid_from and (end is None or row.valid_from < end)
        fixed = old.valid_to is not None or row.valid_from < now
        inside = row.valid_to is not None and row.valid_from < old.valid_from < row.valid_to
        if old.valid_from == row.valid_from or (holds and fixed) or inside:
            raise Overlaps(row, old, end)


def in_words(row: Price) -> str:
    """A row's model, tier and figures."""
    figures = ", ".join(
        f"{name.replace('_', ' ')} {money(figure)}" for name, figure in figures_text(row).items() if figure is not None
    )
    tier = f" over {row.above:,} tokens" if row.above else ""
    return f"{row.model_id}{tier}: {figures or 'unknown'}"


def span(since: datetime, until: datetime | None) -> str:
    """From when until when, by the minute."""
    end = f"until {until:%Y-%m-%d %H:%M}" if until is not None else "until further notice"
    return f"from {since:%Y-%m-%d %H:%M} {end} (UTC)"
