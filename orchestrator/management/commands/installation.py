"""The general settings from the command line, and the whole configuration as a file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from flows.access.actions.change_installation import change_installation
from flows.access.actor import Actor
from flows.access.installation import look_up
from flows.access.rights import Right, require
from orchestrator.actions.try_mail import try_mail
from orchestrator.management.verbs import VerbCommand
from orchestrator.transfer.api import BroughtShape, brought_shape
from orchestrator.transfer.exporting import export_all
from orchestrator.transfer.importing import import_all, preview_import


class Command(VerbCommand):
    help = (
        "Say what the installation is called, whose days it reckons in, how its money is labelled; export and import all of it."
    )

    def add_verbs(self) -> None:
        self.verb("show", "print the settings")
        change = self.verb("set", "change those that are named")
        change.add_argument("--name")
        change.add_argument("--zone", help="such as Europe/Madrid")
        change.add_argument("--currency", help="a label such as $, € or CHF; no amount is converted")
        change.add_argument("--reason", default="")
        self.verb("mail-test", "send a letter to a person's own address, to see whether letters arrive", by_person=True)
        each = self.verb("export", "write what is configured as a ZIP of documents, without any secret")
        each.add_argument("file", type=Path)
        each = self.verb("import", "take in catalogue and flows of an export, all of it or nothing; flows as drafts", shows=True)
        each.add_argument("file", type=Path)
        each.add_argument("--preview", action="store_true", help="say what it would do, and change nothing")

    def do_show(self, actor: Actor, **options: Any) -> None:
        require(actor, Right.MANAGE_SETTINGS)
        known = look_up()
        self.stdout.write(f"name: {known.name}\nzone: {known.zone}\ncurrency: {known.currency}")

    def do_set(self, actor: Actor, name: str | None, zone: str | None, currency: str | None, reason: str, **options: Any) -> None:
        change_installation(actor, name=name, zone=zone, currency=currency, reason=reason)
        self.do_show(actor)

    def do_mail_test(self, actor: Actor, **options: Any) -> None:
        said = try_mail(actor)
        if said:
            raise CommandError(f"The letter was not sent. {said}")
        self.stdout.write("The mail server took the letter.")

    def do_export(self, actor: Actor, file: Path, **options: Any) -> None:
        try:
            with export_all(actor) as found, file.open("wb") as stream:
                shutil.copyfileobj(found, stream)
        except OSError as error:
            raise CommandError(f"{file}: cannot be written: {error.strerror}") from None
        self.stdout.write(f"{file}: {file.stat().st_size:,} bytes")

    def do_import(self, actor: Actor, file: Path, preview: bool, json: bool, **options: Any) -> None:
        try:
            data = file.read_bytes()
        except OSError as error:
            raise CommandError(f"{file}: cannot be read: {error.strerror}") from None
        brought = (preview_import if preview else import_all)(actor, data)
        if json:
            self.write_json(BroughtShape, brought_shape(brought, not preview))
            return
        for line in brought.changes:
            self.stdout.write(line)
        for item in brought.items:
            if item.state == "left":
                self.stdout.write(f"left out: {item.part} {item.name}: {item.why}")
        for line in brought.warnings:
            self.stderr.write(self.style.WARNING(f"WARNING: {line}"))
        counts = ", ".join(f"{count} {state}" for state, count in brought.counts.items())
        self.stdout.write(f"{file}: {counts}{'; nothing was changed' if preview else ''}")
