"""A part of a document that can run by itself: one step of the flow, with everything that leads to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flows.engine.document import Edge


def leading_to(document: Mapping[str, Any], key: str) -> set[str]:
    """The keys of the flow's own steps from which `key` can be reached."""
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
    kept = leading_to(document, key) | {key}
    all_steps = document.get("steps") or {}
    steps = {name: _alone(step, all_steps, kept) for name, step in all_steps.items() if name in kept}
    ends = kept | {"start"}
    edges = [str(edge) for edge in edges_of(document) if edge.source in ends - {key} and edge.target in kept]
    left = {name: value for name, value in document.items() if name not in {"steps", "edges", "output", "on_error", "layout"}}
    places = document.get("layout")
    layout = {"layout": {name: each for name, each in places.items() if name in kept}} if isinstance(places, dict) else {}
    return {**left, "steps": steps, "edges": edges, **layout}


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
