"""The ledger from the command line."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError

from flows.access.actor import Actor
from flows.access.rights import Right, require_somewhere
from flows.api.costs import CostFilter, cost_report
from flows.api.shapes import money_text
from flows.api.shapes.costs import CostReport
from flows.costs.folding import differing_sums, forget_sums
from flows.costs.reports import GROUPS, OVERLAPPING, PURPOSES, differing_reports, differing_runs, leaking_runs, ledger_sums
from orchestrator.management.speaking import moment_given
from orchestrator.management.verbs import VerbCommand

FILTERS = ("flow", "version", "model", "tool", "provider", "route", "team", "person", "key", "source", "tag", "step")


class Command(VerbCommand):
    help = "Tell what was spent, and check the ledger."

    def add_verbs(self) -> None:
        self.verb("verify", "compare runs with their calls, and reports with the runs, exactly")
        report = self.verb("report", "what calls cost, grouped, to the last figure", shows=True)
        report.add_argument("--by", default="flow", help=f"one of {', '.join([*GROUPS, *OVERLAPPING])}")
        report.add_argument("--from", dest="since", help="of calls that began then or later, such as 2026-06-01")
        report.add_argument("--to", dest="until", help="of calls that began before then")
        report.add_argument("--purpose", default="all", choices=PURPOSES)
        for name in FILTERS:
            report.add_argument(f"--{name}", action="append", default=[], help="only these; may be given more than once")
        report.add_argument("--run", default="", help="identifier (run_…)")
        report.add_argument("--unpriced", action="store_true", help="only calls whose cost is not known")

    def do_report(self, actor: Actor, by: str, since: str | None, until: str | None, json: bool, **options: Any) -> None:
        require_somewhere(actor, Right.SEE_COSTS)
        chosen = CostFilter(**{name: options[name] for name in (*FILTERS, "purpose", "run", "unpriced")})
        begin = moment_given("--from", since) if since is not None else None
        end = moment_given("--to", until) if until is not None else None
        answer = cost_report(actor, chosen, begin, end, by)
        if json:
            self.write_json(CostReport, answer)
            return
        for row in [*answer["items"], {**answer["total"], "name": "in all"}]:
            simulated = f", {money_text(row['simulated'])} simulated" if row["simulated"] else ""
            unknown = f", and {row['unpriced']} calls of unknown cost" if row["unpriced"] else ""
            self.stdout.write(f"{row['name'] or '–'}: {money_text(row['cost'])} in {row['calls']} calls{simulated}{unknown}")

    def do_verify(self, actor: Actor, **options: Any) -> None:
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
