"""``/prices``: the price book. What holds now or held on a day, what has no price, what was changed; adding, importing, re-rating."""

from __future__ import annotations

import csv
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.views.decorators.http import require_http_methods, require_safe

from flows.access.actor import Actor
from flows.access.installation import the_installation
from flows.access.refusals import Fault, Invalid
from flows.access.rights import Right, require, require_somewhere
from flows.costs.actions.add_price import Wanted, add_price, in_words
from flows.costs.actions.import_prices import exported_rows, import_prices, preview_prices
from flows.costs.actions.rerate import preview_rerating, rerate
from flows.costs.pricebook import FIGURES, Entry, changes, entries_at, models_without_a_price, unpriced_models
from flows.models import ModelEntry

MOST_BYTES = 1024 * 1024
LABELS = {name: name.replace("_", " ").capitalize() for name in FIGURES}
TABS = {"current": "Current", "as-of": "As of a date", "unpriced": "Unpriced", "changes": "Changes"}


@require_safe
@login_required
def book(request: Any) -> HttpResponse:
    """The rows of one tab. Raises `Forbidden` without the right to see costs anywhere."""
    actor: Actor = request.actor
    _require_sight(actor)
    now = timezone.now()
    day = parsed_day(request.GET.get("on", ""))
    tab = "as-of" if day else request.GET.get("tab", "current")
    tab = tab if tab in TABS else "current"
    moment = _end_of(day) if day is not None else now
    entries: list[Entry] = changes() if tab == "changes" else entries_at(moment) if tab in ("current", "as-of") else []
    model = request.GET.get("model", "")
    unpriced = unpriced_models(actor)
    context = {
        "tab": tab,
        "tabs": [
            {
                "label": label,
                "url": "/prices" if name == "current" else f"/prices?tab={name}",
                "current": name == tab,
                "count": len(unpriced) or None if name == "unpriced" else None,
            }
            for name, label in TABS.items()
        ],
        "rows": [
            (entry, list(zip(LABELS.values(), _cells(entry), strict=True)))
            for entry in entries
            if model in ("", entry.row.model_id)
        ],
        "labels": LABELS.values(),
        "columns": len(LABELS) + 6,
        "day": day or timezone.localdate(),
        "unpriced": unpriced,
        "without": models_without_a_price(now) if tab == "unpriced" else [],
        "may_manage": actor.may(Right.MANAGE_PRICES),
        "model": model,
    }
    return render(request, "prices/book.html", context)


