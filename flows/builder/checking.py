"""Reading a document and checking it against the kinds and the catalogue, with refusals in the words of the verbs."""

from __future__ import annotations

from collections.abc import Iterable

from flows.access.refusals import Fault, Invalid
from flows.builder.catalogue import current_catalogue
from flows.engine.document import FlowDocument, parse_document
from flows.engine.graph import compile_flow
from flows.engine.problems import DocumentError, Problem
from flows.steps import known_kinds


class DocumentRefused(Invalid):
    """The document is not a flow that can run. Nothing was changed."""

    slug = "document-refused"


def read_document(text: str) -> FlowDocument:
    """The document of a YAML or JSON text. Raises `DocumentRefused` with every problem of its form, each with its place."""
    try:
        return parse_document(text)
    except DocumentError as error:
        raise DocumentRefused(problems=faults(error.problems)) from None


def require_runnable(document: FlowDocument) -> None:
    """Passes if the document compiles with the kinds and the catalogue of this installation. Raises `DocumentRefused`."""
    try:
        compile_flow(document, known_kinds(), current_catalogue())
    except DocumentError as error:
        raise DocumentRefused(problems=faults(error.problems)) from None


def faults(problems: Iterable[Problem]) -> list[Fault]:
    return [Fault(_place(problem), problem.message, problem.mend) for problem in problems]


def _place(problem: Problem) -> str:
    line = f"line {problem.line}, column {problem.column}" if problem.line is not None else ""
    return ": ".join(part for part in (line, problem.path) if part)
