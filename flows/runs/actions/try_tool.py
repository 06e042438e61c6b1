"""Trying a tool by hand."""

from __future__ import annotations

from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from flows.access.actor import Actor
from flows.access.refusals import Fault, Invalid, NotFound
from flows.access.rights import Right, require
from flows.engine.document import Limits, load_document
from flows.engine.schemas import value_problems
from flows.execution.handling import Handling
from flows.models import Flow, Run, ToolEntry
from flows.runs.actions.start_test import tested_version
from flows.runs.beginning import begin_run, input_text

SLUG: Final = "_tried_tools"
NAME: Final = "Tools tried by hand"


def try_tool(actor: Actor, tool: str, arguments: Any, *, really: bool = False, source: str = "page") -> Run:
    """Calls a tool once: a run of purpose `test` with one step, in the ledger like any other. One that writes is only written down
    with an example of its result, unless `really`, which takes the right to manage the catalogue. The run belongs to a flow that is
    kept for this and starts nothing else. Raises `Forbidden`, `NotFound`, and `Invalid` naming each fault of the arguments."""
    require(actor, Right.EDIT_ROUTES)
    entry = ToolEntry.objects.filter(slug=tool[:120]).first() if "\x00" not in tool else None
    if entry is None:
        raise NotFound(f"tool {tool[:80]!r}")
    if really and entry.effect == "write":
        require(actor, Right.MANAGE_CATALOGUE)
    if not isinstance(arguments, dict):
        raise Invalid("The tool was not called.", problems=[Fault("arguments", "must be a JSON object", "Write {} for none.")])
    faults = [Fault(each.path, each.message) for each in value_problems(arguments, entry.arguments, "arguments")]
    if faults:
        raise Invalid("The tool was not called.", problems=faults[:10])
    document = load_document(_document(tool, arguments))
    with transaction.atomic():
        flow, _ = Flow.objects.get_or_create(slug=SLUG, defaults={"name": NAME, "draft": "", "archived_at": timezone.now()})
        return begin_run(
            actor,
            flow,
            tested_version(actor, flow, document).id,
            input_text({"arguments": arguments}, document.input),
            document.limits or Limits(),
            source=source,
            handling=Handling(dry=not really),
            purpose="test",
        )


def _document(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    given = {name: f"{{{{ input.arguments['{name}'] }}}}" for name in arguments}
    return {
        "orchestrator": 1,
        "name": NAME,
        "input": {"type": "object", "required": ["arguments"], "properties": {"arguments": {"type": "object"}}},
        "limits": {"duration": "10m"},
        "steps": {"call": {"kind": "tool", "with": {"tool": tool, "arguments": given}}},
        "edges": ["start -> call"],
        "output": "{{ steps.call.output }}",
    }
