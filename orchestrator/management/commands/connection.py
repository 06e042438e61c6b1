"""Connections of tools from the command line: databases, mail servers, chats and MCP servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from flows.access.actor import Actor
from flows.access.rights import Right, require
from flows.api.tools import ConnectionsShape, connection_asked, connection_shape
from flows.runs.actions.put_connection import put_connection, remove_connection
from flows.runs.toolbox.connected import connections_shown
from flows.runs.toolbox.entries import ConnectionPart
from orchestrator.management.parts import part_in
from orchestrator.management.verbs import VerbCommand


class Command(VerbCommand):
    help = "List, make, change, check and remove the connections by which tools reach what is outside."

    def add_verbs(self) -> None:
        self.verb("list", "all connections, MCP servers among them", shows=True)
        put = self.verb("put", "make the connection, or change it to what a file says (YAML or JSON)")
        put.add_argument("name")
        put.add_argument("file", type=Path)
        self.verb("check", "ask the other side who it is; of an MCP server, which tools it has").add_argument("name")
        self.verb("remove", "take it away, of an MCP server with its tools").add_argument("name")

    def do_list(self, actor: Actor, json: bool, **options: Any) -> None:
        require(actor, Right.MANAGE_CATALOGUE)
        found = connections_shown()
        if json:
            self.write_json(ConnectionsShape, {"items": [connection_shape(each) for each in found]})
            return
        for each in found:
            used = ", ".join(each.tools) or "no tool"
            trouble = f"; {each.row.problem}" if each.row.problem else ""
            self.stdout.write(f"{each.slug} ({each.kind}): {each.reached}; used by {used}{trouble}")

    def do_put(self, actor: Actor, name: str, file: Path, **options: Any) -> None:
        put = put_connection(actor, name, part_in(file, ConnectionPart, "connection"))
        self.stdout.write("\n".join(put.changes) or f"{name}: nothing to change.")

    def do_check(self, actor: Actor, name: str, **options: Any) -> None:
        well, said = connection_asked(actor, name)
        if not well:
            raise CommandError(f"{name}: {said}")
        self.stdout.write(f"{name}: {said}")

    def do_remove(self, actor: Actor, name: str, **options: Any) -> None:
        remove_connection(actor, name)
        self.stdout.write(f"{name} was removed.")
