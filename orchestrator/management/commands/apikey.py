"""API keys from the command line."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from flows.access.actions.create_key import create_key
from flows.access.actor import SCOPES
from orchestrator.management.speaking import CLI, person_named, spoken_refusals


class Command(BaseCommand):
    help = "Make API keys."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="create")
        each = verbs.add_parser("create", help="make a key and print it, once")
        each.add_argument("--user", required=True, help="the person it acts as")
        each.add_argument("--scopes", required=True, help=f"with commas between: {', '.join(SCOPES)}")
        each.add_argument("--label", default="", help="what it is for")
        each.add_argument("--days", type=float, help="until it expires; without it, it does not")

    def handle(self, *args: Any, user: str, scopes: str, label: str, days: float | None, **options: Any) -> None:
        person = person_named(user)
        wanted = [scope.strip() for scope in scopes.split(",") if scope.strip()]
        expires = timezone.now() + timedelta(days=days) if days is not None else None
        with spoken_refusals():
            key, secret = create_key(CLI, person, wanted, label=label, expires_at=expires)
        self.stderr.write(f"A key for {person.username} ({', '.join(key.scopes)}). It is shown only now:")
        self.stdout.write(secret)
