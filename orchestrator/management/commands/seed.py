"""``manage.py seed``: fills an installation."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from orchestrator.management.engines import an_engine
from orchestrator.management.progress import Bar
from orchestrator.management.speaking import spoken_refusals
from orchestrator.seeding.large import RUNS, seed_large


class Command(BaseCommand):
    help = "Fill an installation with runs, to measure it."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        kinds = parser.add_subparsers(dest="kind", required=True, metavar="large")
        large = kinds.add_parser("large", help="a hundred thousand runs over thirteen months, where there is no run yet")
        large.add_argument("--runs", type=int, default=RUNS, help=f"how many ({RUNS:,})")

    def handle(self, *args: Any, kind: str, runs: int, **options: Any) -> None:
        if runs < 1:
            raise CommandError("--runs: at least 1")
        with an_engine(self.stderr.write), spoken_refusals(), Bar(self.stdout) as bar:
            try:
                seed_large(bar, runs)
            except TimeoutError as error:
                raise CommandError(str(error)) from None
        self.stdout.write(f"{runs:,} runs are there. To see them, sign in as an owner: python manage.py person --help")
