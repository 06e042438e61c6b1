"""Pinned results as they may be shown: without what is hidden of the run that gave them, or marked by the step in the draft."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flows.access.masking import marked_tools, masks_of_what_stayed
from flows.engine.masking import NO_MASK, Hidden, Mask, hidden_in
from flows.engine.problems import DocumentError
from flows.engine.yamltext import parse_yaml
from flows.models import Flow, Pin


@dataclass(frozen=True, slots=True)
class ShownPin:
    """`output` and `state` are JSON values without what is hidden; tests use them as they are kept."""

    pin: Pin
    output: Any
    state: Any


def pins_of(flow: Flow) -> list[ShownPin]:
    """The pins of the flow's draft, by step: two queries, and more only where something is hidden."""
    pins = list(Pin.objects.filter(flow=flow).select_related("by", "run").order_by("path"))
    if not pins:
        return []
    masks = masks_of_what_stayed([pin.run for pin in pins if pin.run is not None])
    marked = _marked(flow, pins)
    found = []
    for pin in pins:
        mask = masks.get(pin.run_id, NO_MASK) if pin.run_id is not None else NO_MASK
        own = Mask(marked.get(pin.path, ()))
        found.append(ShownPin(pin, own.value(mask.read(pin.output)), own.value(mask.read(pin.state))))
    return found


def shown_pin(pin: Pin) -> ShownPin:
    """One of them."""
    return next(each for each in pins_of(pin.flow) if each.pin.id == pin.id)


def _marked(flow: Flow, pins: list[Pin]) -> dict[str, list[Hidden]]:
    """By step what stands in its pinned result where the draft, or its tool, marks it."""
    steps = _steps(flow)
    tools = marked_tools(str(step["tool"]) for step in steps.values() if "tool" in step)
    return {pin.path: list(_hidden(json.loads(pin.output), steps.get(pin.path, {}), tools)) for pin in pins}


def _hidden(output: Any, step: Mapping[str, Any], tools: Mapping[str, tuple[Any, Any]]) -> Iterator[Hidden]:
    yield from hidden_in(output, step.get("output"))
    if (schemas := tools.get(str(step.get("tool")))) is not None:
        yield from hidden_in(output, schemas[1])


def _steps(flow: Flow) -> dict[str, Mapping[str, Any]]:
    """By key the settings of the draft's own steps; a draft may be broken."""
    try:
        draft = parse_yaml(flow.draft).value
    except DocumentError:
        return {}
    steps = draft.get("steps") if isinstance(draft, Mapping) else None
    found = (
        {key: each.get("with") for key, each in steps.items() if isinstance(each, Mapping)} if isinstance(steps, Mapping) else {}
    )
    return {key: settings for key, settings in found.items() if isinstance(settings, Mapping)}
