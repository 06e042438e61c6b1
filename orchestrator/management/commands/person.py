"""People from the command line."""

from __future__ import annotations

import getpass
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.urls import reverse

from approvals.actions.offboard_person import offboard_person
from flows.access.actions.change_person import change_person
from flows.access.actions.create_person import create_person
from flows.access.actions.end_sign_in import end_sign_in
from flows.access.actions.grant_role import grant_role
from flows.access.actions.invite_person import invite_person
from flows.access.actions.make_password_link import make_password_link
from flows.access.actions.reactivate_person import reactivate_person
from flows.access.signins import sign_ins_of
from flows.models import Role, Team
from orchestrator.management.speaking import CLI, person_named, spoken_refusals
from orchestrator.people.reads import sign_in_named


class Command(BaseCommand):
    help = "Add, invite, change, let in and shut out people."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(
            dest="verb", required=True, metavar="create | invite | change | password-link | sign-ins | deactivate | reactivate"
        )
        create = verbs.add_parser("create", help="add a person; their password is asked for, or read from the standard input")
        create.add_argument("username")
        create.add_argument("--name", default="")
        create.add_argument("--no-password", action="store_true", help="the person acts only through keys")
        invite = verbs.add_parser("invite", help="make a link by which somebody becomes a person, once, and print its path")
        for each in (create, invite):
            each.add_argument("--role", action="append", required=True, choices=Role.values, help="may be given more than once")
            each.add_argument("--team", help="slug of the team in which the roles are held; everywhere by default")
            each.add_argument("--email", default="")
        change = verbs.add_parser("change", help="another name or address")
        change.add_argument("username")
        change.add_argument("--name")
        change.add_argument("--email")
        link = verbs.add_parser("password-link", help="make a link by which a person sets a new password, and print its path")
        link.add_argument("username")
        sign_ins = verbs.add_parser("sign-ins", help="list the browsers in which a person is signed in, or sign one out")
        sign_ins.add_argument("username")
        sign_ins.add_argument("--end", metavar="ID", help="the one that is signed out")
        reactivate = verbs.add_parser("reactivate", help="let a person in again")
        reactivate.add_argument("username")
        deactivate = verbs.add_parser("deactivate", help="shut a person out; what waits for them goes to --successor")
        deactivate.add_argument("username")
        deactivate.add_argument("--successor", help="who takes over the open requests")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        does = {
            "create": self.create,
            "invite": self.invite,
            "change": self.change,
            "password-link": self.password_link,
            "sign-ins": self.sign_ins,
            "deactivate": self.deactivate,
            "reactivate": self.reactivate,
        }
        does[verb](options)

    def create(self, given: dict[str, Any]) -> None:
        slug, roles = given["team"], given["role"]
        team = Team.objects.filter(slug=slug).first() if slug is not None else None
        if slug is not None and team is None:
            raise CommandError(f"There is no team {slug!r}.")
        password = None if given["no_password"] else self.password()
        with spoken_refusals(), transaction.atomic():
            person = create_person(CLI, given["username"], password=password, name=given["name"], email=given["email"])
            for role in roles:
                grant_role(CLI, person, role, team)
        self.stdout.write(f"{person.username}: {', '.join(roles)}{f' in {slug}' if slug else ''}")

    def invite(self, given: dict[str, Any]) -> None:
        with spoken_refusals():
            invitation, secret = invite_person(CLI, [(role, given["team"]) for role in given["role"]], email=given["email"])
        self.stderr.write(f"Behind this installation's address, once, until {invitation.expires_at:%Y-%m-%d %H:%M} UTC:")
        self.stdout.write(reverse("invitation", args=[secret]))

    def change(self, given: dict[str, Any]) -> None:
        with spoken_refusals():
            person = change_person(CLI, person_named(given["username"]), name=given["name"], email=given["email"])
        self.stdout.write(f"{person.username}: {person.name} {person.email}".rstrip())

    def password_link(self, given: dict[str, Any]) -> None:
        with spoken_refusals():
            parts = make_password_link(CLI, person_named(given["username"]))
        self.stderr.write("Behind this installation's address, once, for three days:")
        self.stdout.write(reverse("password-reset", args=parts))

    def sign_ins(self, given: dict[str, Any]) -> None:
        person = person_named(given["username"])
        if given["end"]:
            with spoken_refusals():
                end_sign_in(CLI, sign_in_named(person, given["end"]))
        for each in sign_ins_of(person):
            self.stdout.write(f"{each.public_id}  {each.seen_at:%Y-%m-%d %H:%M} UTC  {each.address}  {each.agent}".rstrip())

    def reactivate(self, given: dict[str, Any]) -> None:
        person = person_named(given["username"])
        with spoken_refusals():
            reactivate_person(CLI, person)
        self.stdout.write(f"{person.username} may sign in again.")

    def deactivate(self, given: dict[str, Any]) -> None:
        person = person_named(given["username"])
        successor = person_named(given["successor"]) if given["successor"] is not None else None
        with spoken_refusals():
            count = offboard_person(CLI, person, successor)
        self.stdout.write(f"{person.username} is deactivated; {count} open request{'s' if count != 1 else ''} handed over.")

    def password(self) -> str:
        if not sys.stdin.isatty():
            return sys.stdin.readline().rstrip("\n")
        first = getpass.getpass("Password: ")
        if getpass.getpass("Again: ") != first:
            raise CommandError("The two passwords differ.")
        return first
