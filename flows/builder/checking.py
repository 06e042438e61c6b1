"""Reading a document and checking it against the kinds and the catalogue, with refusals in the words of the verbs."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from flows.access.refusals import Fault, Invalid
from flows.builder.catalogue import current_catalogue
from flows.builder.subflows import circle
from flows.engine.document import FlowDocument, parse_document
from flows.engine.graph import Flow as CompiledFlow
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


def require_runnable(document: FlowDocument, slug: str, team: UUID | None) -> None:
    """Passes if the document can be the flow `slug` of this team (None: everybody's): it compiles with the kinds and the catalogue
    of this installation, and does not run itself. Raises `DocumentRefused`."""
    _, problems, _ = compiled_or_problems(document, slug, team)
    if problems:
        raise DocumentRefused(problems=faults(problems))


def compiled_or_problems(
    document: FlowDocument, slug: str, team: UUID | None
) -> tuple[CompiledFlow | None, list[Problem], list[Problem]]:
    """The flow as it would run here, what keeps it from that, and what it is warned of."""
    try:
        compiled = compile_flow(document, known_kinds(), current_catalogue(document, team))
    except DocumentError as error:
        return None, list(error.problems), []
    around = circle(slug, document)
    return (compiled, [], list(compiled.warnings)) if around is None else (None, [around], [])


def faults(problems: Iterable[Problem]) -> list[Fault]:
    return [Fault(_place(problem), problem.message, problem.mend) for problem in problems]


def _place(problem: Problem) -> str:
    line = f"line {problem.line}, column {problem.column}" if problem.line is not None else ""
    return ": ".join(part for part in (line, problem.path) if part)
