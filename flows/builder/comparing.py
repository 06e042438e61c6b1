"""Two documents of one flow, as the pages show what differs: in a list, in a drawing, as text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from flows.access.refusals import NotFound
from flows.builder.differences import MISSING, Change, Differences, FieldChange
from flows.builder.files import PREFIX as FILE
from flows.builder.files import file_named
from flows.builder.overview import read
from flows.builder.reads import version_of
from flows.builder.wording import Words, words_apart
from flows.engine.document import FlowDocument
from flows.engine.drawing import Box, Drawing, Line, drawn
from flows.engine.writing import write_yaml
from flows.models import Flow, Request
from flows.models.identifiers import UnknownIdentifier, parsed

MARKS = {"added": "+", "removed": "−", "changed": "~"}
LONGEST_SHOWN = 20_000  # characters of one field


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: the draft, a version, what a request for publication holds, or a file."""

    name: str  # as in the address: draft, v12, req_…, file_…
    label: str
    text: str
    document: FlowDocument | None

    number: int | None = None  # of a version

    @property
    def is_draft(self) -> bool:
        return self.name == "draft"

    @property
    def is_file(self) -> bool:
        return self.name.startswith(FILE)


def side_of(flow: Flow, wanted: str) -> Side:
    """`draft`, a version as `v12` or `12`, what a request for publication holds, or a file that is kept. Raises `NotFound`."""
    if wanted == "draft":
        return Side("draft", "draft", flow.draft, read(flow.draft))
    if wanted.startswith("req_"):
        return _asked(flow, wanted)
    if wanted.startswith(FILE):
        text = file_named(flow, wanted)
        if text is None:
            raise NotFound("this file: files are kept for a week; choose it again")
        return Side(wanted, "the file", text, read(text))
    number = wanted.removeprefix("v")
    if not (number.isascii() and number.isdecimal() and len(number) < 10):
        raise NotFound(f"version {wanted[:20]!r} of {flow.slug}")
    version = version_of(flow, int(number))
    return Side(f"v{version.number}", f"v{version.number}", version.document, read(version.document), version.number)


def _asked(flow: Flow, wanted: str) -> Side:
    try:
        request = Request.objects.filter(id=parsed("req", wanted), flow=flow, kind="publish").first()
    except UnknownIdentifier:
        request = None
    if request is None:
        raise NotFound("request for publication")
    text = request.terms["document"]
    return Side(wanted, "what is asked", text, read(text))


@dataclass(frozen=True, slots=True)
class ShownField:
    """A field with both sides in words, or one of them where the other is not there."""

    name: str
    sort: str
    old: Words | None
    new: Words | None

    @property
    def mark(self) -> str:
        return MARKS[self.sort]


@dataclass(frozen=True, slots=True)
class ShownChange:
    """A line of the list, and what it opens. `anchor` is unique on the page."""

    change: Change
    anchor: str
    fields: list[ShownField]

    @property
    def mark(self) -> str:
        return MARKS[self.change.sort]

    @property
    def about(self) -> str:
        """What is said beside the name."""
        if self.change.what == "edge":
            return "edge"
        if self.change.sort != "changed" or self.change.what == "flow":
            return "" if self.change.what == "flow" else "step"
        names = [each.name for each in self.change.fields]
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def shown(found: Differences) -> list[ShownChange]:
    return [
        ShownChange(change, f"change-{at}", [_field(each) for each in change.fields])
        for at, change in enumerate(found.changes, start=1)
    ]


def _field(each: FieldChange) -> ShownField:
    old, new = _words(each.before), _words(each.after)
    name = each.name or "the whole step"
    if old is None or new is None:
        return ShownField(name, each.sort, _whole(old), _whole(new))
    return ShownField(name, each.sort, *words_apart(old, new))


def _whole(text: str | None) -> Words | None:
    return None if text is None else ((text, False),)


def _words(value: object) -> str | None:
    if value is MISSING:
        return None
    text = value if isinstance(value, str) else write_yaml(value).rstrip("\n")
    text = text or "(empty)"
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def as_text(found: Differences, before: str, after: str) -> str:
    """The changes as plain text, to be sent to somebody."""
    lines = [f"{before} → {after}: {found.in_words}"]
    for change in found.changes:
        path = f" ({change.path})" if change.what == "step" else ""
        lines.append(f"{MARKS[change.sort]} {change.label}{path}")
        if change.sort == "changed":
            lines += [line for each in change.fields for line in _lines(each)]
    return "\n".join(lines) + "\n"


def _lines(each: FieldChange) -> Iterator[str]:
    yield f"    {each.name or 'the whole step'}"
    for mark, value in (("−", each.before), ("+", each.after)):
        text = _words(value)
        yield from (f"    {mark} {line}" for line in (text or "").splitlines())


@dataclass(frozen=True, slots=True)
class Overlay:
    """Both flows in one drawing. Each box and line has its mark: added, removed, changed, or empty where it is the same."""

    drawing: Drawing
    boxes: list[tuple[Box, str]]
    lines: list[tuple[Line, str]]


def overlay(before: FlowDocument, after: FlowDocument, found: Differences) -> Overlay:
    """The steps of the flow itself; a map or loop is changed where something within it is."""
    gone = {key: step for key, step in before.steps.items() if key not in after.steps}
    edges = list(after.edges) + [edge for edge in before.edges if edge not in after.edges]
    both = FlowDocument.model_construct(
        name=after.name, steps={**after.steps, **gone}, edges=edges, layout={}, orchestrator=1, limits=None, input=None
    )
    drawing = drawn(both)
    marks: dict[str, str] = {}
    for change in found.changes:
        if change.what == "step" and "/" not in change.path:
            marks[change.path] = change.sort
        elif change.step:
            marks.setdefault(change.step, "changed")
    old = {(edge.source, edge.port, edge.target) for edge in before.edges}
    new = {(edge.source, edge.port, edge.target) for edge in after.edges}

    def mark(line: Line) -> str:
        edge = (line.source, line.leaves_by, line.target)
        return "" if edge in old and edge in new else "added" if edge in new else "removed"

    boxes = [(box, marks.get(box.key, "")) for box in drawing.boxes]
    return Overlay(drawing, boxes, [(line, mark(line)) for line in drawing.lines])
