"""The kill switch from the command line."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from flows.execution.killswitch import the_switch
from flows.runs.actions.throw_switch import throw_switch
from orchestrator.management.speaking import actor_named, spoken_refusals


class Command(BaseCommand):
    help = "Let no effect begin anywhere, or let them begin again."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("verb", choices=["on", "off", "status"])
        parser.add_argument("--reason", default="", help="why everything stops; everybody reads it on every page")
        parser.add_argument("--as", dest="username", help="the person who acts")

    def handle(self, *args: Any, verb: str, reason: str, username: str | None, **options: Any) -> None:
        switch = the_switch()
        if verb != "status":
            with spoken_refusals():
                switch = throw_switch(actor_named(username), verb == "on", reason)
        if switch.is_on:
            self.stdout.write(f"The kill switch is on: {switch.reason} ({switch.by_name}, {switch.at:%Y-%m-%d %H:%M:%S} UTC).")
        else:
            self.stdout.write("The kill switch is off.")
