"""People from the command line."""

from __future__ import annotations

import getpass
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from flows.access.actions.create_person import create_person
from flows.access.actions.grant_role import grant_role
from flows.models import Role, Team
from orchestrator.management.speaking import CLI, spoken_refusals


class Command(BaseCommand):
    help = "Add people."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="create")
        each = verbs.add_parser("create", help="add a person; their password is asked for, or read from the standard input")
        each.add_argument("username")
        each.add_argument("--role", action="append", required=True, choices=Role.values, help="may be given more than once")
        each.add_argument("--team", help="slug of the team in which the roles are held; everywhere by default")
        each.add_argument("--name", default="")
        each.add_argument("--email", default="")
        each.add_argument("--no-password", action="store_true", help="the person acts only through keys")

    def handle(
        self,
        *args: Any,
        username: str,
        role: list[str],
        team: str | None,
        name: str,
        email: str,
        no_password: bool,
        **options: Any,
    ) -> None:
        held_in = Team.objects.filter(slug=team).first() if team is not None else None
        if team is not None and held_in is None:
            raise CommandError(f"There is no team {team!r}.")
        password = None if no_password else self.password()
        with spoken_refusals(), transaction.atomic():
            person = create_person(CLI, username, password=password, name=name, email=email)
            for each in role:
                grant_role(CLI, person, each, held_in)
        self.stdout.write(f"{person.username}: {', '.join(role)}{f' in {team}' if team else ''}")

    def password(self) -> str:
        if not sys.stdin.isatty():
            return sys.stdin.readline().rstrip("\n")
        first = getpass.getpass("Password: ")
        if getpass.getpass("Again: ") != first:
            raise CommandError("The two passwords differ.")
        return first
