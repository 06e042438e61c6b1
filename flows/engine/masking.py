"""Fields that are kept from view: which ones a JSON Schema marks, what stands in them, and hiding that wherever it turns up.

A schema marks a field as secret or personal by ``x-mask: secret`` or ``x-mask: personal``, and, as OpenAPI has it, by
``writeOnly: true`` or ``format: password``. A mark on an object or a list is one on all that it holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote

from flows.engine.document import FlowDocument
from flows.engine.functions import compile_pattern
from flows.engine.problems import Place, path_text
from flows.engine.schemas import MASK_KEYWORD, MASKS, resolve

MASK = "••••"
SHORTEST = 4  # characters of a value that is looked for inside texts; a shorter one is hidden where it stands alone
MOST = 5_000  # values of one run; where there are more, every text is hidden
DEEPEST = 40  # levels of a schema that refers to itself

Hidden = tuple[str, Any]
"""Where a value stands (``input.card``), and the value."""


def is_marked(schema: Any) -> bool:
    """Whether what stands here is secret or personal."""
    if not isinstance(schema, Mapping):
        return False
    return schema.get(MASK_KEYWORD) in MASKS or schema.get("writeOnly") is True or schema.get("format") == "password"


def has_marks(schema: Any) -> bool:
    """Whether anything in this schema is marked."""
    if isinstance(schema, Mapping):
        return is_marked(schema) or any(has_marks(each) for each in schema.values())
    return isinstance(schema, list) and any(has_marks(each) for each in schema)


def hidden_in(value: Any, schema: Any, place: str = "") -> Iterator[Hidden]:
    """Every text and number of `value` that stands in a marked field, with where; `place` is where `value` itself stands."""
    for at, each in _walk(value, schema, schema, False, (), DEEPEST):
        text = path_text(at)
        yield (f"{place}{'' if text.startswith('[') or not place or not text else '.'}{text}", each)


def marked_names(schema: Any) -> frozenset[str]:
    """The names of the properties that a schema marks, at any depth."""
    found: set[str] = set()
    if isinstance(schema, Mapping):
        found |= {name for name, inner in (schema.get("properties") or {}).items() if is_marked(inner)}
    inner = schema.values() if isinstance(schema, Mapping) else schema if isinstance(schema, list) else ()
    return frozenset(found.union(*(marked_names(each) for each in inner)))


def named_in(value: Any, names: frozenset[str]) -> Iterator[Hidden]:
    """Every text and number that stands under one of these names, wherever: for JSON of which no schema is known."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from hidden_in(item, {MASK_KEYWORD: MASKS[0]}, key) if key in names else named_in(item, names)
    elif isinstance(value, list):
        for item in value:
            yield from named_in(item, names)


def _walk(value: Any, schema: Any, root: Any, marked: bool, place: Place, left: int) -> Iterator[tuple[Place, Any]]:
    marked = marked or is_marked(schema)
    schema = schema if isinstance(schema, Mapping) else {}
    if left and not marked:
        for inner in _beside(schema, root):
            yield from _walk(value, inner, root, False, place, left - 1)
    if isinstance(value, Mapping):
        properties = schema.get("properties") or {}
        for key, item in value.items():
            inner = properties.get(key, schema.get("additionalProperties"))
            yield from _walk(item, inner, root, marked, (*place, key), left)
            for pattern, each in (schema.get("patternProperties") or {}).items():
                if not marked and compile_pattern(pattern).search(key):
                    yield from _walk(item, each, root, False, (*place, key), left)
    elif isinstance(value, list):
        first = schema.get("prefixItems") or []
        for index, item in enumerate(value):
            yield from _walk(
                item, first[index] if index < len(first) else schema.get("items"), root, marked, (*place, index), left
            )
    elif marked and value not in (None, "") and not isinstance(value, bool):
        yield place, value


def _beside(schema: Mapping[str, Any], root: Any) -> Iterator[Any]:
    """The schemas that hold for the same value."""
    if isinstance(schema.get("$ref"), str):
        yield resolve(root, schema["$ref"])
    for word in ("allOf", "anyOf", "oneOf"):
        yield from schema.get(word) or ()
    yield from (schema[word] for word in ("then", "else") if word in schema)


