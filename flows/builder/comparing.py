"""Two documents of one flow, as the pages show what differs: in a list, in a drawing, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flows.access.refusals import NotFound
from flows.builder.differences import MISSING, Change, Differences, FieldChange
from flows.builder.files import PREFIX as FILE
from flows.builder.files import file_named
from flows.builder.overview import read
from flows.builder.reads import version_of
from flows.builder.wording import Words, words_apart
from flows.engine.courses import HANDLER
from flows.engine.document import Body, Edge, FlowDocument, Handler, Step, body_of
from flows.engine.drawing import Box, Drawing, Line, drawn
from flows.engine.writing import write_yaml
from flows.models import Flow, Request
from flows.models.identifiers import UnknownIdentifier, parsed

Part = FlowDocument | Body | Handler

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
    """What both have, with the bodies of maps and loops and the error handlers. What stands inside a step that was added or removed
    was so, too; a frame is changed where its own settings or the edges inside it are."""
    drawing = drawn(_both(before, after))
    marks: dict[str, str] = {}
    for change in found.changes:
        if change.what == "step":
            marks[change.box] = change.sort
        elif change.box:
            marks.setdefault(change.box, "changed")
    old, new = set(_edges(before)), set(_edges(after))
    handlers = (before.on_error is not None, after.on_error is not None)
    if handlers[0] != handlers[1]:
        marks[HANDLER] = "removed" if handlers[0] else "added"

    def mark(line: Line) -> str:
        edge = (line.source, line.leaves_by, line.target)
        return "" if edge in old and edge in new else "added" if edge in new else "removed"

    boxes = [(box, _mark_of(box.key, marks)) for box in drawing.boxes]
    return Overlay(drawing, boxes, [(line, mark(line)) for line in drawing.lines])


def _mark_of(path: str, marks: Mapping[str, str]) -> str:
    """The mark of a box: its own, else that of the step that came or went with it."""
    around = path.rpartition(".")[0]
    whole = _mark_of(around, marks) if around else ""
    return marks.get(path, whole if whole in ("added", "removed") else "")


def _both(before: FlowDocument, after: FlowDocument) -> FlowDocument:
    """The later flow, with what only the earlier one has."""
    handlers = [each.on_error for each in (before, after) if each.on_error is not None]
    steps, edges = _merged(before, after)
    handler = None
    if handlers:
        handled, ways = _merged(handlers[0], handlers[-1])
        handler = Handler.model_construct(steps=handled, edges=ways)
    return FlowDocument.model_construct(
        name=after.name,
        steps=steps,
        edges=edges,
        layout={},
        orchestrator=1,
        limits=None,
        input=None,
        on_error=handler,
    )


def _merged(before: Part, after: Part) -> tuple[dict[str, Step], list[Edge]]:
    gone = {key: step for key, step in before.steps.items() if key not in after.steps}
    steps = {**after.steps, **gone}
    for key in before.steps.keys() & after.steps.keys():
        old, new = body_of(before.steps[key]), body_of(after.steps[key])
        if old is not None and new is not None:
            inner, ways = _merged(old, new)
            written = {name: step.model_dump(by_alias=True, exclude_unset=True) for name, step in inner.items()}
            body = {"steps": written, "edges": [str(edge) for edge in ways]}
            steps[key] = after.steps[key].model_copy(update={"with_": {**after.steps[key].with_, "body": body}})
    return steps, list(after.edges) + [edge for edge in before.edges if edge not in after.edges]


def _edges(part: Part, scope: str = "") -> Iterator[tuple[str, str, str]]:
    """The edges between steps, those of bodies and of the error handler too, by the paths that the drawing gives them."""
    for edge in part.edges:
        yield f"{scope}{edge.source}", edge.port, f"{scope}{edge.target}"
    for key, step in part.steps.items():
        body = body_of(step)
        if body is not None:
            yield from _edges(body, f"{scope}{key}.")
    if isinstance(part, FlowDocument) and part.on_error is not None:
        yield from _edges(part.on_error, f"{HANDLER}.")
