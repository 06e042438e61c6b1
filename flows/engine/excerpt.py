"""A part of a document that can run by itself: one step of the flow or of its error handler, with everything that leads to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flows.engine.document import Edge


def leading_to(document: Mapping[str, Any], key: str) -> set[str]:
    """The keys of the steps of a flow or handler from which `key` can be reached there."""
    edges = edges_of(document)
    found: set[str] = set()
    wanted = {key}
    while wanted:
        target = wanted.pop()
        more = {edge.source for edge in edges if edge.target == target and edge.source != "start"} - found
        found |= more
        wanted |= more
    return found & set(document.get("steps") or {}) - {key}


def excerpt(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The document with the step `key` and the steps that lead to it: without the rest, without what the flow gives in the end
    and what it does when it fails. An approval there shows what the tool step that it seals would send, which is not part of it."""
    part = _part(document, key)
    left = {name: value for name, value in document.items() if name not in {"steps", "edges", "output", "on_error", "layout"}}
    places = document.get("layout")
    layout = (
        {"layout": {name: each for name, each in places.items() if name in part["steps"]}} if isinstance(places, dict) else {}
    )
    return {**left, **part, **layout}


def excerpt_of_handler(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The document with the step `key` of its error handler and those that lead to it there, without the rest of the handler and
    without what the flow gives in the end."""
    left = {name: value for name, value in document.items() if name != "output"}
    return {**left, "on_error": _part(document["on_error"], key)}


def _part(part: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The steps and edges of a flow or handler that lead to a step, and the step."""
    kept = leading_to(part, key) | {key}
    all_steps = part.get("steps") or {}
    steps = {name: _alone(step, all_steps, kept) for name, step in all_steps.items() if name in kept}
    ends = kept | {"start"}
    edges = [str(edge) for edge in edges_of(part) if edge.source in ends - {key} and edge.target in kept]
    return {"steps": steps, "edges": edges}


def _alone(step: Any, steps: Mapping[str, Any], kept: set[str]) -> Any:
    settings = step.get("with") if isinstance(step, dict) else None
    sealed = settings.get("seals") if isinstance(settings, dict) else None
    if settings is None or not isinstance(sealed, str) or sealed in kept:
        return step
    tool = steps.get(sealed)
    arguments = tool.get("with", {}).get("arguments", {}) if isinstance(tool, dict) else {}
    return {**step, "with": {name: each for name, each in settings.items() if name != "seals"} | {"payload": arguments}}


def edges_of(document: Mapping[str, Any]) -> list[Edge]:
    """The edges of the flow's own graph; those that are none are left out."""
    found = []
    for text in document.get("edges") or []:
        try:
            found.append(Edge(text))
        except ValueError:
            continue
    return found
