"""Schemas that no JSON value can match: found before a model is asked for the impossible, paid for, and repaired in vain, and before
a flow or tool is published that nobody can call.

Sound and bounded, not complete: what is reported is impossible; a contradiction that hides in patterns, in `not` or behind a reference
that leads back to itself is not found.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from flows.engine.functions import compile_pattern
from flows.engine.problems import Place, path_text
from flows.engine.schemas import JSONSchema, resolve, schema_problems, value_problems
from flows.engine.values import Fault

TYPES: Final = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
DEEPEST: Final = 40
MOST_LOOKS: Final = 5000
IMPOSSIBLE: Final = "no JSON can match this schema"

Found = tuple[Place, str]


def contradiction(schema: Any) -> Found | None:
    """Where in a schema (one that passed `schema_problems`) it says that nothing matches, and why; None where none was found."""
    return _Search(schema).look(schema, (), TYPES, 0)


def unusable(schema: Any) -> list[Found]:
    """Why a value cannot be used as a schema: where in it, and what is wrong with it as JSON Schema, or else that nothing matches it."""
    problems = schema_problems(schema)
    if problems:
        return problems
    found = contradiction(schema)
    return [(found[0], f"{IMPOSSIBLE}: {found[1]}")] if found is not None else []


def _possible(value: dict[str, Any]) -> dict[str, Any]:
    found = contradiction(value)
    if found is not None:
        place, message = found
        where = f"at {path_text(place)}: " if place else ""
        raise PydanticCustomError("impossible_schema", "{what}: {reason}", {"what": IMPOSSIBLE, "reason": where + message})
    return value


PossibleSchema = Annotated[JSONSchema, AfterValidator(_possible)]
"""A settings field that holds a JSON Schema which some value can match."""


class _Search:
    """One look through one schema."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self.left = MOST_LOOKS
        self.inside: set[str] = set()  # references that are being followed

    def look(self, schema: Any, place: Place, types: frozenset[str], depth: int) -> Found | None:
        """Why no value of these types matches the schema."""
        self.left -= 1
        if schema is False:
            return place, "`false` matches nothing"
        if not isinstance(schema, Mapping) or depth > DEEPEST or self.left < 0:
            return None
        for found in (
            self._reference(schema, place, types, depth),
            self._listed(schema, place),
            self._combined(schema, place, types, depth),
        ):
            if found is not None:
                return found
        if "enum" in schema or "const" in schema:
            return None
        allowed = _narrowed(types, schema)
        if not allowed:
            return (*place, "type"), f"it must be {_or(schema['type'])} here, and {_or(sorted(types))} around it"
        reasons = [self._of_type(name, schema, place, depth) for name in sorted(allowed)]
        return reasons[0] if all(reasons) else None

    def _reference(self, schema: Mapping[str, Any], place: Place, types: frozenset[str], depth: int) -> Found | None:
        reference = schema.get("$ref")
        if not isinstance(reference, str) or reference in self.inside:
            return None
        self.inside.add(reference)
        found = self.look(resolve(self.root, reference), (*place, "$ref"), types, depth + 1)
        self.inside.discard(reference)
        return found

    def _listed(self, schema: Mapping[str, Any], place: Place) -> Found | None:
        """The values of `enum` or `const`, each held against the rest of the schema."""
        name = "const" if "const" in schema else "enum"
        if name not in schema or _refers(schema):
            return None
        values = [schema["const"]] if name == "const" else schema["enum"]
        if any(not value_problems(value, schema) for value in values[:200]) or len(values) > 200:
            return None
        what = "its value does not match" if name == "const" else "none of its values matches" if values else "it is empty"
        return (*place, name), f"{what} the rest of the schema" if values else what

    def _combined(self, schema: Mapping[str, Any], place: Place, types: frozenset[str], depth: int) -> Found | None:
        if schema.get("not") in (True, {}):
            return (*place, "not"), "it excludes everything"
        allowed = _narrowed(types, schema) or types
        for number, part in enumerate(schema.get("allOf") or ()):
            found = self.look(part, (*place, "allOf", number), allowed, depth + 1)
            if found is not None:
                return found
            if isinstance(part, Mapping):
                allowed = _narrowed(allowed, part) or allowed
        for name in ("anyOf", "oneOf"):
            reasons = [self.look(part, (*place, name, n), allowed, depth + 1) for n, part in enumerate(schema.get(name) or ())]
            if reasons and all(reasons):
                return reasons[0]
        return None

    def _of_type(self, name: str, schema: Mapping[str, Any], place: Place, depth: int) -> Found | None:
        match name:
            case "object":
                return next(self._of_object(schema, place, depth), None)
            case "array":
                return next(self._of_array(schema, place, depth), None)
            case "string":
                return _crossed(schema, place, "minLength", "maxLength")
            case "integer" | "number":
                return _of_number(schema, place, whole=name == "integer")
        return None

    def _of_object(self, schema: Mapping[str, Any], place: Place, depth: int) -> Iterator[Found]:
        crossed = _crossed(schema, place, "minProperties", "maxProperties")
        if crossed is not None:
            yield crossed
        required = [each for each in schema.get("required") or () if isinstance(each, str)]
        if len(set(required)) > schema.get("maxProperties", math.inf):
            yield (
                (*place, "required"),
                f"it needs {len(set(required))} fields, and `maxProperties` allows {schema['maxProperties']}",
            )
        properties, patterns = schema.get("properties") or {}, schema.get("patternProperties") or {}
        for each in required:
            if each in properties:
                found = self.look(properties[each], (*place, "properties", each), TYPES, depth + 1)
                if found is not None:
                    yield found
            elif schema.get("additionalProperties") is False and not any(_matches(pattern, each) for pattern in patterns):
                yield (*place, "required"), f"`{each[:60]}` is needed, and `additionalProperties: false` leaves no place for it"

    def _of_array(self, schema: Mapping[str, Any], place: Place, depth: int) -> Iterator[Found]:
        crossed = _crossed(schema, place, "minItems", "maxItems")
        if crossed is not None:
            yield crossed
        least, first = schema.get("minItems", 0), schema.get("prefixItems") or []
        for number, part in enumerate(first[: int(least)]):
            found = self.look(part, (*place, "prefixItems", number), TYPES, depth + 1)
            if found is not None:
                yield found
        if least > len(first) and "items" in schema:
            found = self.look(schema["items"], (*place, "items"), TYPES, depth + 1)
            if found is not None:
                yield found
        if "contains" in schema and schema.get("minContains", 1) > 0:
            found = self.look(schema["contains"], (*place, "contains"), TYPES, depth + 1)
            if found is not None:
                yield found


