"""Making, changing and removing a tool of the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Fault, Invalid, NotFound
from flows.access.rights import Right, require
from flows.engine.problems import did_you_mean
from flows.models import Secret, ToolEntry
from flows.routing.entries import SLUG
from flows.runs.actions.put_model import Put, as_faults
from flows.runs.toolbox.affected import policies_in_force
from flows.runs.toolbox.entries import ToolPart, tool_faults
from flows.runs.toolbox.uses import InUse, flows_using
from flows.tools import known_tool_kinds
from flows.tools.actions.follow_flow import input_of
from flows.tools.functions import FUNCTIONS
from flows.tools.hints import schemas_of

LONGEST_NAME = 100


def put_tool(actor: Actor, slug: str, part: ToolPart, *, new: bool = False) -> Put:
    """Makes the tool, or changes it (`new`: only makes it); calls that begin from now on go by it. One of an MCP server comes from that
    server and is changed by `change_terms`. A Python function takes and gives what its type hints say, where the part does not. Raises
    `Forbidden`, and `Invalid` naming each fault."""
    require(actor, Right.MANAGE_CATALOGUE)
    faults = list(as_faults(("tools", slug), tool_faults(slug, part, known_tool_kinds())))
    if not SLUG.fullmatch(slug) or len(slug) > LONGEST_NAME:
        faults.append(
            Fault("name", f"`{slug[:40]}` is no name", "Use up to 100 small letters, digits, dots, hyphens and underscores.")
        )
    elif new and ToolEntry.objects.filter(slug=slug).exists():
        faults.append(Fault("name", f"there is a tool `{slug}` already", "Choose another name, or change that one."))
    if part.kind == "mcp":
        faults.append(
            Fault("kind", "tools of MCP servers come from their server", "Check its connection, then change what it may do.")
        )
    if not faults:
        faults += [*flow_faults(part), *function_faults(slug, part), *policy_faults(part.policy)]
    if faults:
        raise Invalid("The tool cannot be used as it is.", problems=faults)
    with transaction.atomic():
        return write_tool(actor, slug, part)


def write_tool(actor: Actor, slug: str, part: ToolPart) -> Put:
    """Writes the tool with its audit row, for who has checked rights and the part. Must run in a transaction."""
    values = part.stored(known_tool_kinds()[part.kind])
    if part.kind == "flow":
        values["arguments"] = input_of(str(values["settings"].get("flow")), values["settings"].get("version")) or {}
    elif part.kind == "python" and (found := FUNCTIONS.get(_function(slug, part))) is not None:
        takes, gives = schemas_of(found)
        values |= {"arguments": values["arguments"] or takes, "result": values["result"] or gives}
    row = ToolEntry.objects.select_for_update().filter(slug=slug).first()
    if row is None:
        row = ToolEntry.objects.create(slug=slug, **values)
        record_change(actor, "tool.create", "tool", slug, values)
        return Put(row, [f"new tool {slug}"])
    return _changed(actor, row, values)


def change_terms(actor: Actor, slug: str, terms: Mapping[str, Any]) -> Put:
    """Changes what a tool counts as: `effect`, `repeat`, `reversible`, `trusted`, `timeout`, `description`, `policy`, of whatever kind it
    is. What was pinned of an MCP tool stays pinned. Raises `Forbidden`, `NotFound`, and `Invalid` where these do not fit each other."""
    require(actor, Right.MANAGE_CATALOGUE)
    with transaction.atomic():
        row = ToolEntry.objects.select_for_update().filter(slug=slug[:120]).first()
        if row is None:
            raise NotFound(f"tool {slug[:80]!r}")
        faults = [*terms_faults(row, terms), *policy_faults(terms.get("policy"))]
        if faults:
            raise Invalid("The tool was not changed.", problems=faults)
        return _changed(actor, row, terms)


def terms_faults(row: ToolEntry, terms: Mapping[str, Any]) -> list[Fault]:
    """Why a tool cannot be repeated as these terms say."""
    repeat = terms.get("repeat", row.repeat)
    if repeat == "keyed" and (row.kind != "http" or not row.settings.get("idempotency_header")) and row.kind != "python":
        return [
            Fault("repeat", "the tool sends no key by which its service knows a repetition", "Choose another way to repeat it.")
        ]
    if repeat == "lookup" and row.kind != "python" and not row.settings.get("find"):
        return [Fault("repeat", "the tool has no address that tells what became of a call", "Choose another way to repeat it.")]
    return []


def remove_tool(actor: Actor, slug: str) -> None:
    """Takes a tool out of the catalogue, and out of the secrets that were granted to it. Raises `Forbidden`, `NotFound`, and `InUse` naming
    the flows that call it."""
    require(actor, Right.MANAGE_CATALOGUE)
    with transaction.atomic():
        row = ToolEntry.objects.select_for_update().filter(slug=slug[:120]).first()
        if row is None:
            raise NotFound(f"tool {slug[:80]!r}")
        holders = flows_using([slug])
        if holders:
            raise InUse(f"{slug} is called by {', '.join(map(str, holders))}. Let them call another tool first.")
        row.delete()
        take_grants(slug)
        record_change(actor, "tool.remove", "tool", slug, {"kind": row.kind})


def take_grants(holder: str) -> None:
    """What is gone is granted nothing any more: another of its name would not be the same."""
    for secret in Secret.objects.select_for_update().filter(tools__contains=[holder]):
        secret.tools = [each for each in secret.tools if each != holder]
        secret.save(update_fields=["tools"])


def policy_faults(policy: str | None) -> list[Fault]:
    """Why this policy cannot rule on a tool's calls."""
    if not policy or policy in (known := policies_in_force()):
        return []
    return [Fault("policy", f"there is no policy `{policy[:60]}` in force", did_you_mean(policy, known))]


def function_faults(slug: str, part: ToolPart) -> list[Fault]:
    """Why there is no function behind a Python tool."""
    function = _function(slug, part)
    if part.kind != "python" or function in FUNCTIONS:
        return []
    return [Fault("function", f"there is no function `{function[:60]}`", did_you_mean(function, FUNCTIONS))]


def _function(slug: str, part: ToolPart) -> str:
    return str((part.model_extra or {}).get("function") or slug)


def flow_faults(part: ToolPart) -> list[Fault]:
    """Why this flow cannot be a tool."""
    if part.kind != "flow":
        return []
    extra = part.model_extra or {}
    if input_of(str(extra.get("flow", "")), extra.get("version")) is None:
        return [Fault("flow", f"there is no published flow {str(extra.get('flow', ''))[:80]!r}", "Publish it first.")]
    return []


def _changed(actor: Actor, row: ToolEntry, values: Mapping[str, Any]) -> Put:
    changed = {name: value for name, value in values.items() if getattr(row, name) != value}
    put = Put(row)
    if changed:
        before = {name: getattr(row, name) for name in changed}
        for name, value in changed.items():
            setattr(row, name, value)
        row.save(update_fields=list(changed))
        record_change(actor, "tool.change", "tool", row.slug, {"from": before, "to": changed})
        put.changes.append(f"tool {row.slug}: {', '.join(changed)}")
    return put
