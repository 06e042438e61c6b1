"""The audit log from the command line."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from flows.access.sealing import seal_audit, verify


class Command(BaseCommand):
    help = "Check the audit log."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="verify")
        verbs.add_parser("verify", help="follow the chain of hashes over every row and name the first that does not fit")

    def handle(self, *args: Any, **options: Any) -> None:
        seal_audit()
        chain = verify()
        if chain.broken:
            raise CommandError(f"The chain is broken: {chain.broken}. {chain.sealed} rows before it are as they were written.")
        self.stdout.write(f"{chain.sealed} rows are as they were written, {chain.unsealed} not sealed yet; head {chain.head}")
