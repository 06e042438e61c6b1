"""Memories from the command line."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from flows.memory.actions.clear_memory import clear_memory
from flows.memory.actions.delete_memory import delete_memory
from flows.memory.reads import Wanted, entry_named, history_of, matching, page_of
from flows.models import MemoryEntry
from orchestrator.management.speaking import actor_named, spoken_refusals

MOST = 200


class Command(BaseCommand):
    help = "List what runs left for later ones, show one entry with its history, or forget it."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--as", dest="username", help="the person who acts")
        verbs = parser.add_subparsers(dest="verb", required=True)
        listing = verbs.add_parser("list", help=f"the newest {MOST} entries that match, one a line")
        listing.add_argument("--scope", default="", help="flow, person or key")
        listing.add_argument("--flow", default="", help="slug")
        listing.add_argument("--person", default="", help="username")
        listing.add_argument("--key", default="")
        listing.add_argument("--text", default="", help="stands in the name, the key or the value")
        showing = verbs.add_parser("show", help="one entry and what it was set to before")
        showing.add_argument("entry")
        forgetting = verbs.add_parser("forget", help="one entry with its history")
        forgetting.add_argument("entry")
        forgetting.add_argument("--all", action="store_true", help="everything that its memory holds")

    def handle(self, *args: Any, verb: str, username: str | None, **options: Any) -> None:
        actor = actor_named(username)
        with spoken_refusals():
            if verb == "list":
                wanted = Wanted(**{name: options[name] for name in ("scope", "flow", "person", "key", "text")})
                rows, more = page_of(matching(actor, wanted), None, MOST, wanted.text)
                for row in rows:
                    self.stdout.write(_line(row))
                if more:
                    self.stdout.write(f"… and more: narrow what is listed, these are the newest {MOST}.")
                return
            found = entry_named(actor, options["entry"])
            if verb == "show":
                self.stdout.write(_line(found))
                for change in history_of(actor, found):
                    who = (
                        change.by.username
                        if change.by is not None
                        else f"run {change.run.number}, {change.path}"
                        if change.run
                        else "–"
                    )
                    value = "(removed)" if change.value is None else json.dumps(change.shown, ensure_ascii=False)
                    self.stdout.write(f"  {change.revision}  {change.at:%Y-%m-%d %H:%M:%S}  {who}  {value}")
            elif options["all"]:
                self.stdout.write(f"{clear_memory(actor, found)} forgotten.")
            else:
                delete_memory(actor, found)
                self.stdout.write(f"{found.name} is forgotten.")


def _line(entry: MemoryEntry) -> str:
    until = f"  until {entry.expires_at:%Y-%m-%d %H:%M:%S}" if entry.expires_at is not None else ""
    value = entry.shown_text
    return f"{entry.public_id}  {owner_of(entry)}  {entry.name} = {value if len(value) <= 120 else value[:120] + '…'}{until}"


def owner_of(entry: MemoryEntry) -> str:
    """Whose memory it is, in a word and a name."""
    if entry.flow is not None:
        return f"flow {entry.flow.slug}"
    return f"person {entry.person.username}" if entry.person is not None else f"key {entry.key}"
