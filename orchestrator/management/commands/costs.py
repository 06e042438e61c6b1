"""The ledger from the command line."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from flows.api.shapes import money_text
from flows.costs.folding import differing_sums, forget_sums
from flows.costs.reports import differing_reports, differing_runs, leaking_runs, ledger_sums


class Command(BaseCommand):
    help = "Check the ledger."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="verify")
        verbs.add_parser("verify", help="compare runs with their calls, and reports with the runs, exactly")

    def handle(self, *args: Any, **options: Any) -> None:
        wrong = differing_runs()
        for each in wrong:
            self.stderr.write(f"{each.run.public_id}: spent {money_text(each.run.spent)}, its calls {money_text(each.settled)}")
        leaking = leaking_runs()
        for each in leaking:
            reserved = money_text(each.run.reserved)
            self.stderr.write(f"{each.run.public_id}: reserved {reserved}, its calls in flight {money_text(each.settled)}")
        reports = differing_reports()
        for by, total in reports.items():
            self.stderr.write(f"the report by {by} comes to {money_text(total)}, which is not what the runs spent")
        zones = differing_sums()
        for zone in zones:
            self.stderr.write(f"the sums by day of {zone} are not what its calls say; they are made anew")
        if zones:
            forget_sums()
        sums = ledger_sums()
        self.stdout.write(
            f"{sums.runs} runs, {sums.calls} calls, {money_text(sums.settled)} settled, {money_text(sums.spent)} spent, "
            f"{sums.unpriced} unpriced"
        )
        if wrong or leaking or reports or zones:
            raise CommandError(
                f"{len(wrong) + len(leaking)} run(s) and {len(reports) + len(zones)} report(s) differ from the ledger."
            )
