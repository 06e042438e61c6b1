"""JSON Schema (draft 2020-12) as users write it: checked, and applied within bounds.

Patterns run on RE2, nothing is fetched, and the number of keywords that one validation may look at is limited, because references
can make a small schema take for ever.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from functools import lru_cache
from typing import Annotated, Any, cast
from uuid import UUID

from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from jsonschema.exceptions import SchemaError
from jsonschema.validators import extend
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError
from referencing import Registry
from referencing.exceptions import Unresolvable

from flows.engine.functions import compile_pattern
from flows.engine.problems import Place, Problem, did_you_mean, listed, path_text, shorten
from flows.engine.values import Fault

MAX_CHECKS = 100_000
MAX_PROBLEMS = 50
_REFUSED_KEYWORDS = frozenset(
    {"$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$id", "unevaluatedProperties", "unevaluatedItems"}
)
MASK_KEYWORD = "x-mask"
MASKS = ("secret", "personal")
"""What `MASK_KEYWORD` may say of a field; `flows/engine/masking.py` keeps such a field from view."""

_NAMED = frozenset({"properties", "$defs", "definitions", "patternProperties", "dependentSchemas"})
_VALUES = frozenset({"enum", "const", "default", "examples"})


def _checked_schema(value: dict[str, Any]) -> dict[str, Any]:
    found = schema_problems(value)
    if found:
        place, message = found[0]
        where = f"at {path_text(place)}: " if place else ""
        raise PydanticCustomError("json_schema", "{reason}", {"reason": where + message})
    return value


JSONSchema = Annotated[dict[str, Any], AfterValidator(_checked_schema)]
"""A settings field that holds a JSON Schema."""


class _TooMuch(Exception):
    """The validation looks at too much."""


class _Meter(FormatChecker):
    """Counts the work of one validation (it is what jsonschema hands on to every part of one), and checks formats."""

    def __init__(self) -> None:
        self.left = MAX_CHECKS

    def spend(self, work: int = 1) -> None:
        self.left -= work
        if self.left < 0:
            raise _TooMuch

    def conforms(self, instance: object, format: str) -> bool:  # noqa: A002  (jsonschema's name)
        reader = _FORMATS.get(format)
        if reader is None or not isinstance(instance, str):
            return True
        try:
            return bool(reader(instance[:500]))
        except ValueError:
            return False

    def check(self, instance: object, format: str) -> None:  # noqa: A002
        raise NotImplementedError


def _date_time(text: str) -> bool:
    return datetime.fromisoformat(text).tzinfo is not None and len(text) > 10


def _email(text: str) -> bool:
    name, at, host = text.rpartition("@")
    return bool(name and at and "." in host.strip(".") and " " not in text)


_FORMATS: Mapping[str, Any] = {
    "date": lambda text: bool(date.fromisoformat(text)) and len(text) == 10,
    "date-time": _date_time,
    "time": lambda text: time.fromisoformat(text) is not None,
    "email": _email,
    "uuid": lambda text: bool(UUID(text)) and len(text) == 36,
}


def _search(pattern: str, text: str) -> bool:
    try:
        return compile_pattern(pattern).search(text) is not None
    except (Fault, UnicodeError):
        return False


def _pattern(validator: Any, pattern: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not _search(pattern, instance):
        yield ValidationError("does not match the pattern")


def _pattern_properties(validator: Any, patterns: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, dict):
        for pattern, inner in patterns.items():
            for key, value in instance.items():
                if _search(pattern, key):
                    yield from validator.descend(value, inner, path=key, schema_path=pattern)


def _additional_properties(validator: Any, inner: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for key, value in instance.items():
        if key in known or any(_search(pattern, key) for pattern in patterns):
            continue
        if inner is False:
            error = ValidationError("unknown key", path=[key])
            error.cause = None
            yield error
        elif inner is not True:
            yield from validator.descend(value, inner, path=key)


def _format(validator: Any, name: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(name, str) and not validator.format_checker.conforms(instance, name):
        yield ValidationError(f"is not a valid {name}")


def _unique_items(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if wanted and isinstance(instance, list):
        validator.format_checker.spend(len(instance))
        seen = {json.dumps(item, sort_keys=True) for item in instance}
        if len(seen) < len(instance):
            yield ValidationError("has the same item twice")


def _metered(keyword: Any, cost: int) -> Any:
    def check(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        validator.format_checker.spend(cost)
        yield from keyword(validator, value, instance, schema) or ()

    return check


_KEYWORDS = dict(Draft202012Validator.VALIDATORS) | {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "format": _format,
    "uniqueItems": _unique_items,
}
_BRANCHING = frozenset({"$ref", "allOf", "anyOf", "oneOf", "if", "not"})  # what makes a small schema take long
_Validator: Any = cast(Any, extend)(
    Draft202012Validator, {name: _metered(keyword, 10 if name in _BRANCHING else 1) for name, keyword in _KEYWORDS.items()}
)
_META = Draft202012Validator(Draft202012Validator.META_SCHEMA)


def schema_problems(schema: Any) -> list[tuple[Place, str]]:
    """What keeps a value from being a JSON Schema that can be used here: where in it, and why."""
    if not isinstance(schema, (dict, bool)):
        return [((), "a JSON Schema is an object such as {type: object}")]
    found = list(_keyword_problems(schema))
    if found:
        return found[:MAX_PROBLEMS]
    try:
        errors = [(tuple(error.absolute_path), _meta_message(error)) for error in _META.iter_errors(schema)]
    except RecursionError:
        return [((), "the schema is nested too deeply")]
    except SchemaError as error:
        return [(tuple(error.absolute_path), shorten(error.message))]
    return errors[:MAX_PROBLEMS]


def _meta_message(error: ValidationError) -> str:
    while error.context:
        error = error.context[0]
    return f"this is not JSON Schema: {shorten(error.message, 160)}"


def _keyword_problems(schema: Any) -> Iterator[tuple[Place, str]]:
    """Keywords that are not available, patterns RE2 cannot run, references that lead elsewhere or nowhere."""
    stack: list[tuple[Any, Place, bool]] = [(schema, (), True)]  # value, place, whether it is a schema (else names of schemas)
    while stack:
        value, place, is_schema = stack.pop()
        if isinstance(value, list):
            stack.extend((item, (*place, index), True) for index, item in enumerate(value))
        if not isinstance(value, dict):
            continue
        for key, item in value.items():
            here = (*place, key)
            if not is_schema:
                stack.append((item, here, True))
                continue
            if key in _REFUSED_KEYWORDS:
                yield here, f"the keyword `{key}` is not available here"
            elif key == MASK_KEYWORD:
                if item not in MASKS:
                    yield here, f"`{MASK_KEYWORD}` is {listed(MASKS)}"
            elif key == "$ref":
                yield from _reference_problem(schema, item, here)
            elif key == "pattern" and isinstance(item, str):
                yield from _pattern_problem(item, here)
            elif key in _NAMED:
                if key == "patternProperties" and isinstance(item, dict):
                    for pattern in item:
                        yield from _pattern_problem(pattern, (*here, pattern))
                stack.append((item, here, False))
            elif key not in _VALUES:
                stack.append((item, here, True))


def _pattern_problem(pattern: str, place: Place) -> Iterator[tuple[Place, str]]:
    try:
        compile_pattern(pattern)
    except Fault as fault:
        yield place, str(fault)


def _reference_problem(root: Any, reference: Any, place: Place) -> Iterator[tuple[Place, str]]:
    if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
        yield place, "a `$ref` leads only to a part of the same schema, like #/$defs/address"
    elif resolve(root, reference) is None:
        yield place, f"`{shorten(reference, 60)}` leads to nothing in this schema"


def resolve(root: Any, reference: str) -> Any:
    """The part of a schema that a local `$ref` names, or None."""
    value = root
    for part in reference[1:].split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isascii() and name.isdigit() and len(name) < 6 and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def value_problems(value: Any, schema: Any, root: str = "") -> list[Problem]:
    """What in a JSON value does not match a schema (one that passed `schema_problems`); `root` names the value in the paths."""
    return [Problem(f"{root}{_below(place, root)}", message) for place, message in dict.fromkeys(_faults(value, schema))]


def _below(place: Place, root: str) -> str:
    text = path_text(place)
    return f".{text}" if text and root and not text.startswith("[") else text


def _faults(value: Any, schema: Any) -> list[tuple[Place, str]]:
    validator = _validator(json.dumps(schema)).evolve(format_checker=_Meter())
    found: list[tuple[Place, str]] = []
    try:
        for error in validator.iter_errors(value):
            found.append((tuple(error.absolute_path), _message(error)))
            if len(found) >= MAX_PROBLEMS:
                break
    except _TooMuch:
        found.append(((), "the value is too large for its schema to be checked"))
    except RecursionError:
        found.append(((), "the value or its schema is nested too deeply"))
    except (Unresolvable, ArithmeticError, ValueError, TypeError) as error:
        found.append(((), f"the schema cannot be applied: {type(error).__name__}"))
    return found


@lru_cache(maxsize=256)
def _validator(schema: str) -> Any:
    return _Validator(json.loads(schema), registry=Registry())  # an empty registry: nothing is ever fetched


_TYPES = {
    "object": "an object",
    "array": "a list",
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "null": "null",
}


def _message(error: ValidationError) -> str:
    word, bound, value = error.validator, cast(Any, error.validator_value), error.instance
    if word == "required" and isinstance(value, dict):
        missing = [key for key in bound if key not in value]
        named = next((key for key in missing if error.message.startswith(repr(key))), missing[0] if missing else "")
        return f"`{named}` is missing"
    if word == "type":
        kinds = bound if isinstance(bound, list) else [bound]
        return f"{_shown(value)} is not {' or '.join(_TYPES.get(str(kind), str(kind)) for kind in kinds)}"
    if word == "additionalProperties" and isinstance(error.schema, dict):
        name = str(error.path[-1]) if error.path else ""
        return f"this key is unknown. {did_you_mean(name, error.schema.get('properties', {}))}".strip()
    if word == "enum":
        return f"{_shown(value)} is not one of {listed([_shown(each) for each in bound])}"
    if word == "const":
        return f"{_shown(value)} is not {_shown(bound)}"
    if word == "pattern":
        return f"{_shown(value)} does not match the pattern `{shorten(str(bound), 80)}`"
    if word == "minLength":
        return f"the text is shorter than {bound} characters" if bound != 1 else "the text is empty"
    if word == "maxLength":
        return f"the text is longer than {bound} characters"
    if word == "minItems":
        return f"the list has fewer than {bound} items"
    if word == "maxItems":
        return f"the list has more than {bound} items"
    if word in ("format", "uniqueItems"):
        return f"{_shown(value)} {error.message}"
    if word in ("anyOf", "oneOf"):
        return (
            f"{_shown(value)} matches none of the forms that are allowed"
            if error.context
            else f"{_shown(value)} matches several forms"
        )
    return f"does not match `{word}`" if isinstance(value, (dict, list)) else shorten(error.message, 200)


def _shown(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, str):
        return json.dumps(shorten(value, 60), ensure_ascii=False)
    if isinstance(value, float) and not math.isfinite(value):
        return "not a number"
    return json.dumps(value)


# --- which fields a schema knows, for the check of references


def missing_field(schema: Mapping[str, Any] | None, path: Place) -> tuple[int, str] | None:
    """Where a path leads to a field that the schema rules out: position in the path, and the known names or what stands there.

    A schema that lists `properties` and says nothing of others is taken as complete.
    """
    root = schema
    current: Any = schema
    for position, key in enumerate(path):
        current = _deref(root, current)
        if not isinstance(current, dict) or any(
            word in current for word in ("anyOf", "oneOf", "allOf", "if", "$ref", "patternProperties")
        ):
            return None
        kind = current.get("type")
        if isinstance(kind, str) and kind not in ("object", "array", "string"):
            return position, f"it is {_TYPES.get(kind, kind)}"
        if isinstance(key, int):
            if kind == "object":
                return position, "it is an object"
            current = current.get("items") if "prefixItems" not in current else None
            continue
        if kind in ("array", "string"):
            return position, f"it is {_TYPES[kind]}"
        properties = current.get("properties")
        if not isinstance(properties, dict):
            extra = current.get("additionalProperties")
            current = extra if isinstance(extra, dict) else None
        elif key in properties:
            current = properties[key]
        elif current.get("additionalProperties", False) is False:
            return position, did_you_mean(key, properties) or "It has no fields."
        else:
            extra = current["additionalProperties"]
            current = extra if isinstance(extra, dict) else None
    return None


def _deref(root: Any, schema: Any) -> Any:
    for _ in range(8):
        if not isinstance(schema, dict) or not isinstance(schema.get("$ref"), str):
            return schema
        schema = resolve(root, schema["$ref"])
    return None
