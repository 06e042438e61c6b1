"""Tools from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from flows.access.actor import Actor
from flows.runs.actions.put_tool import put_tool, remove_tool
from flows.runs.actions.try_tool import try_tool
from flows.runs.toolbox.entries import ToolPart
from flows.runs.toolbox.reads import tools_shown
from orchestrator.management.parts import part_in
from orchestrator.management.speaking import actor_named, json_given, spoken_refusals


class Command(BaseCommand):
    help = "List, make, change, try and remove the tools that flows may call."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|put|try|remove")
        verbs.add_parser("list", help="all tools with what they do and who uses them")
        put = verbs.add_parser("put", help="make the tool, or change it to what a file says (YAML or JSON)")
        put.add_argument("name")
        put.add_argument("file", type=Path)
        tried = verbs.add_parser("try", help="call it once, as a run marked as a test; one that writes is only written down")
        tried.add_argument("name")
        tried.add_argument("--arguments", default="{}", help="a JSON object")
        tried.add_argument("--really", action="store_true", help="call one that writes all the same")
        verbs.add_parser("remove", help="take it out of the catalogue").add_argument("name")
        for each in verbs.choices.values():
            each.add_argument("--as", dest="username", help="the person that does it; without it, the command line")

    def handle(self, *args: Any, verb: str, username: str | None, **options: Any) -> None:
        with spoken_refusals():
            getattr(self, f"do_{verb}")(actor_named(username), **options)

    def do_list(self, actor: Actor, **options: Any) -> None:
        for each in tools_shown(actor):
            users = ", ".join(sorted({use.slug for use in each.uses})) or "no published flow"
            said = ", ".join(part for part in (each.effect, each.undone, each.repeat) if part)
            self.stdout.write(f"{each.tool.slug} ({each.tool.kind}): {said}; used by {users}")

    def do_put(self, actor: Actor, name: str, file: Path, **options: Any) -> None:
        put = put_tool(actor, name, part_in(file, ToolPart, "tool"))
        self.stdout.write("\n".join(put.changes) or f"{name}: nothing to change.")

    def do_try(self, actor: Actor, name: str, arguments: str, really: bool, **options: Any) -> None:
        run = try_tool(actor, name, json_given(arguments), really=really, source="cli")
        self.stdout.write(f"{run.public_id}: {run.status}")

    def do_remove(self, actor: Actor, name: str, **options: Any) -> None:
        remove_tool(actor, name)
        self.stdout.write(f"{name} was removed.")
