"""Tools from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flows.access.actor import Actor
from flows.api.tools import ToolShape, ToolsShape, require_sight, tool_shape
from flows.runs.actions.put_tool import put_tool, remove_tool
from flows.runs.actions.try_tool import try_tool
from flows.runs.toolbox.entries import ToolPart
from flows.runs.toolbox.reads import tool_shown, tools_shown
from flows.tools.actions.refresh_server import accept_tool
from orchestrator.management.parts import part_in
from orchestrator.management.speaking import json_given
from orchestrator.management.verbs import VerbCommand


class Command(VerbCommand):
    help = "List, show, make, change, try and remove the tools that flows may call."

    def add_verbs(self) -> None:
        self.verb("list", "all tools with what they do and who uses them", shows=True)
        self.verb("show", "one tool, as the API answers it").add_argument("name")
        put = self.verb("put", "make the tool, or change it to what a file says (YAML or JSON)")
        put.add_argument("name")
        put.add_argument("file", type=Path)
        self.verb("accept", "take in what an MCP tool has become at its server").add_argument("name")
        tried = self.verb("try", "call it once, as a run marked as a test; one that writes is only written down")
        tried.add_argument("name")
        tried.add_argument("--arguments", default="{}", help="a JSON object")
        tried.add_argument("--really", action="store_true", help="call one that writes all the same")
        self.verb("remove", "take it out of the catalogue").add_argument("name")

    def do_show(self, actor: Actor, name: str, **options: Any) -> None:
        require_sight(actor)
        self.write_json(ToolShape, tool_shape(tool_shown(actor, name)))

    def do_accept(self, actor: Actor, name: str, **options: Any) -> None:
        accept_tool(actor, name)
        self.stdout.write(f"{name} is called as its server has it now.")

    def do_list(self, actor: Actor, json: bool, **options: Any) -> None:
        require_sight(actor)
        if json:
            self.write_json(ToolsShape, {"items": [tool_shape(each) for each in tools_shown(actor)]})
            return
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
