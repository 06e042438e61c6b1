"""What rests on a tool's effect: policies that are asked about its calls, and agents whose leash asks before it writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from flows.models import Flow, ToolEntry
from flows.runs.toolbox.uses import uses_within


@dataclass(frozen=True, slots=True)
class Affected:
    """Something that a change of a tool's effect bears on: its name, its page, and in what way."""

    name: str
    address: str
    how: str


PoliciesOn = Callable[[Mapping[str, str]], Mapping[str, list[tuple[str, str]]]]
InForce = Callable[[], Mapping[str, str]]

_find: PoliciesOn | None = None
_in_force: InForce | None = None


def use_policies(find: PoliciesOn, in_force: InForce) -> None:
    """Says who knows the policies, which stand in a room above: called once when the process starts (`orchestrator/apps.py`). `find` gives,
    of tools with the policies that they name, names and addresses of those in force that apply by themselves; `in_force` the names of all
    in force, by what tools and flows call them."""
    global _find, _in_force
    _find, _in_force = find, in_force


def policies_in_force() -> dict[str, str]:
    """The policies that a tool may name, with their names as pages show them. One query."""
    return dict(_in_force()) if _in_force is not None else {}


def policies_on(tools: Iterable[ToolEntry]) -> dict[str, tuple[Affected, ...]]:
    """By tool the policies in force that are asked about its calls. One query."""
    named = {tool.slug: tool.policy for tool in tools}
    found = _find(named) if _find is not None else {}
    return {
        tool: tuple(Affected(name, address, "is asked about its calls") for name, address in found.get(tool, ()))
        for tool in named
    }


def affected_by_effect(tool: ToolEntry, effect: str) -> list[Affected]:
    """What another effect of the tool bears on; nothing where it is the same."""
    if effect == tool.effect:
        return []
    found = list(policies_on([tool])[tool.slug])
    how = "its agent asks people before this call; it would not ask any more"
    if effect == "write":
        how = "its agent makes this call without asking; it would ask people first"
    for use in uses_within(Flow.objects.all()).get(tool.slug, ()):
        if use.leash == "risky":
            found.append(Affected(f"{use.name} v{use.version}", f"/flows/{use.slug}", how))
        elif not use.leash:
            found.append(Affected(f"{use.name} v{use.version}", f"/flows/{use.slug}", "a step of it calls this tool"))
    return found
