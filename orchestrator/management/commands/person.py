"""People from the command line."""

from __future__ import annotations

import getpass
import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction
from django.urls import reverse

from approvals.actions.offboard_person import offboard_person
from flows.access.actions.change_person import change_person
from flows.access.actions.create_person import create_person
from flows.access.actions.end_sign_in import end_sign_in, end_sign_ins
from flows.access.actions.grant_role import grant_role, roles_of
from flows.access.actions.invite_person import invite_person, withdraw_invitation
from flows.access.actions.make_password_link import make_password_link
from flows.access.actions.reactivate_person import reactivate_person
from flows.access.actions.revoke_role import revoke_role
from flows.access.actor import Actor
from flows.access.rights import Right, require
from flows.access.signins import people_signed_in, sign_ins_of
from flows.models import Person, Role
from orchestrator.management.speaking import person_named
from orchestrator.management.verbs import VerbCommand
from orchestrator.people.api import PeopleList, person_shape
from orchestrator.people.entering import rules
from orchestrator.people.me_api import SignInsShape, sign_ins_shape
from orchestrator.people.reads import Wanted, invitation_named, invitations_open, people_listed, sign_in_named, team_named


class Command(VerbCommand):
    help = "List, add, invite and change people, give them roles, let them in and shut them out."

    def add_verbs(self) -> None:
        listing = self.verb("list", "people with what they hold", shows=True)
        listing.add_argument("--text", default="", help="a part of the username, the name or the address")
        listing.add_argument("--role", default="", choices=Role.values)
        listing.add_argument("--team", default="", help="slug")
        listing.add_argument("--state", default="active", choices=("active", "deactivated", "all"))
        create = self.one("create", "add a person; their password is asked for, or read from the standard input")
        create.add_argument("--name", default="")
        create.add_argument("--no-password", action="store_true", help="the person acts only through keys")
        invite = self.verb("invite", "make a link by which somebody becomes a person, once, and print its path")
        for each in (create, invite):
            each.add_argument("--role", action="append", required=True, choices=Role.values, help="may be given more than once")
            each.add_argument("--team", help="slug of the team in which the roles are held; everywhere by default")
            each.add_argument("--email", default="")
        self.verb("invitations", "those that are open")
        self.verb("withdraw", "an invitation: its link opens nothing any more").add_argument(
            "invitation", help="identifier (inv_…)"
        )
        change = self.one("change", "another name or address")
        change.add_argument("--name")
        change.add_argument("--email")
        for each in (self.one("grant", "give a role"), self.one("take", "take a role away; the last owner stays one")):
            each.add_argument("role", choices=Role.values)
            each.add_argument("--team", help="slug of the team in which it is held; everywhere by default")
        self.one("password-link", "make a link by which a person sets a new password, and print its path")
        sign_ins = self.one("sign-ins", "list the browsers in which a person is signed in, or sign one out")
        sign_ins.add_argument("--end", metavar="ID", help="the one that is signed out")
        self.one("sign-out", "sign a person out everywhere")
        self.verb("signed-in", "by what rules people come in, and who is signed in now", shows=True)
        self.one("reactivate", "let a person in again")
        deactivate = self.one("deactivate", "shut a person out; what waits for them goes to --successor")
        deactivate.add_argument("--successor", help="who takes over the open requests")

    def one(self, name: str, words: str, **options: Any) -> CommandParser:
        """A verb on one person."""
        parser = self.verb(name, words, **options)
        parser.add_argument("username")
        return parser

    # --- who there is

    def do_list(self, actor: Actor, text: str, role: str, team: str, state: str, json: bool, **options: Any) -> None:
        found = people_listed(actor, Wanted(text, role, team, state))
        if json:
            self.write_json(PeopleList, {"items": [person_shape(each) for each in found]})
            return
        for each in found:
            held = ", ".join(
                f"{one.role} in {one.team.slug}" if one.team is not None else one.role for one in each.memberships.all()
            )
            gone = "" if each.is_active else " (deactivated)"
            self.stdout.write(f"{each.username}{gone}: {held or 'no role'}")

    def do_invitations(self, actor: Actor, **options: Any) -> None:
        for each in invitations_open(actor):
            held = ", ".join(f"{one['role']} in {one['team']}" if one.get("team") else one["role"] for one in each.roles)
            whom = f" for {each.email}" if each.email else ""
            self.stdout.write(f"{each.public_id}: {held}{whom}, until {each.expires_at:%Y-%m-%d %H:%M} UTC")

    def do_sign_ins(self, actor: Actor, username: str, end: str | None, **options: Any) -> None:
        person = self.managed(actor, username)
        if end:
            end_sign_in(actor, sign_in_named(person, end))
        for each in sign_ins_of(person):
            self.stdout.write(f"{each.public_id}  {each.seen_at:%Y-%m-%d %H:%M} UTC  {each.address}  {each.agent}".rstrip())

    def do_signed_in(self, actor: Actor, json: bool, **options: Any) -> None:
        found = people_signed_in(actor)
        if json:
            self.write_json(SignInsShape, sign_ins_shape(found))
            return
        for rule in rules():
            self.stdout.write(f"{rule.what}: {rule.words}{f' ({rule.variable})' if rule.variable else ''}")
        for each in found:
            browsers = f"{each.browsers} browser{'s' if each.browsers != 1 else ''}"
            self.stdout.write(f"{each.person.username}: {browsers}, last seen {each.seen_at:%Y-%m-%d %H:%M} UTC")

    # --- what is done

    def do_create(
        self,
        actor: Actor,
        username: str,
        role: list[str],
        team: str | None,
        name: str,
        email: str,
        no_password: bool,
        **options: Any,
    ) -> None:
        held_in = team_named(team) if team is not None else None
        password = None if no_password else self.password()
        with transaction.atomic():
            person = create_person(actor, username, password=password, name=name, email=email)
            for each in role:
                grant_role(actor, person, each, held_in)
        self.stdout.write(f"{person.username}: {', '.join(role)}{f' in {team}' if team else ''}")

    def do_invite(self, actor: Actor, role: list[str], team: str | None, email: str, **options: Any) -> None:
        invitation, secret = invite_person(actor, [(each, team) for each in role], email=email)
        self.stderr.write(f"Behind this installation's address, once, until {invitation.expires_at:%Y-%m-%d %H:%M} UTC:")
        self.stdout.write(reverse("invitation", args=[secret]))

    def do_withdraw(self, actor: Actor, invitation: str, **options: Any) -> None:
        withdraw_invitation(actor, invitation_named(actor, invitation))
        self.stdout.write("Its link opens nothing any more.")

    def do_change(self, actor: Actor, username: str, name: str | None, email: str | None, **options: Any) -> None:
        person = change_person(actor, self.managed(actor, username), name=name, email=email)
        self.stdout.write(f"{person.username}: {person.name} {person.email}".rstrip())

    def do_grant(self, actor: Actor, username: str, role: str, team: str | None, **options: Any) -> None:
        person = self.managed(actor, username)
        grant_role(actor, person, role, team_named(team) if team is not None else None)
        self.tell(person)

    def do_take(self, actor: Actor, username: str, role: str, team: str | None, **options: Any) -> None:
        person = self.managed(actor, username)
        revoke_role(actor, person, role, team_named(team) if team is not None else None)
        self.tell(person)

    def do_password_link(self, actor: Actor, username: str, **options: Any) -> None:
        parts = make_password_link(actor, self.managed(actor, username))
        self.stderr.write("Behind this installation's address, once, for three days:")
        self.stdout.write(reverse("password-reset", args=parts))

    def do_sign_out(self, actor: Actor, username: str, **options: Any) -> None:
        count = end_sign_ins(actor, self.managed(actor, username))
        self.stdout.write(f"{username} is signed out of {count} browser{'s' if count != 1 else ''}.")

    def do_reactivate(self, actor: Actor, username: str, **options: Any) -> None:
        person = self.managed(actor, username)
        reactivate_person(actor, person)
        self.stdout.write(f"{person.username} may sign in again.")

    def do_deactivate(self, actor: Actor, username: str, successor: str | None, **options: Any) -> None:
        person = self.managed(actor, username)
        count = offboard_person(actor, person, person_named(successor) if successor is not None else None)
        self.stdout.write(f"{person.username} is deactivated; {count} open request{'s' if count != 1 else ''} handed over.")

    def managed(self, actor: Actor, username: str) -> Person:
        """The person of this name, for whoever manages people."""
        require(actor, Right.MANAGE_PEOPLE)
        return person_named(username)

    def tell(self, person: Person) -> None:
        self.stdout.write(f"{person.username}: {', '.join(roles_of(person)) or 'no role'}")

    def password(self) -> str:
        if not sys.stdin.isatty():
            return sys.stdin.readline().rstrip("\n")
        first = getpass.getpass("Password: ")
        if getpass.getpass("Again: ") != first:
            raise CommandError("The two passwords differ.")
        return first