def _of_number(schema: Mapping[str, Any], place: Place, *, whole: bool) -> Found | None:
    lows = [(schema[name], name) for name in ("minimum", "exclusiveMinimum") if _is_number(schema.get(name))]
    highs = [(schema[name], name) for name in ("maximum", "exclusiveMaximum") if _is_number(schema.get(name))]
    if not lows or not highs:
        return None
    low, low_name = max(lows)
    high, high_name = min(highs)
    strict = "exclusiveMinimum" in (low_name, *(name for value, name in lows if value == low)) or any(
        name == "exclusiveMaximum" for value, name in highs if value == high
    )
    if low > high or (low == high and strict):
        return (*place, low_name), f"`{low_name}` {low} leaves nothing below `{high_name}` {high}"
    if whole:
        first = math.floor(low) + 1 if (low_name == "exclusiveMinimum" and low == math.floor(low)) else math.ceil(low)
        last = math.ceil(high) - 1 if (high_name == "exclusiveMaximum" and high == math.ceil(high)) else math.floor(high)
        if first > last:
            return (*place, low_name), f"there is no whole number between {low} and {high}"
    return None


def _crossed(schema: Mapping[str, Any], place: Place, least: str, most: str) -> Found | None:
    low, high = schema.get(least), schema.get(most)
    if _is_number(low) and _is_number(high) and low > high:  # type: ignore[operator]
        return (*place, least), f"`{least}` {low} is more than `{most}` {high}"
    return None


def _narrowed(types: frozenset[str], schema: Mapping[str, Any]) -> frozenset[str]:
    stated = schema.get("type")
    if stated is None:
        return types
    wanted = {stated} if isinstance(stated, str) else set(stated)
    if "number" in wanted:
        wanted.add("integer")
    whole = {"integer"} if "number" in types and "integer" in wanted else set()
    return frozenset((wanted & types) | whole)


def _refers(value: Any) -> bool:
    """Whether there is a reference anywhere inside: it could not be followed from a part of the schema."""
    stack, left = [value], MOST_LOOKS
    while stack and left:
        here, left = stack.pop(), left - 1
        if isinstance(here, Mapping):
            if "$ref" in here:
                return True
            stack.extend(here.values())
        elif isinstance(here, list):
            stack.extend(here)
    return bool(stack)


def _matches(pattern: str, text: str) -> bool:
    try:
        return compile_pattern(pattern).search(text) is not None
    except (Fault, UnicodeError):
        return True


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _or(names: str | Iterable[str]) -> str:
    return names if isinstance(names, str) else " or ".join(names)
