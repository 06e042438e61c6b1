"""A JSON value that matches a JSON Schema: what a simulated model answers. The same seed and words give the same value."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

from flows.engine.schemas import resolve, value_problems

TRIES = 24
DEEPEST = 12
FORMATS = {
    "date": "2026-03-14",
    "date-time": "2026-03-14T09:26:53Z",
    "time": "09:26:53Z",
    "duration": "P1D",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "0192f0c1-2d3e-7abc-8def-0123456789ab",
}
PATTERN_GUESSES = ("a", "A", "0", "abc", "ABC", "123", "A-1", "ABC-123", "a1", "a_b", "2026-03-14", "+1 555 0100", "", "12.34")


def instance_of(schema: Mapping[str, Any] | bool, seed: str, words: Sequence[str] = ()) -> Any:
    """A value of this schema; of an enumeration the member that the words name, texts made of the words.

    Follows enumerations, constants, bounds, required and optional properties, arrays, combinations and local references. A schema
    that excludes every guess (a pattern, a deep `not`) gets the last guess, which does not match.
    """
    value: Any = None
    for attempt in range(TRIES):
        source = random.Random(f"{seed}/{attempt}")  # noqa: S311 it must be repeatable
        maker = _Maker(schema if isinstance(schema, Mapping) else {}, source, words, sparse=attempt % 2 == 1)
        value = maker.make(schema, 0)
        if not value_problems(value, schema):
            return value
    return value


class _Maker:
    def __init__(self, root: Mapping[str, Any], source: random.Random, words: Sequence[str], sparse: bool) -> None:
        self.root = root
        self.random = source
        self.words = [word for word in words if word] or ["simulated"]
        self.lowered = {word.lower() for word in words}
        self.sparse = sparse  # only what is required

    def make(self, schema: Mapping[str, Any] | bool, depth: int) -> Any:
        if isinstance(schema, bool) or depth > DEEPEST:
            return None
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._member(schema["enum"])
        kind = schema.get("type")
        if isinstance(kind, list):
            kinds = [name for name in kind if name != "null"] or ["null"]
            kind = self.random.choice(kinds)
        if kind is None:
            kind = _guessed(schema)
        return getattr(self, f"_{kind}", self._string)(schema, depth)

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        for _ in range(DEEPEST):
            if "$ref" in schema:
                rest = {key: value for key, value in schema.items() if key != "$ref"}
                target = resolve(self.root, schema["$ref"])
                schema = _merged(target if isinstance(target, Mapping) else {}, rest)
            elif "allOf" in schema:
                rest = {key: value for key, value in schema.items() if key != "allOf"}
                for part in schema["allOf"]:
                    if isinstance(part, Mapping):
                        rest = _merged(rest, part)
                schema = rest
            elif schema.get("anyOf") or schema.get("oneOf"):
                name = "anyOf" if schema.get("anyOf") else "oneOf"
                rest = {key: value for key, value in schema.items() if key != name}
                chosen = self.random.choice(schema[name])
                schema = _merged(rest, chosen) if isinstance(chosen, Mapping) else rest
            else:
                return schema
        return {}

    def _member(self, members: Sequence[Any]) -> Any:
        named = [member for member in members if isinstance(member, str) and member.lower() in self.lowered]
        return self.random.choice(named or list(members))

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        required = list(schema.get("required", ()))
        names = list(dict.fromkeys([*required, *([] if self.sparse or depth > 6 else properties)]))
        for name in properties:
            if len(names) < schema.get("minProperties", 0) and name not in names:
                names.append(name)
        most = schema.get("maxProperties", len(names))
        made = {
            name: self.make(self._property(schema, properties, name), depth + 1) for name in names[: max(most, len(required))]
        }
        extra = 0
        while len(made) < schema.get("minProperties", 0) and extra < 100:
            extra += 1
            made[f"extra_{extra}"] = self.make(self._property(schema, properties, f"extra_{extra}"), depth + 1)
        return made

    def _property(self, schema: Mapping[str, Any], properties: Mapping[str, Any], name: str) -> Mapping[str, Any] | bool:
        if name in properties:
            found: Mapping[str, Any] | bool = properties[name]
            return found
        other = schema.get("additionalProperties", True)
        return other if isinstance(other, Mapping) else {"type": "string"}

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        fixed = schema.get("prefixItems", [])
        least = schema.get("minItems", 0)
        most = schema.get("maxItems", max(least, len(fixed), 3))
        wanted = least if self.sparse or depth > 6 else self.random.randint(least, max(least, min(most, least + 2)))
        wanted = min(max(wanted, min(len(fixed), most)), most)
        if "contains" in schema:
            wanted = max(wanted, min(max(schema.get("minContains", 1), 1), most))
        made: list[Any] = []
        for _ in range(wanted * 20):
            if len(made) >= wanted:
                break
            place = len(made)
            inner = fixed[place] if place < len(fixed) else schema.get("items", schema.get("contains", {"type": "string"}))
            value = self.make(inner, depth + 1)
            if not (schema.get("uniqueItems") and value in made):
                made.append(value)
        return made

    def _integer(self, schema: Mapping[str, Any], depth: int) -> int:
        return self._between(schema, whole=True)  # type: ignore[return-value]

    def _number(self, schema: Mapping[str, Any], depth: int) -> float | int:
        return self._between(schema, whole=False)

    def _between(self, schema: Mapping[str, Any], whole: bool) -> float | int:
        step = schema.get("multipleOf")
        low, high = schema.get("minimum"), schema.get("maximum")
        above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
        least = max((bound for bound in (low, above) if bound is not None), default=None)
        most = min((bound for bound in (high, below) if bound is not None), default=None)
        if least is None:
            least = 0 if most is None or most >= 0 else most - 100
        if most is None:
            most = max(least + 100, 100)
        if step or whole:
            step = step or 1
            if whole and step != int(step):
                step = _whole_multiple(step)
            first, last = math.ceil(least / step), math.floor(most / step)
            if above is not None and first * step <= above:
                first += 1
            if below is not None and last * step >= below:
                last -= 1
            value = (self.random.randint(first, last) if first <= last else first) * step
            return int(value) if whole or value == int(value) else value
        value = round(least + (most - least) * self.random.random(), 2)
        if (above is not None and value <= above) or (below is not None and value >= below) or not least <= value <= most:
            value = (least + most) / 2
        return value

    def _string(self, schema: Mapping[str, Any], depth: int) -> str:
        if schema.get("format") in FORMATS:
            return FORMATS[schema["format"]]
        if "pattern" in schema:
            return self._of_pattern(schema)
        least, most = schema.get("minLength", 0), schema.get("maxLength", 80)
        text = " ".join(self.random.choice(self.words) for _ in range(self.random.randint(2, 6)))
        while len(text) < least:
            text = f"{text} {self.random.choice(self.words)}"
        return text[: max(most, least)]

    def _of_pattern(self, schema: Mapping[str, Any]) -> str:
        guesses = list(PATTERN_GUESSES) + self.words
        guesses += [letter * schema.get("minLength", 1) for letter in "aA0"]
        guesses += [letter * count for letter in "aA0" for count in range(1, 20)]
        for guess in guesses:
            if not value_problems(guess, {**schema, "type": "string"}):
                return guess
        return self.random.choice(guesses)

    def _boolean(self, schema: Mapping[str, Any], depth: int) -> bool:
        return self.random.random() < 0.5

    def _null(self, schema: Mapping[str, Any], depth: int) -> None:
        return None


def _guessed(schema: Mapping[str, Any]) -> str:
    signs = (
        ("object", ("properties", "required", "additionalProperties", "minProperties", "patternProperties")),
        ("array", ("items", "prefixItems", "minItems", "maxItems", "contains")),
        ("number", ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")),
    )
    return next((kind for kind, names in signs if any(name in schema for name in names)), "string")


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Both schemas at once, as far as they can simply be laid together."""
    merged = dict(first)
    for name, value in second.items():
        if name == "properties" and name in merged:
            merged[name] = {**merged[name], **value}
        elif name == "required" and name in merged:
            merged[name] = list(dict.fromkeys([*merged[name], *value]))
        elif name in ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties") and name in merged:
            merged[name] = max(merged[name], value)
        elif name in ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties") and name in merged:
            merged[name] = min(merged[name], value)
        elif name == "enum" and name in merged:
            merged[name] = [member for member in merged[name] if member in value] or value
        elif (
            (name == "type" and merged.get("type") == "number" and value == "integer")
            or name not in merged
            or name in ("$ref", "anyOf", "oneOf", "allOf")
        ):
            merged[name] = value
    return merged


def _whole_multiple(step: float) -> int:
    """The smallest whole number that is a multiple of this step."""
    for factor in range(1, 1001):
        value = step * factor
        if abs(value - round(value)) < 1e-9 and round(value) > 0:
            return round(value)
    return 1