class Mask:
    """Hides values wherever they turn up: alone, as a part of a text, and as JSON and addresses write them."""

    def __init__(self, hidden: Iterable[Hidden] = ()) -> None:
        self.hidden = tuple(dict.fromkeys(hidden))

    def __bool__(self) -> bool:
        return bool(self.hidden)

    @cached_property
    def _alone(self) -> frozenset[str]:
        return frozenset(_plain(value) for _, value in self.hidden)

    @cached_property
    def _inside(self) -> tuple[str, ...]:
        forms = {form for text in self._alone if len(text) >= SHORTEST for form in _forms(text)}
        return tuple(sorted(forms, key=len, reverse=True))

    def text(self, text: str) -> str:
        """The text without what is hidden."""
        if not self.hidden:
            return text
        if text in self._alone or len(self.hidden) > MOST:
            return MASK if text else text
        for form in self._inside:
            if form in text:
                text = text.replace(form, MASK)
        return text

    def value(self, value: Any) -> Any:
        """The JSON value without what is hidden; its keys stay."""
        if not self.hidden:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: self.value(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(item) for item in value]
        if isinstance(value, (int, float)) and not isinstance(value, bool) and _plain(value) in self._alone:
            return MASK
        return value

    def read(self, text: str | None) -> Any:
        """The JSON value of a stored text, without what is hidden."""
        return None if text is None else self.value(json.loads(text))

    def without(self, value: Any) -> Any:
        """The JSON value with the hidden fields of its objects left out: what a form begins with."""
        if isinstance(value, Mapping):
            return {key: self.without(item) for key, item in value.items() if self.value(item) != MASK}
        return self.value(value)

    def restored(self, given: Any, original: Any) -> Any:
        """`given` with the values of `original` back where it still has what was shown of them: what somebody changed who saw
        only the masks."""
        if not self.hidden or given == original:
            return given
        if isinstance(given, Mapping) and isinstance(original, Mapping):
            return {key: self.restored(item, original[key]) if key in original else item for key, item in given.items()}
        if isinstance(given, list) and isinstance(original, list):
            pairs = zip(given, original, strict=False)
            return [*(self.restored(item, before) for item, before in pairs), *given[len(original) :]]
        return original if given == self.value(original) else given


class _All(Mask):
    """Hides every text and number; what is empty stays."""

    def __bool__(self) -> bool:
        return True

    def text(self, text: str) -> str:
        return MASK if text else text

    def value(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: self.value(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(item) for item in value]
        return MASK if value not in (None, "") and not isinstance(value, bool) else value


NO_MASK = Mask()
ALL: Mask = _All()


def _plain(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else json.dumps(value)


def _forms(text: str) -> set[str]:
    return {text, quote(text, safe=""), json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}


@dataclass(frozen=True, slots=True)
class Marks:
    """What of a flow is marked: its input, the outputs of some of its steps by key, and what may be, since a tool's or another
    flow's schema says so. `calls` are the tools of tool steps, by the step's key."""

    input: Any = None
    outputs: Mapping[str, Any] = field(default_factory=dict)
    tools: frozenset[str] = frozenset()
    calls: Mapping[str, str] = field(default_factory=dict)
    subflows: bool = False


def marks_of(document: FlowDocument) -> Marks:
    """What this document marks, the bodies of its steps and its error handler included."""
    outputs: dict[str, Any] = {}
    tools: set[str] = set()
    calls: dict[str, str] = {}
    subflows = False
    for key, kind, given in _steps(document):
        if has_marks(given.get("output")):
            outputs[key] = given["output"]
        if kind == "tool":
            calls[key] = str(given.get("tool"))
        elif kind == "agent":
            tools |= {str(each.get("tool") if isinstance(each, Mapping) else each) for each in given.get("tools") or []}
        subflows = subflows or kind == "subflow"
    return Marks(
        document.input if has_marks(document.input) else None, outputs, frozenset({*tools, *calls.values()}), calls, subflows
    )


def _steps(document: FlowDocument) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    graphs: list[Any] = [document.steps, document.on_error.steps if document.on_error is not None else {}]
    while graphs:
        for key, step in graphs.pop().items():
            kind, given = (step.get("kind"), step.get("with")) if isinstance(step, Mapping) else (step.kind, step.with_)
            given = given if isinstance(given, Mapping) else {}
            yield key, str(kind), given
            body = given.get("body")
            if isinstance(body, Mapping) and isinstance(body.get("steps"), Mapping):
                graphs.append(body["steps"])
