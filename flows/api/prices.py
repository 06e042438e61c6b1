"""The price book over HTTP."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import Field

from flows.access.actor import Actor
from flows.access.rights import Right, require_somewhere
from flows.api.auth import actor_of
from flows.api.problems import ProblemDocument
from flows.api.shapes import Moment, Money, Time
from flows.costs.actions.add_price import Wanted, add_price
from flows.costs.actions.import_prices import Line, Preview, import_prices, preview_prices
from flows.costs.actions.rerate import Rerating, preview_rerating, rerate
from flows.costs.pricebook import FIGURES, Entry, Unpriced, entries_at, unpriced_models
from flows.models import Price

router = Router(tags=["prices"])
MOST_CHARACTERS = 1024 * 1024


class Figures(Schema):
    input: Money | None = None
    cached_input: Money | None = None
    cache_write: Money | None = None
    output: Money | None = None
    reasoning: Money | None = None


class PriceShape(Figures):
    id: str
    model: str
    above: int = Field(description="holds for requests of more than so many input tokens")
    valid_from: Time
    valid_to: Time | None
    source: str
    entered_by: str | None


class UnpricedShape(Schema):
    model: str
    calls: int
    first: Time
    last: Time


class PricesShape(Schema):
    items: list[PriceShape] = Field(description="dollars per million tokens")
    unpriced: list[UnpricedShape] = Field(description="models that were called without a price")


class PriceIn(Figures, extra="forbid"):
    model: str
    above: int = 0
    valid_from: Moment | None = Field(None, description="now, where it is left out")
    valid_to: Moment | None = None
    source: str = ""


class ImportIn(Schema, extra="forbid"):
    csv: str = Field(max_length=MOST_CHARACTERS)
    confirm: bool = Field(False, description="import it; else only tell what importing would do")


class ImportShape(Schema):
    new: list[int] = Field(description="numbers of lines")
    changed: list[int]
    ignored: list[int]
    problems: list[dict[str, str]]
    imported: bool


class RerateIn(Schema, extra="forbid"):
    model: str
    since: Moment = Field(alias="from")
    until: Moment = Field(alias="to")
    reason: str = Field("", description="needed, except to preview")
    preview: bool = Field(False, description="only tell what it comes to")


class RerateShape(Schema):
    fresh: int = Field(description="calls whose cost is known for the first time")
    corrected: int
    left: int
    amount: Money = Field(description="dollars, the sum of the adjustments")


@router.get("/prices", response={200: PricesShape, 403: ProblemDocument})
def get_prices(request: HttpRequest, at: Moment | None = Query(None), model: str = Query("")) -> Any:
    """The rows that hold now, or held at a moment, of all models or of one, and the models that were called without one."""
    actor = actor_of(request)
    require_somewhere(actor, Right.SEE_COSTS)
    entries = [entry for entry in entries_at(at or timezone.now()) if model in ("", entry.row.model_id)]
    return prices_shape(entries, unpriced_models(actor))


@router.post("/prices", response={201: PriceShape, 403: ProblemDocument, 422: ProblemDocument})
def post_price(request: HttpRequest, body: PriceIn) -> Any:
    """Adds a row. A row that overlaps another is refused; what held in the past stays. Needs the right `prices.manage`."""
    figures = {name: getattr(body, name) for name in FIGURES}
    row = add_price(actor_of(request), Wanted(body.model, figures, body.valid_from, body.valid_to, body.above, body.source))
    return 201, price_shape(row, row.valid_to)


@router.post("/prices/import", response={200: ImportShape, 403: ProblemDocument, 422: ProblemDocument})
def post_import(request: HttpRequest, body: ImportIn) -> Any:
    """Prices from CSV: what it would do, or, with `confirm`, that, all of it or nothing."""
    actor: Actor = actor_of(request)
    return import_shape(import_prices(actor, body.csv) if body.confirm else preview_prices(actor, body.csv), body.confirm)


@router.post("/prices/reratings", response={200: RerateShape, 403: ProblemDocument, 422: ProblemDocument})
def post_rerating(request: HttpRequest, body: RerateIn) -> Any:
    """Adjustments for the calls of a model that cost something else by the book; what was charged stays as it was."""
    actor = actor_of(request)
    if body.preview:
        return rerate_shape(preview_rerating(actor, body.model, body.since, body.until))
    return rerate_shape(rerate(actor, body.model, body.since, body.until, body.reason))


def prices_shape(entries: Iterable[Entry], unpriced: Iterable[Unpriced]) -> dict[str, Any]:
    """Rows of the book and models without one, as `PricesShape`."""
    without = [{"model": each.model, "calls": each.calls, "first": each.first, "last": each.last} for each in unpriced]
    return {"items": [price_shape(entry.row, entry.until) for entry in entries], "unpriced": without}


def price_shape(row: Price, until: datetime | None) -> dict[str, Any]:
    """A row that holds until a moment, as `PriceShape`."""
    return {name: getattr(row, name) for name in FIGURES} | {
        "id": row.id.hex,
        "model": row.model_id,
        "above": row.above,
        "valid_from": row.valid_from,
        "valid_to": until,
        "source": row.source,
        "entered_by": row.entered_by.username if row.entered_by is not None else None,
    }


def import_shape(preview: Preview, imported: bool) -> dict[str, Any]:
    """What an import does, or would do, as `ImportShape`."""

    def numbers(lines: list[Line]) -> list[int]:
        return [line.number for line in lines]

    problems = [{"place": fault.place, "message": fault.message, "mend": fault.mend} for fault in preview.faults]
    return {
        "new": numbers(preview.new),
        "changed": numbers(preview.changed),
        "ignored": numbers(preview.ignored),
        "problems": problems,
        "imported": imported,
    }


def rerate_shape(done: Rerating) -> dict[str, Any]:
    """What a re-rating comes to, as `RerateShape`."""
    return {"fresh": done.fresh, "corrected": done.corrected, "left": done.left, "amount": done.amount}
