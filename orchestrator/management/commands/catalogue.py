"""``manage.py catalogue apply FILE``: makes the catalogue what a document says."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from flows.access.actor import Actor, system
from flows.access.refusals import Refusal
from flows.engine.failures import Failure
from flows.engine.problems import DocumentError
from flows.models import Person
from flows.tools.actions.refresh_server import refresh_server
from orchestrator.actions.apply_catalogue import apply_catalogue
from orchestrator.catalogue import tool_kinds
from orchestrator.catalogue_document import CatalogueDocument, parse_catalogue
from orchestrator.embedded.servers import running_servers


class Command(BaseCommand):
    help = "Makes the catalogue (models, routes, tools, teams, allowed hosts) what a document says."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        apply = verbs.add_parser("apply", help="adds and alters what the document names")
        apply.add_argument("file", type=Path)
        apply.add_argument("--as", dest="username", default="", help="the person who does it; without it, the command line")

    def handle(self, *args: Any, file: Path, username: str, **options: Any) -> None:
        document = self.read(file)
        with running_servers(settings.DATA_DIR, holder="catalogue"):
            try:
                applied = apply_catalogue(self.actor(username), document)
            except DocumentError as error:
                raise CommandError(_problems(file, error)) from None
            except Refusal as refusal:
                raise CommandError(f"{file}: {refusal.message}") from None
            for slug in document.mcp:
                self.refresh(self.actor(username), slug)
        for change in applied.changes:
            self.stdout.write(change)
        for warning in applied.warnings:
            self.stderr.write(self.style.WARNING(f"WARNING: {warning}"))
        self.stdout.write(f"{file}: {len(applied.changes)} changes." if applied.changes else f"{file}: nothing to change.")

    def refresh(self, actor: Actor, slug: str) -> None:
        """Takes in what an MCP server has; one that cannot be reached keeps the tools that it had."""
        try:
            done = refresh_server(actor, slug)
        except Failure as failure:
            self.stderr.write(self.style.WARNING(f"WARNING: {failure.message}"))
            return
        for tool in done.new:
            self.stdout.write(f"new tool {tool}, of the MCP server {slug}")
        for tool in done.changed:
            self.stderr.write(
                self.style.WARNING(f"WARNING: tool {tool} has changed at its server and is not called until you look.")
            )
        for tool in done.gone:
            self.stderr.write(self.style.WARNING(f"WARNING: the MCP server {slug} has no tool {tool} any more."))

    def read(self, file: Path) -> CatalogueDocument:
        try:
            return parse_catalogue(file.read_bytes(), {kind.slug: kind for kind in tool_kinds()})
        except OSError as error:
            raise CommandError(f"{file}: cannot be read ({error.strerror}).") from None
        except DocumentError as error:
            raise CommandError(_problems(file, error)) from None

    def actor(self, username: str) -> Actor:
        if not username:
            return system("command line", door="cli")
        person = Person.objects.filter(username=username).first()
        if person is None:
            raise CommandError(f"There is no person named {username!r}.")
        return Actor(person=person, door="cli")


def _problems(file: Path, error: DocumentError) -> str:
    return "\n".join(f"{file}: {problem}" for problem in error.problems)