@require_safe
@login_required
def export(request: Any) -> HttpResponse:
    """The whole book in the columns that the import reads."""
    _require_sight(request.actor)
    response = HttpResponse(
        content_type="text/csv; charset=utf-8", headers={"Content-Disposition": 'attachment; filename="prices.csv"'}
    )
    csv.writer(response).writerows(exported_rows())
    return response


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def new(request: Any) -> HttpResponse:
    """A form for one row. Raises `Forbidden`."""
    actor: Actor = request.actor
    require(actor, Right.MANAGE_PRICES)
    given = request.POST if request.method == "POST" else request.GET
    problems: list[Fault] = []
    if request.method == "POST":
        try:
            row = add_price(actor, _wanted(given, problems))
        except Invalid as refusal:
            problems = [*refusal.problems]
        else:
            request.toast(f"Added: {in_words(row)}.")
            return redirect("prices")
    fields = [(name, label, given.get(name, "")) for name, label in LABELS.items()]
    context = {"given": given, "fields": fields, "problems": problems, "models": ModelEntry.objects.order_by("slug")}
    return render(request, "prices/new.html", context, status=422 if problems else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def importing(request: Any) -> HttpResponse:
    """A file, what it would do, and, once confirmed, that. Raises `Forbidden`."""
    actor: Actor = request.actor
    require(actor, Right.MANAGE_PRICES)
    if request.method != "POST":
        return render(request, "prices/import.html", {})
    text, faults = _text_of(request)
    preview = None
    if not faults:
        if request.POST.get("act") == "import":
            try:
                done = import_prices(actor, text)
            except Invalid as refusal:
                faults = [*refusal.problems]
            else:
                request.toast(f"{len(done.new) + len(done.changed)} prices imported, {len(done.ignored)} were known.")
                return redirect("prices")
        else:
            preview = preview_prices(actor, text)
            faults = preview.faults
    groups = [("New", preview.new), ("Changed", preview.changed), ("Ignored", preview.ignored)] if preview and not faults else []
    context = {"text": text, "problems": faults, "groups": groups, "ready": bool(preview and (preview.new or preview.changed))}
    return render(request, "prices/import.html", context, status=422 if faults else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def rerating(request: Any) -> HttpResponse:
    """What re-rating a model's calls of a period comes to, and, once confirmed, that. Raises `Forbidden`."""
    actor: Actor = request.actor
    require(actor, Right.MANAGE_PRICES)
    given = request.POST if request.method == "POST" else request.GET
    today = timezone.localdate()
    first, last = parsed_day(given.get("from", "")) or today - timedelta(days=30), parsed_day(given.get("to", "")) or today
    since, until = _end_of(first) - timedelta(days=1), _end_of(last)
    model = given.get("model", "")
    problems: list[Fault] = []
    if request.method == "POST":
        try:
            done = rerate(actor, model, since, until, given.get("reason", ""))
        except Invalid as refusal:
            problems = [*refusal.problems]
        else:
            request.toast(f"{done.fresh + done.corrected} adjustments written; what was charged stays as it was.")
            return redirect("/prices?tab=unpriced")
    found = preview_rerating(actor, model, since, until) if model else None
    context = {
        "models": ModelEntry.objects.order_by("slug"),
        "model": model,
        "first": first,
        "last": last,
        "found": found,
        "given": given,
        "problems": problems,
        "since": since.isoformat(),
        "until": until.isoformat(),
    }
    return render(request, "prices/rerating.html", context, status=422 if problems else 200)


def parsed_day(text: str) -> date | None:
    """A day as the address has it; None where it is none."""
    try:
        return parse_date(text[:10])
    except ValueError:
        return None


def _require_sight(actor: Actor) -> None:
    require_somewhere(actor, Right.SEE_COSTS)


def _end_of(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time())) + timedelta(days=1)


def _cells(entry: Entry) -> list[Decimal | None]:
    return [getattr(entry.row, name) for name in FIGURES]


def _wanted(given: Any, problems: list[Fault]) -> Wanted:
    figures: dict[str, Decimal | None] = {}
    for name, label in LABELS.items():
        text = the_installation().without_currency(given.get(name, ""))
        try:
            figures[name] = Decimal(text) if text else None
        except InvalidOperation:
            problems.append(Fault(label, f"{text[:40]!r} is no amount", "Write an amount per million tokens, such as 2.50."))
    above = given.get("above", "").replace(",", "").strip() or "0"
    if not (above.isascii() and above.isdigit() and len(above) < 10):
        problems.append(Fault("Over", f"{above[:40]!r} is no number of tokens", "Leave it empty for the base price."))
    since, until = (
        _moment(label, given.get(name, ""), problems) for name, label in (("since", "Valid from"), ("until", "Valid to"))
    )
    if problems:
        raise Invalid("The price cannot be added.", problems=problems)
    return Wanted(given.get("model", ""), figures, since, until, int(above), given.get("source", "").strip())


def _moment(label: str, text: str, problems: list[Fault]) -> datetime | None:
    if not text:
        return None
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None:
        problems.append(Fault(label, f"{text[:40]!r} is no date", "Choose a day and a time."))
        return None
    return moment if moment.tzinfo is not None else timezone.make_aware(moment)


def _text_of(request: Any) -> tuple[str, list[Fault]]:
    file = request.FILES.get("file")
    if file is not None and file.size > MOST_BYTES:
        return "", [Fault("file", "is larger than 1 MiB", "Import it in parts.")]
    raw = file.read() if file is not None else request.POST.get("text", "").encode()
    try:
        return raw.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        return "", [Fault("file", "is not UTF-8", "Save it as UTF-8.")]
