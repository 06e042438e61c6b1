"""``manage.py seed``: fills an installation."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from orchestrator.demo import follow_receiver
from orchestrator.demo import seed as seed_cast
from orchestrator.management.engines import an_engine
from orchestrator.management.progress import Bar
from orchestrator.management.receivers import a_receiver
from orchestrator.management.speaking import CLI, spoken_refusals
from orchestrator.seeding.cast import TooSlow
from orchestrator.seeding.large import RUNS, seed_large
from orchestrator.seeding.removal import preview_removal, remove_demonstration
from orchestrator.seeding.ui import is_filled, seed_ui


class Command(BaseCommand):
    help = "Fill an installation with runs: to look around in it, or to measure it."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        kinds = parser.add_subparsers(dest="kind", required=True, metavar="ui|remove|large")
        kinds.add_parser("ui", help="the demonstration: people, flows, 45 days of runs, runs in every state, open requests")
        remove = kinds.add_parser("remove", help="take the demonstration away again, and nothing that people made")
        remove.add_argument("--preview", action="store_true", help="only tell what would go and what would stay")
        large = kinds.add_parser("large", help="a hundred thousand runs over thirteen months, where there is no run yet")
        large.add_argument("--runs", type=int, default=RUNS, help=f"how many ({RUNS:,})")

    def handle(self, *args: Any, kind: str, **options: Any) -> None:
        if kind == "ui":
            self.demonstration()
        elif kind == "remove":
            self.remove(options["preview"])
        else:
            self.large(options["runs"])

    def demonstration(self) -> None:
        if is_filled():
            self.stdout.write("The demonstration is there already.")
            return
        with a_receiver(settings.DATA_DIR, self.stderr.write) as port, an_engine(self.stderr.write), spoken_refusals():
            follow_receiver(port)
            for name, password in seed_cast(port, beside_people=True):
                self.stdout.write(f"  sign in as {name:<12} with {password}")
            with Bar(self.stdout) as bar:
                try:
                    made = seed_ui(bar, port)
                except TooSlow as error:
                    raise CommandError(str(error)) from None
        self.stdout.write("The demonstration is there." if made else "Another process brings the demonstration just now.")

    def remove(self, preview: bool) -> None:
        if preview:
            found = preview_removal(CLI)
        else:
            with Bar(self.stdout) as bar:
                found = remove_demonstration(CLI, bar)
        self.stdout.write("Would go:" if preview else "Gone:")
        for what, count in found.counts:
            self.stdout.write(f"  {count:,} {what}")
        for what, why in found.staying:
            self.stdout.write(f"  {what} stays: {why}")

    def large(self, runs: int) -> None:
        if runs < 1:
            raise CommandError("--runs: at least 1")
        with an_engine(self.stderr.write), spoken_refusals(), Bar(self.stdout) as bar:
            try:
                seed_large(bar, runs)
            except TooSlow as error:
                raise CommandError(str(error)) from None
        self.stdout.write(f"{runs:,} runs are there. To see them, sign in as an owner: python manage.py person --help")
