"""Reading a document and checking it against the kinds and the catalogue, with refusals in the words of the verbs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from flows.access.refusals import Fault, Invalid
from flows.builder.catalogue import current
from flows.builder.findings import Ground
from flows.builder.inside import look_inside
from flows.builder.report import Report, report_on
from flows.builder.subflows import References, circle
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
    found = checked(document, slug, team)
    if found.problems:
        raise DocumentRefused(problems=faults(found.problems))


@dataclass(frozen=True, slots=True)
class Checked:
    """A document as it would run here: what keeps it from that, what it is warned of, and, where it can run, the compiled flow with
    what the catalogue says of it."""

    problems: list[Problem]
    warnings: list[Problem]
    compiled: CompiledFlow | None = None
    ground: Ground = field(default_factory=Ground)

    @property
    def report(self) -> Report | None:
        return report_on(self.compiled, self.ground) if self.compiled is not None else None


def checked(document: FlowDocument | None, slug: str, team: UUID | None) -> Checked:
    """The document as the flow `slug` of this team (None: everybody's). Nothing is said of one that cannot be read."""
    if document is None:
        return Checked([], [])
    known = current(document, team)
    try:
        compiled = compile_flow(document, known_kinds(), known.catalogue)
    except DocumentError as error:
        return Checked(list(error.problems), [])
    refers = References()
    around = circle(slug, document, refers)
    if around is not None:
        return Checked([around], [])
    return Checked([], list(compiled.warnings), compiled, look_inside(document, known.ground, refers))


def faults(problems: Iterable[Problem]) -> list[Fault]:
    return [Fault(_place(problem), problem.message, problem.mend) for problem in problems]


def _place(problem: Problem) -> str:
    line = f"line {problem.line}, column {problem.column}" if problem.line is not None else ""
    return ": ".join(part for part in (line, problem.path) if part)
