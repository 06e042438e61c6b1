"""What can be tested of a draft, and what each will probably cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flows.access.actor import Actor
from flows.costs.estimates import Estimate, estimate_of_steps
from flows.costs.prices import upper_bound
from flows.costs.tokens import tokens_of_request
from flows.engine.excerpt import leading_to
from flows.engine.yamltext import parse_yaml
from flows.models import Flow, ModelEntry, Pin, ToolEntry
from flows.routing.table import RoutingTable, Unknown, current_table
from flows.runs.testing.supposing import IN_HANDLER, in_handler


@dataclass(frozen=True, slots=True)
class Extent:
    """One of the three ways. `estimate` is of tests and runs before; without any, `bound` is the most that one call of each model
    step would cost (None: a price is not known, or the step's text cannot be read yet)."""

    name: str  # only | to | draft
    label: str
    asks: int  # model steps that it carries out
    estimate: Estimate | None
    bound: Any = None


def draft_of(flow: Flow) -> dict[str, Any]:
    value = parse_yaml(flow.draft).value
    return value if isinstance(value, dict) else {}


def extents_of(actor: Actor, flow: Flow, step: str | None, *, simulate: bool) -> list[Extent]:
    """The whole draft, and, for a step of the flow or of its error handler (`error.notify`), what leads to it, and the step alone.
    Steps inside others are tested with these."""
    draft = draft_of(flow)
    steps = _paths(draft)
    part, prefix = (draft.get("on_error"), IN_HANDLER) if in_handler(step or "") else (draft, "")
    key = (step or "").removeprefix(prefix).partition(".")[0]
    chosen = steps.get(prefix + key)
    pinned = set(Pin.objects.filter(flow=flow).values_list("path", flat=True))
    table = current_table()
    table = table.simulated() if simulate else table
    found = []
    if isinstance(part, dict) and chosen is not None and chosen.get("kind") != "note":
        name = str(chosen.get("label") or key.replace("_", " ").capitalize())
        before = {prefix + each for each in leading_to(part, key)} - pinned
        found = [
            _extent(actor, flow, "only", f"Run “{name}”", steps, {prefix + key}, table, simulate),
            _extent(actor, flow, "to", f"Run up to “{name}”", steps, before | {prefix + key}, table, simulate),
        ]
    own = {path for path in steps if not in_handler(path)}
    return [*found, _extent(actor, flow, "draft", "Run the draft", steps, own - pinned, table, simulate)]


def _paths(draft: Mapping[str, Any]) -> dict[str, Any]:
    """The steps of the flow itself and of its error handler, by path."""
    handler = draft.get("on_error")
    handling = handler.get("steps") if isinstance(handler, dict) else None
    return {**(draft.get("steps") or {}), **{IN_HANDLER + key: step for key, step in (handling or {}).items()}}


def _extent(
    actor: Actor, flow: Flow, name: str, label: str, steps: Mapping[str, Any], keys: set[str], table: RoutingTable, simulate: bool
) -> Extent:
    asking = [settings for key in keys for settings in _asking(steps[key])]
    estimate = estimate_of_steps(actor, flow, sorted(keys), simulated=simulate) if asking else None
    bounds = [_bound(settings, table) for settings in asking]
    known = [bound for bound in bounds if bound is not None]
    return Extent(name, label, len(asking), estimate, sum(known) if known and len(known) == len(bounds) else None)


def _asking(step: Any) -> list[Mapping[str, Any]]:
    """The settings of the model steps that a step is or holds."""
    settings = step.get("with") if isinstance(step, dict) else None
    if not isinstance(settings, dict):
        return []
    if "route" in settings:
        return [settings]
    body = settings.get("body")
    inner = body.get("steps") if isinstance(body, dict) else None
    return [found for each in inner.values() for found in _asking(each)] if isinstance(inner, dict) else []


def _bound(settings: Mapping[str, Any], table: RoutingTable) -> Any:
    try:
        model = table.candidates(str(settings["route"]))[0]
    except Unknown:
        return None
    text = f"{settings.get('system', '')}{settings.get('prompt', '')}{settings.get('messages', '')}"
    output = settings.get("output")
    tokens = tokens_of_request([{"role": "user", "content": text}], output if isinstance(output, dict) else None)
    most = settings.get("max_output")
    return upper_bound(model.price, tokens, most if isinstance(most, int) else model.max_output)


def tools_written(flow: Flow) -> list[str]:
    """The tools that write, of those that the draft names."""
    named = {str(tool) for step in _paths(draft_of(flow)).values() for tool in _tools(step)}
    return list(ToolEntry.objects.filter(slug__in=named, effect="write").order_by("slug").values_list("slug", flat=True))


def _tools(step: Any) -> list[Any]:
    settings = step.get("with") if isinstance(step, dict) else None
    if not isinstance(settings, dict):
        return []
    body = settings.get("body")
    inner = body.get("steps") if isinstance(body, dict) else None
    below = [tool for each in inner.values() for tool in _tools(each)] if isinstance(inner, dict) else []
    return [*([settings["tool"]] if "tool" in settings else []), *below]


def has_real_models() -> bool:
    return ModelEntry.objects.filter(simulated=False).exists()
