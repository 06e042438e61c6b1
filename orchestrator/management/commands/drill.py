"""``manage.py drill SLUG``: rehearses faults on a flow and tells in words what handled each."""

from __future__ import annotations

import json
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from flows.models import Drill
from flows.runs.actions.start_drill import start_drill
from flows.runs.drills.reading import DrillReport, drill_report
from orchestrator.management.engines import an_engine
from orchestrator.management.speaking import actor_named, spoken_refusals

SIGNS = {"handled": "✓", "unhandled": "✗", "untouched": "–", "going": "…"}


class Command(BaseCommand):
    help = "Rehearse an outage, a rate limit, bad output, a dead worker and a slow person on a flow, at no cost."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug")
        parser.add_argument("--input", help="JSON; by default the input of the flow's newest run, or an example")
        parser.add_argument("--draft", action="store_true", help="the draft instead of the published version")
        parser.add_argument("--strict", action="store_true", help="end with exit code 1 where nothing handles a fault")
        parser.add_argument("--timeout", type=float, default=120.0, help="seconds to wait for its end (120)")
        parser.add_argument("--as", dest="username", help="the person that starts it")

    def handle(
        self,
        *args: Any,
        slug: str,
        input: str | None,  # noqa: A002 - the option's name
        draft: bool,
        strict: bool,
        timeout: float,
        username: str | None,
        **options: Any,
    ) -> None:
        try:
            given = None if input is None else json.loads(input)
        except ValueError as error:
            raise CommandError(f"--input: no JSON: {error}") from None
        with an_engine(self.stderr.write):
            with spoken_refusals():
                drill = start_drill(actor_named(username), slug, given, draft=draft, source="cli")
            report = self.wait_for(drill, timeout)
        self.tell(report)
        if strict and report.unhandled:
            raise CommandError(report.in_words)

    def wait_for(self, drill: Drill, timeout: float) -> DrillReport:
        """The report once each run has ended."""
        until = time.monotonic() + timeout
        while (report := drill_report(drill)).going:
            if time.monotonic() > until:
                raise CommandError(f"The drill has not ended within {timeout:g} s. Its runs: {', '.join(drill.runs.values())}.")
            time.sleep(0.2)
        return report

    def tell(self, report: DrillReport) -> None:
        """Writes the report."""
        self.stdout.write(f"Fire drill of {report.drill.flow.slug} {report.drill.version.title} ({report.drill.public_id})\n\n")
        for each in report.chapters:
            self.stdout.write(f"{SIGNS[each.verdict]} {each.title}. {each.played}")
            for line in each.lines:
                self.stdout.write(f"    {line.how}: {line.text}")
            if each.verdict == "untouched":
                self.stdout.write(f"    {each.untouched}")
            self.stdout.write(f"    {each.ended} (#{each.run.number}).")
        self.stdout.write(f"\n{report.in_words} {report.cost_in_words}")
