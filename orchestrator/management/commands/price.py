"""The price book from the command line."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from django.utils import timezone

from flows.access.actor import Actor
from flows.access.refusals import Invalid
from flows.access.rights import Right, require_somewhere
from flows.api.prices import ImportShape, PriceShape, PricesShape, import_shape, price_shape, prices_shape
from flows.api.shapes import money_text
from flows.costs.actions.add_price import Wanted, add_price, in_words, span
from flows.costs.actions.import_prices import exported_rows, import_prices, preview_prices
from flows.costs.actions.rerate import preview_rerating, rerate
from flows.costs.pricebook import FIGURES, changes, entries_at, models_without_a_price, unpriced_models
from orchestrator.management.speaking import amount_given, moment_given, text_of, whole_given
from orchestrator.management.verbs import VerbCommand


class Command(VerbCommand):
    help = "Show the price book, add to it, import it, and re-rate what was called by other prices."

    def add_verbs(self) -> None:
        listing = self.verb("list", "the rows that hold now, in dollars per million tokens", shows=True)
        listing.add_argument("--at", help="those that held then, such as 2026-06-01")
        listing.add_argument("--model", default="")
        listing.add_argument(
            "--changes", dest="newest", action="store_true", help="the newest rows instead, as they were entered"
        )
        self.verb("unpriced", "models that were called without a price, and those of the catalogue that have none", shows=True)
        add = self.verb("add", "a row; what held in the past stays", shows=True)
        add.add_argument("model")
        for name in FIGURES:
            add.add_argument(f"--{name.replace('_', '-')}", help="dollars per million tokens")
        add.add_argument("--above", default="0", help="for requests of more than so many input tokens")
        add.add_argument("--from", dest="since", help="now, where it is left out; 2026-06-01 or 2026-06-01T12:00Z")
        add.add_argument("--to", dest="until")
        add.add_argument("--source", default="", help="where the price stands")
        taken = self.verb("import", "what a CSV file says, all of it or nothing", shows=True)
        taken.add_argument("file", type=Path)
        taken.add_argument("--preview", action="store_true", help="say what it would do, and change nothing")
        self.verb("export", "write the whole book as the CSV that `import` reads")
        again = self.verb("rerate", "adjust what the calls of a model cost, by the rows that the book has for their time")
        again.add_argument("model")
        again.add_argument("--from", dest="since", required=True, help="2026-06-01 or 2026-06-01T12:00Z")
        again.add_argument("--to", dest="until", required=True)
        again.add_argument("--reason", default="", help="needed; it stands in the audit log")
        again.add_argument("--preview", action="store_true", help="say what it comes to, and change nothing")

    # --- what there is

    def do_list(self, actor: Actor, at: str | None, model: str, newest: bool, json: bool, **options: Any) -> None:
        require_somewhere(actor, Right.SEE_COSTS)
        found = changes() if newest else entries_at(moment_given("--at", at) if at is not None else timezone.now())
        entries = [entry for entry in found if model in ("", entry.row.model_id)]
        if json:
            self.write_json(PricesShape, prices_shape(entries, unpriced_models(actor)))
            return
        for entry in entries:
            self.stdout.write(f"{in_words(entry.row)}; {span(entry.row.valid_from, entry.until)}")

    def do_unpriced(self, actor: Actor, json: bool, **options: Any) -> None:
        require_somewhere(actor, Right.SEE_COSTS)
        found = unpriced_models(actor)
        if json:
            self.write_json(PricesShape, prices_shape([], found))
            return
        for each in found:
            self.stdout.write(f"{each.model}: {each.calls} calls without a price, {each.first:%Y-%m-%d} to {each.last:%Y-%m-%d}")
        for slug in models_without_a_price(timezone.now()):
            self.stdout.write(f"{slug}: the book has no row that holds now")

    def do_export(self, actor: Actor, **options: Any) -> None:
        require_somewhere(actor, Right.SEE_COSTS)
        csv.writer(self.stdout, lineterminator="\n").writerows(exported_rows())

    # --- what people do

    def do_add(
        self,
        actor: Actor,
        model: str,
        above: str,
        since: str | None,
        until: str | None,
        source: str,
        json: bool,
        **options: Any,
    ) -> None:
        given = {name: options[name] for name in FIGURES if options[name] is not None}
        figures = {name: amount_given(f"--{name.replace('_', '-')}", text) for name, text in given.items()}
        begins = moment_given("--from", since) if since is not None else None
        ends = moment_given("--to", until) if until is not None else None
        row = add_price(actor, Wanted(model, figures, begins, ends, whole_given("--above", above), source))
        if json:
            self.write_json(PriceShape, price_shape(row, row.valid_to))
            return
        self.stdout.write(f"{in_words(row)}; {span(row.valid_from, row.valid_to)}")

    def do_import(self, actor: Actor, file: Path, preview: bool, json: bool, **options: Any) -> None:
        text = text_of(file)
        done = preview_prices(actor, text) if preview else import_prices(actor, text)
        if preview and done.faults:
            raise Invalid("Nothing can be imported.", problems=done.faults)
        if json:
            self.write_json(ImportShape, import_shape(done, not preview))
            return
        for line in done.new:
            self.stdout.write(f"line {line.number}: new: {line.wanted.model}{_figures(line.figures)}")
        for line in done.changed:
            self.stdout.write(f"line {line.number}: changed: {line.before} ->{_figures(line.figures)}")
        verb = "would be" if preview else "were"
        self.stdout.write(f"{len(done.new) + len(done.changed)} prices {verb} imported, {len(done.ignored)} are known.")

    def do_rerate(self, actor: Actor, model: str, since: str, until: str, reason: str, preview: bool, **options: Any) -> None:
        begins, ends = moment_given("--from", since), moment_given("--to", until)
        if preview:
            done = preview_rerating(actor, model, begins, ends)
        else:
            done = rerate(actor, model, begins, ends, reason)
        verb = "would be" if preview else "were"
        self.stdout.write(
            f"{done.fresh} calls {verb} priced for the first time, {done.corrected} corrected, {done.left} left; "
            f"{money_text(done.amount)} dollars in all"
        )


def _figures(figures: list[tuple[str, Any, Any]]) -> str:
    return ",".join(f" {name.replace('_', ' ')} {money_text(new)}" for name, new, _ in figures if new is not None)
