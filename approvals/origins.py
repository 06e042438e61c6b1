"""Where a shown value comes from: the system's own computation, the run's input, a tool's answer, or the words of a model.

Facts and a model's words are kept apart on every page that asks for a decision. What a value may hold is read off the flow's
document: the references of its template, followed step by step to where they begin. Where in doubt it counts as a model's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from flows.engine.document import Body, Edge, FlowDocument, Step
from flows.engine.expressions import ExpressionError, parse_expression
from flows.engine.templates import parse_template

INPUT, TOOL, MODEL, PERSON = "input", "tool", "model", "person"
OF_KIND = {
    "model": MODEL,
    "agent": MODEL,
    "subflow": MODEL,
    "recall": MODEL,
    "tool": TOOL,
    "retrieve": TOOL,
    "wait": TOOL,
    "approval": PERSON,
}
BARE = frozenset({"over", "when", "until", "expression"})  # settings that are an expression without braces
KEY = re.compile(r"([a-z][a-z0-9_]*)(?:\[\d+\])?$")


class Origins:
    """Answers for one document. `given` is what its input is: of a sub-flow, what the flow around it has put together."""

    def __init__(self, document: FlowDocument, given: str = INPUT) -> None:
        self.document = document
        self.given = given
        self.steps: dict[str, list[Step]] = {}
        self.bodies: list[FlowDocument | Body] = list(bodies_of(document))
        for body in self.bodies:
            for key, step in body.steps.items():
                self.steps.setdefault(key, []).append(step)

    def of(self, value: Any) -> frozenset[str]:
        """What a template value draws from; empty where it is fixed or only computed from the run itself."""
        return frozenset(self._of(value, set()))

    def _of(self, value: Any, seen: set[str]) -> set[str]:
        try:
            references = parse_template(value).references
        except (ExpressionError, RecursionError):
            return {MODEL}
        return self._behind(references, seen)

    def _behind(self, references: Iterable[Any], seen: set[str]) -> set[str]:
        found: set[str] = set()
        for path in references:
            root = str(path[0])
            if root == "input":
                found.add(self.given)
            elif root == "steps":
                found |= self._step(str(path[1]), seen) if len(path) > 1 else {MODEL}
            elif root == "state":
                found |= self._every("set", seen)
            elif root == "error":
                found.add(TOOL)
            elif root not in ("run", "index"):
                found |= self._every("map", seen) | self._every("loop", seen)  # item, its name, loop
        return found

    def _every(self, kind: str, seen: set[str]) -> set[str]:
        found: set[str] = set()
        for key, steps in self.steps.items():
            if any(step.kind == kind for step in steps):
                found |= self._step(key, seen)
        return found

    def _step(self, key: str, seen: set[str]) -> set[str]:
        if key in seen:
            return set()
        seen.add(key)
        found: set[str] = set()
        for step in self.steps.get(key, []):
            own = OF_KIND.get(step.kind)
            if own is not None:
                found.add(own)
            if own is None or own == PERSON:
                found |= self._settings(step.with_, seen)
        return found or set()

    def _settings(self, settings: Any, seen: set[str]) -> set[str]:
        """Everything that stands in a step's settings, its body included."""
        found: set[str] = set()
        for name, value in pairs(settings):
            if isinstance(value, (Mapping, list)):
                if name == "steps" and isinstance(value, Mapping):
                    for key in value:
                        found |= self._step(str(key), seen)
                else:
                    found |= self._settings(value, seen)
            elif isinstance(value, str):
                found |= self._bare(value, seen) if name in BARE else self._of(value, seen)
        return found

    def _bare(self, text: str, seen: set[str]) -> set[str]:
        try:
            return self._behind(parse_expression(text).references, seen)
        except (ExpressionError, RecursionError):
            return {MODEL}

    # --- what stands around a step

    def step(self, path: str) -> tuple[str, Step] | None:
        """The step at the path of a run, by its key."""
        matched = KEY.search(path)
        steps = self.steps.get(matched[1], []) if matched else []
        return (matched[1], steps[0]) if matched and steps else None

    def follows(self, key: str, port: str) -> list[str]:
        """The labels of the steps that follow a port."""
        for body in self.bodies:
            if key in body.steps:
                edges: list[Edge] = [edge for edge in body.edges if edge.source == key and edge.port == port]
                return [body.steps[edge.target].label or edge.target for edge in edges if edge.target in body.steps]
        return []


def bodies_of(document: FlowDocument | Body) -> Iterator[FlowDocument | Body]:
    """The document and every body in it."""
    yield document
    for step in document.steps.values():
        inner = step.with_.get("body")
        if isinstance(inner, Mapping):
            try:
                yield from bodies_of(Body.model_validate(inner))
            except ValueError:
                continue


def pairs(value: Any) -> Iterable[tuple[Any, Any]]:
    return value.items() if isinstance(value, Mapping) else enumerate(value)
