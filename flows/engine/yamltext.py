"""YAML 1.2 text (core schema, JSON included) to plain values, with the place of each.

PyYAML's C parser gives the events; which scalar means what is decided here, because PyYAML reads YAML 1.1, where `no` is false
and `12:30` a number. Values are built without recursion and bounded in size, depth and number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml._yaml import CParser

from flows.engine.problems import DocumentError, Place, Problem, path_text, shorten

MAX_BYTES = 1 << 20
MAX_DEPTH = 48
MAX_NODES = 100_000
MAX_KEY = 200
MAX_INTEGER = 2**63 - 1

_INTEGER = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_SURROGATES = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")


class SourceFloat(float):
    """A number with the text it was written as, so that money fields take `0.10` exactly."""

    source: str


@dataclass(frozen=True, slots=True)
class ParsedText:
    """A document's value, and line and column (from 1) of each of its places."""

    value: Any
    places: Mapping[Place, tuple[int, int]]


def resolve_plain(text: str) -> Any:
    """What an unquoted scalar means in the core schema. Raises ValueError for numbers that are no JSON values."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"`{text}` is not a number that can be kept")
    for pattern, base in ((_INTEGER, 10), (_OCTAL, 8), (_HEXADECIMAL, 16)):
        if pattern.fullmatch(text):
            number = int(text, base) if len(text) < 80 else MAX_INTEGER + 1
            if abs(number) > MAX_INTEGER:
                raise ValueError(f"the whole number {shorten(text, 40)} needs more than 64 bits")
            return number
    if _FLOAT.fullmatch(text):
        value = SourceFloat(text)
        if value in (float("inf"), float("-inf")):
            raise ValueError(f"the number {shorten(text, 40)} is too large")
        value.source = text
        return value
    return text


def parse_yaml(source: str | bytes) -> ParsedText:
    """The plain value of a YAML or JSON text. Raises DocumentError with every problem found."""
    text = _text(source)
    if text.lstrip().startswith("{"):  # JSON writes characters beyond the first plane as two escapes, which YAML refuses
        text = _SURROGATES.sub(_one_character, text)
    return _Builder(text).build()


def _text(source: str | bytes) -> str:
    size = len(source)
    if size <= MAX_BYTES and isinstance(source, str):
        size = len(source.encode("utf-8", "replace"))
    if size > MAX_BYTES:
        raise DocumentError(
            [
                Problem(
                    "", f"the document is larger than 1 MiB ({size:,} bytes)", "Keep data out of the document; give it as input."
                )
            ]
        )
    if isinstance(source, str):
        return source.removeprefix("\ufeff")
    try:
        return source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError([Problem("", f"the document is not UTF-8 (byte {error.start})", "Save it as UTF-8.")]) from None


def _one_character(found: re.Match[str]) -> str:
    high, low = int(found[2], 16), int(found[3], 16)
    return found[1] + chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))


@dataclass(slots=True)
class _Open:
    """A list or mapping that is being read."""

    container: list[Any] | dict[str, Any]
    place: Place
    key: str | None = None  # of a mapping: the key whose value comes next
    awaits_key: bool = True
    dropped: int = 0


@dataclass(slots=True)
class _Builder:
    text: str
    problems: list[Problem] = field(default_factory=list)
    places: dict[Place, tuple[int, int]] = field(default_factory=dict)
    stack: list[_Open] = field(default_factory=list)
    root: Any = None
    nodes: int = 0

    def build(self) -> ParsedText:
        documents = 0
        parser = None
        try:
            parser = CParser(self.text)
            while parser.check_event():
                event = parser.get_event()
                if isinstance(event, yaml.DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        self._problem(event, (), "there is a second document", "Keep one flow a file; remove the line `---`.")
                        break
                elif isinstance(event, yaml.NodeEvent):
                    if not self._node(event):
                        break
                elif isinstance(event, yaml.CollectionEndEvent):
                    self.stack.pop()
        except yaml.YAMLError as error:
            self.problems.append(_syntax(error))
        except (ValueError, RecursionError) as error:
            self.problems.append(Problem("", f"the text cannot be read: {shorten(str(error))}"))
        finally:
            if parser is not None:
                parser.dispose()
        if documents == 0 and not self.problems:
            self.problems.append(Problem("", "the document is empty", "Begin with `orchestrator: 1`."))
        if self.problems:
            raise DocumentError(self.problems)
        return ParsedText(self.root, self.places)

    def _node(self, event: yaml.NodeEvent) -> bool:
        """Takes one value or key in; False where reading cannot go on."""
        self.nodes += 1
        top = self.stack[-1] if self.stack else None
        place = self._place(top)
        if self.nodes > MAX_NODES:
            self._problem(event, place, f"the document has more than {MAX_NODES:,} values", "Keep data out of the document.")
            return False
        if event.anchor is not None:
            word = "alias" if isinstance(event, yaml.AliasEvent) else "anchor"
            self._problem(event, place, f"the {word} `{event.anchor}` is not allowed", "Write the value out where it is needed.")
        tag = getattr(event, "tag", None)
        if tag is not None:
            self._problem(event, place, f"the tag `{shorten(tag, 40)}` is not allowed", "Remove it; put text in quotes.")
        if top is not None and isinstance(top.container, dict) and top.awaits_key:
            return self._key(event, top)
        self.places.setdefault(place, _where(event))
        value: Any
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event, place)
        elif isinstance(event, yaml.CollectionStartEvent):
            value = [] if isinstance(event, yaml.SequenceStartEvent) else {}
            if len(self.stack) >= MAX_DEPTH:
                self._problem(event, place[:6], f"values are nested more than {MAX_DEPTH} deep", "Flatten them.")
                return False
        else:
            value = None
        self._put(top, value)
        if isinstance(event, yaml.CollectionStartEvent):
            self.stack.append(_Open(value, place))
        return True

    def _key(self, event: yaml.NodeEvent, top: _Open) -> bool:
        if not isinstance(event, yaml.ScalarEvent):
            self._problem(event, top.place, "a key is a list or mapping", "Keys are text.")
            return not isinstance(event, yaml.CollectionStartEvent) and self._skip(top)
        key = self._scalar(event, top.place)
        name = key if isinstance(key, str) else event.value
        if not isinstance(key, str):
            self._problem(
                event, top.place, f"the key `{shorten(name, 40)}` is not text", f'Write it in quotes: "{shorten(name, 40)}".'
            )
        elif len(name) > MAX_KEY:
            self._problem(event, top.place, f"the key `{shorten(name, 40)}` is longer than {MAX_KEY} characters")
            name = name[:MAX_KEY]
        elif name in top.container:
            line = self.places.get((*top.place, name), (0, 0))[0]
            self._problem(event, (*top.place, name), f"the key `{name}` stands here twice (first in line {line})", "Remove one.")
            top.dropped += 1
            name = f"{name}\0{top.dropped}"  # read on without losing the first value; never seen, as a problem ends it
        self.places.setdefault((*top.place, name), _where(event))
        top.key, top.awaits_key = name, False
        return True

    def _skip(self, top: _Open) -> bool:
        top.key, top.awaits_key = "", False
        return True

    def _scalar(self, event: yaml.ScalarEvent, place: Place) -> Any:
        if "\0" in event.value:
            self._problem(event, place, "the text has a NUL character", "Remove it.")
        if not event.implicit[0]:
            return event.value
        try:
            return resolve_plain(event.value)
        except ValueError as error:
            self._problem(event, place, str(error), "Put it in quotes if it is text.")
            return None

    def _put(self, top: _Open | None, value: Any) -> None:
        if top is None:
            self.root = value
        elif isinstance(top.container, list):
            top.container.append(value)
        else:
            top.container[top.key or ""] = value
            top.awaits_key = True

    def _place(self, top: _Open | None) -> Place:
        if top is None:
            return ()
        if isinstance(top.container, list):
            return (*top.place, len(top.container))
        return top.place if top.awaits_key else (*top.place, top.key or "")

    def _problem(self, event: yaml.Event, place: Place, message: str, mend: str = "") -> None:
        if len(self.problems) < 100:
            self.problems.append(Problem(path_text(place), message, mend, *_where(event)))


def _where(event: yaml.Event) -> tuple[int, int]:
    """Line and column, from 1."""
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)


def _syntax(error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    said = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    message = f"this is not YAML: {shorten(str(said))}"
    mend = "Check indentation, quotes and brackets just before this place."
    if "tab" in message or "cannot start any token" in message:
        mend = "Indent with spaces, and put text that begins with a special character in quotes."
    return Problem("", message, mend, mark.line + 1 if mark else None, mark.column + 1 if mark else None)


__all__ = ["ParsedText", "SourceFloat", "parse_yaml", "resolve_plain"]
