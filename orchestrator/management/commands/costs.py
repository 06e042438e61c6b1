"""The ledger from the command line."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from flows.api.shapes import money_text
from flows.costs.reports import differing_runs, ledger_sums


class Command(BaseCommand):
    help = "Check the ledger."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="verify")
        verbs.add_parser("verify", help="compare each run's spend with the sum of its calls, exactly")

    def handle(self, *args: Any, **options: Any) -> None:
        wrong = differing_runs()
        for each in wrong:
            self.stderr.write(f"{each.run.public_id}: spent {money_text(each.run.spent)}, its calls {money_text(each.settled)}")
        sums = ledger_sums()
        self.stdout.write(
            f"{sums.runs} runs, {sums.calls} calls, {money_text(sums.settled)} settled, {money_text(sums.spent)} spent, "
            f"{sums.unpriced} unpriced"
        )
        if wrong:
            raise CommandError(f"{len(wrong)} run(s) differ from the ledger.")
