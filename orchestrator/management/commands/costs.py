"""The ledger from the command line."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from flows.access.actor import system
from flows.api.shapes import money_text
from flows.costs.budgets import gauges, limits_in_words
from flows.costs.folding import differing_sums, forget_sums
from flows.costs.reports import differing_reports, differing_runs, leaking_runs, ledger_sums
from flows.runs.limits import limits_of_flows


class Command(BaseCommand):
    help = "Check the ledger, or list the budgets."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="verify|budgets")
        verbs.add_parser("verify", help="compare runs with their calls, and reports with the runs, exactly")

        verbs.add_parser("budgets", help="what may be spent, what is, and what flows allow each run")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verb"] == "budgets":
            self._budgets()
        else:
            self._verify()

    def _budgets(self) -> None:
        for gauge in gauges():
            budget = gauge.budget
            used = "" if budget.period == "run" else f"; spent {money_text(gauge.spent)}, reserved {money_text(gauge.reserved)}"
            self.stdout.write(f"{budget.name}: {limits_in_words(budget)}{used}; at the limit {budget.at_limit}")
        for flow in limits_of_flows(system("cli")):
            for whose, limits in (("its document", flow.own), ("its ceiling", flow.ceiling)):
                if limits:
                    words = ", ".join(f"{name} {value}" for name, value in limits.items())
                    self.stdout.write(f"each run of {flow.flow.slug}, by {whose}: {words}")

    def _verify(self) -> None:
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
