"""The general settings from the command line."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from flows.access.actions.change_installation import change_installation
from flows.access.installation import look_up
from orchestrator.actions.try_mail import try_mail
from orchestrator.management.speaking import actor_named, spoken_refusals


class Command(BaseCommand):
    help = "Say what the installation is called, whose days it reckons in, and how its money is labelled."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="show | set | mail-test")
        verbs.add_parser("show", help="print the settings")
        change = verbs.add_parser("set", help="change those that are named")
        change.add_argument("--name")
        change.add_argument("--zone", help="such as Europe/Madrid")
        change.add_argument("--currency", help="a label such as $, € or CHF; no amount is converted")
        change.add_argument("--reason", default="")
        mail = verbs.add_parser("mail-test", help="send a letter to a person's own address, to see whether letters arrive")
        for each in (change, mail):
            each.add_argument("--as", dest="person", required=each is mail, help="in whose name")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        {"show": self.show, "set": self.change, "mail-test": self.try_mail}[verb](options)

    def show(self, given: dict[str, Any]) -> None:
        known = look_up()
        self.stdout.write(f"name: {known.name}\nzone: {known.zone}\ncurrency: {known.currency}")

    def change(self, given: dict[str, Any]) -> None:
        wanted = {name: given[name] for name in ("name", "zone", "currency", "reason")}
        with spoken_refusals():
            change_installation(actor_named(given["person"]), **wanted)
        self.show(given)

    def try_mail(self, given: dict[str, Any]) -> None:
        with spoken_refusals():
            said = try_mail(actor_named(given["person"]))
        if said:
            raise CommandError(f"The letter was not sent. {said}")
        self.stdout.write("The mail server took the letter.")
