"""Templates: JSON values whose texts may hold `{{ expression }}`.

A text that is one expression keeps the expression's type. In mixed text strings stay as they are, null is empty and other values
are JSON. What an expression gives is never read as a template again. Keys of objects are not templates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flows.engine.evaluation import Expression, ExpressionError, Names, Path
from flows.engine.expressions import build
from flows.engine.scanning import ScanError, scan
from flows.engine.values import MAX_TEXT, Fault, Frame, as_text

Render = Callable[[Names], Any]


class Live:
    """Marks the part of a value that is a template; see `parse_marked`."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Template:
    """A value with its expressions ready. What `render` gives may share parts with the template: do not change it."""

    __slots__ = ("_render", "_value", "references", "static", "uses")

    def __init__(self, value: Any, render: Render | None, uses: tuple[tuple[Path, Path], ...]) -> None:
        self.uses = uses  # where in the value a text stands, and a path that it looks up
        self.references = tuple(dict.fromkeys(reference for _, reference in uses))
        self.static = render is None
        self._value = value
        self._render = render

    def render(self, names: Names) -> Any:
        """The value for these names. Raises ExpressionError and nothing else."""
        return self._value if self._render is None else self._render(names)


def parse_template(value: Any, errors: list[ExpressionError] | None = None) -> Template:
    """The template of a JSON value. Raises the first ExpressionError (its `path` says where), or gathers all in `errors`."""
    return parse_marked(Live(value), errors)


def parse_marked(value: Any, errors: list[ExpressionError] | None = None) -> Template:
    """As `parse_template`, where only what stands in `Live` is a template."""
    compiler = _Compiler(errors)
    static, render = compiler.compile(value, (), live=False)
    return Template(static, render, tuple(compiler.uses))


class _Compiler:
    def __init__(self, errors: list[ExpressionError] | None) -> None:
        self.errors = errors
        self.uses: dict[tuple[Path, Path], None] = {}

    def compile(self, value: Any, path: Path, *, live: bool) -> tuple[Any, Render | None]:
        """The value, and how to render it where it is not always the same."""
        if isinstance(value, Live):
            return self.compile(value.value, path, live=True)
        if isinstance(value, str):
            return self.text(value, path) if live and "{{" in value else (value, None)
        if isinstance(value, Mapping):
            return self.container(dict(value), list(value.items()), path, live)
        if isinstance(value, (list, tuple)):
            return self.container(list(value), list(enumerate(value)), path, live)
        return value, None

    def container(self, base: Any, items: list[tuple[Any, Any]], path: Path, live: bool) -> tuple[Any, Render | None]:
        parts: list[tuple[Any, Render]] = []
        for key, value in items:
            static, render = self.compile(value, (*path, key), live=live)
            base[key] = static
            if render is not None:
                parts.append((key, render))
        if not parts:
            return base, None

        def run(names: Names) -> Any:
            result = base.copy()
            for key, render in parts:
                result[key] = render(names)
            return result

        return base, run

    def text(self, text: str, path: Path) -> tuple[Any, Render | None]:
        try:
            pieces = _pieces(text)
        except ExpressionError as error:
            error.path = path
            if self.errors is None:
                raise
            self.errors.append(error)
            return text, None
        for piece in pieces:
            if isinstance(piece, Expression):
                self.uses.update(dict.fromkeys((path, reference) for reference in piece.references))
        inner = [piece for piece in pieces if isinstance(piece, Expression) or piece.strip()]
        if len(inner) == 1 and isinstance(inner[0], Expression):
            return text, inner[0].evaluate
        return text, lambda names: _mix(pieces, names, text)


def _pieces(text: str) -> list[str | Expression]:
    """A text cut into what stays and what is evaluated."""
    pieces: list[str | Expression] = []
    position = 0
    while (start := text.find("{{", position)) >= 0:
        if start > position:
            pieces.append(text[position:start])
        try:
            scanned = scan(text, start + 2, in_braces=True)
        except ScanError as error:
            raise ExpressionError(error.message, text[start : start + 200], error.position + 2) from None
        pieces.append(build(text[start + 2 : scanned.end], scanned))
        position = scanned.end + 2
    if position < len(text):
        pieces.append(text[position:])
    return pieces


def _mix(pieces: list[str | Expression], names: Names, text: str) -> str:
    frame = Frame()
    texts: list[str] = []
    size = 0
    for piece in pieces:
        if isinstance(piece, str):
            part = piece
        else:
            try:
                part = as_text(piece.evaluate(names), frame)
            except (Fault, ValueError, RecursionError) as fault:
                reason = str(fault) if isinstance(fault, Fault) else "the value cannot be written as text"
                raise ExpressionError(reason, piece.source) from None
        size += len(part)
        if size > MAX_TEXT:
            raise ExpressionError(f"the text would have more than {MAX_TEXT:,} characters", text)
        texts.append(part)
    return "".join(texts)
