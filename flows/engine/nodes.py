"""A flow in the form that the planner walks: steps with validated settings, compiled templates and edges looked up both ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flows.engine.document import FlowDocument, Limits, Retry
from flows.engine.expressions import Expression, ExpressionError
from flows.engine.failures import ExpressionFailed
from flows.engine.kinds import Kind, Role, Settings
from flows.engine.problems import Problem
from flows.engine.templates import Template

NO_EDITS: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One step. Times are seconds; `incoming` has one entry an edge, with "start" for the entry; `body` is a map's or loop's."""

    key: str
    index: int
    kind: Kind
    settings: Settings
    role: Role
    label: str | None
    retry: Retry
    timeout: float | None
    deadline: float | None
    limits: Limits | None
    join: str
    on_error: str
    ports: frozenset[str]
    incoming: tuple[tuple[str, str], ...]
    outgoing: Mapping[str, tuple[str, ...]]
    body: Graph | None
    expressions: Mapping[str | tuple[str | int, ...], Expression]
    where: str
    fixed: Mapping[str, Any] = field(repr=False)
    templates: tuple[tuple[str, str, Template], ...] = field(repr=False)

    def render(self, names: Mapping[str, Any], edits: Mapping[str, Any] = NO_EDITS) -> dict[str, Any]:
        """The settings by field name, as JSON values with templates filled in; bare expressions stay text, a body is left out.
        Fields of `edits` are as given there.

        What it gives may share parts with the node: do not change it. Raises ExpressionFailed that names step and field.
        """
        rendered = {**self.fixed, **edits}
        for name, shown, template in self.templates:
            if name in edits:
                continue
            try:
                rendered[name] = template.render(names)
            except ExpressionError as error:
                raise ExpressionFailed(f"{self.where}.with.{shown}: {error.message}") from error
        return rendered


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """The steps of a flow or body, in the order of the document and without notes; `start` are the first ones."""

    nodes: Mapping[str, Node]
    start: tuple[str, ...]
    output: Template | None


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """A compiled flow. `handler` is its error handler; `warnings` are what could not be checked or need not keep it from running."""

    document: FlowDocument
    graph: Graph
    hash: str
    warnings: tuple[Problem, ...] = ()
    handler: Graph | None = None
