"""Prices from a CSV file: read, compared with the book, and added, all of them or none."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from flows.access.actor import Actor
from flows.access.installation import the_installation
from flows.access.refusals import Fault, Invalid, Refusal
from flows.access.rights import Right, require
from flows.costs.actions.add_price import Wanted, faults_of, in_words, put_price
from flows.costs.pricebook import FIGURES, ends_of, figures_text
from flows.models import ModelEntry, Price

COLUMNS = ("model", *FIGURES, "above", "valid_from", "valid_to", "source")
MOST_LINES = 5000


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the file: what it wants, and the row of the book that it takes the place of."""

    number: int
    wanted: Wanted
    replaces: Price | None = None

    @property
    def figures(self) -> list[tuple[str, Decimal | None, Decimal | None]]:
        """By kind of token: what the line says and what the book says."""
        before = self.replaces
        return [(name, self.wanted.figures.get(name), getattr(before, name) if before else None) for name in FIGURES]

    @property
    def before(self) -> str:
        return in_words(self.replaces) if self.replaces is not None else ""


@dataclass(slots=True)
class Preview:
    """What an import would do. With any fault nothing can be imported."""

    new: list[Line] = field(default_factory=list)
    changed: list[Line] = field(default_factory=list)
    ignored: list[Line] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def preview_prices(actor: Actor, text: str) -> Preview:
    """What importing this file would do; changes nothing. Raises `Forbidden`."""
    require(actor, Right.MANAGE_PRICES)
    preview = _compared(text)
    if preview.faults:
        return preview
    with transaction.atomic():
        _put(actor, preview)
        transaction.set_rollback(True)
    return preview


def import_prices(actor: Actor, text: str) -> Preview:
    """Adds what is new and what is changed, in one transaction. Raises `Forbidden`, and `Invalid` naming each line at fault."""
    require(actor, Right.MANAGE_PRICES)
    with transaction.atomic():
        preview = _compared(text)
        if not preview.faults:
            _put(actor, preview)
        if preview.faults:
            raise Invalid("Nothing was imported.", problems=preview.faults)
    return preview


def _put(actor: Actor, preview: Preview) -> None:
    for line in sorted((*preview.new, *preview.changed), key=lambda each: each.number):
        try:
            with transaction.atomic():
                put_price(actor, line.wanted)
        except Refusal as refusal:
            said = "; ".join(f"{fault.place}: {fault.message}" for fault in refusal.problems) or refusal.message
            preview.faults.append(Fault(f"line {line.number}", said, refusal.problems[-1].mend if refusal.problems else ""))


def _compared(text: str) -> Preview:
    preview = Preview()
    known = set(ModelEntry.objects.values_list("slug", flat=True))
    now = timezone.now()
    holding = {(row.model_id, row.above): row for row in _rows_at(now)}
    for number, wanted, unreadable in _lines(text):
        faults = [*unreadable, *(faults_of(wanted) if wanted is not None else ())]
        if wanted is not None and wanted.model not in known:
            mend = "Add it to the catalogue first."
            faults.append(Fault("model", f"the catalogue has no model named {wanted.model[:80]!r}", mend))
        if faults or wanted is None:
            preview.faults += [Fault(f"line {number}, {fault.place}", fault.message, fault.mend) for fault in faults]
            continue
        old = _same_moment(wanted, wanted.since) if wanted.since is not None else holding.get((wanted.model, wanted.above))
        if old is not None and _equal(old, wanted):
            preview.ignored.append(Line(number, wanted, old))
        elif (old := holding.get((wanted.model, wanted.above))) is not None:
            preview.changed.append(Line(number, wanted, old))
        else:
            preview.new.append(Line(number, wanted))
    return preview


def _rows_at(moment: datetime) -> Iterator[Price]:
    for row, end in ends_of(Price.objects.all()).items():
        if row.valid_from <= moment and (end is None or moment < end):
            yield row


def _same_moment(wanted: Wanted, since: datetime) -> Price | None:
    return Price.objects.filter(model_id=wanted.model, above=wanted.above, valid_from=since).first()


def _equal(row: Price, wanted: Wanted) -> bool:
    same = all(getattr(row, name) == wanted.figures.get(name) for name in FIGURES)
    return same and (wanted.until is None or row.valid_to == wanted.until)


def _lines(text: str) -> Iterator[tuple[int, Wanted | None, list[Fault]]]:
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    try:
        head = [name.strip().lower() for name in next(reader, [])]
        unknown = [name for name in head if name not in COLUMNS]
        missing = [name for name in ("model", "input", "output") if name not in head]
        if unknown or missing or len(set(head)) < len(head):
            wrong = [f"no column {name!r}" for name in missing] + [f"unknown column {name[:40]!r}" for name in unknown]
            yield 1, None, [Fault("head", ", ".join(wrong) or "a column stands twice", f"The columns are {', '.join(COLUMNS)}.")]
            return
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if reader.line_num > MOST_LINES:
                yield reader.line_num, None, [Fault("file", f"has more than {MOST_LINES:,} lines", "Import it in parts.")]
                return
            if len(cells) != len(head):
                yield reader.line_num, None, [Fault("cells", f"{len(cells)} where the head has {len(head)}")]
                continue
            yield reader.line_num, *_wanted(dict(zip(head, (cell.strip() for cell in cells), strict=True)))
    except csv.Error as error:
        yield reader.line_num, None, [Fault("file", f"is no CSV: {error}")]


def _wanted(cells: dict[str, str]) -> tuple[Wanted | None, list[Fault]]:
    faults: list[Fault] = []
    figures = {name: _figure(name, cells.get(name, ""), faults) for name in FIGURES}
    since, until = (moment_of(name, cells.get(name, ""), faults) for name in ("valid_from", "valid_to"))
    above = cells.get("above", "") or "0"
    if not (above.isascii() and above.isdigit() and len(above) < 10):
        faults.append(Fault("above", f"{above[:40]!r} is no number of tokens", "Leave it empty for the base price."))
    if faults:
        return None, faults
    return Wanted(cells["model"], figures, since, until, int(above), cells.get("source", "")), []


def _figure(name: str, text: str, faults: list[Fault]) -> Decimal | None:
    if not text:
        return None
    try:
        return Decimal(the_installation().without_currency(text))
    except InvalidOperation:
        faults.append(Fault(name, f"{text[:40]!r} is no amount", "Write an amount per million tokens, such as 2.50."))
        return None


def moment_of(name: str, text: str, faults: list[Fault]) -> datetime | None:
    """A date (its first moment in UTC) or a time with its zone; None where nothing is said. What is wrong is added to `faults`."""
    if not text:
        return None
    try:
        moment = parse_datetime(text) if len(text) > 10 else None
        day = parse_date(text) if moment is None else None
    except ValueError:
        moment = day = None
    if moment is not None:
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    if day is not None:
        return datetime(day.year, day.month, day.day, tzinfo=UTC)
    faults.append(Fault(name, f"{text[:40]!r} is no date", "Write 2026-06-01, or 2026-06-01T12:00:00Z."))
    return None


def exported_rows() -> Iterator[list[str]]:
    """The whole book in the columns that `import_prices` reads, oldest rows first."""
    yield list(COLUMNS)
    for row in Price.objects.order_by("valid_from", "id"):
        figures = [figure or "" for figure in figures_text(row).values()]
        until = row.valid_to.isoformat() if row.valid_to else ""
        yield [row.model_id, *figures, str(row.above), row.valid_from.isoformat(), until, row.source]
