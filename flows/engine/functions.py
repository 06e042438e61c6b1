"""The fixed list of functions of the expression language. Each takes the frame, to pay for its work, and JSON values."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any

import re2

from flows.engine.canonical import storable
from flows.engine.problems import shorten
from flows.engine.values import MAX_INTEGER, SCALARS, Fault, Frame, among, as_json, as_text, measure, number, type_name

MAX_PATTERN = 500


def _text(value: Any, frame: Frame, what: str = "the first value") -> str:
    if not isinstance(value, str):
        raise Fault(f"{what} must be text and is {type_name(value)}")
    frame.text(len(value))
    return value


def _list(value: Any, frame: Frame, what: str = "the first value") -> list[Any]:
    if not isinstance(value, list):
        raise Fault(f"{what} must be a list and is {type_name(value)}")
    frame.spend(len(value))
    return value


def _number(value: Any, what: str = "the first value") -> Any:
    if not isinstance(value, (int, float)):
        raise Fault(f"{what} must be a number and is {type_name(value)}")
    return value


def _len(frame: Frame, value: Any) -> int:
    if not isinstance(value, (str, list, Mapping)):
        raise Fault(f"{type_name(value)} has no length")
    return len(value)


def _lower(frame: Frame, text: Any) -> str:
    return _text(text, frame).lower()


def _upper(frame: Frame, text: Any) -> str:
    return _text(text, frame).upper()


def _trim(frame: Frame, text: Any) -> str:
    return _text(text, frame).strip()


def _split(frame: Frame, text: Any, separator: Any = None) -> list[str]:
    source = _text(text, frame)
    if separator is None:
        frame.spend(len(source) >> 3)
        return source.split()
    if not isinstance(separator, str) or not separator:
        raise Fault("the separator must be text with at least one character")
    frame.spend(source.count(separator) + 1)
    return source.split(separator)


def _join(frame: Frame, items: Any, separator: Any = "") -> str:
    texts = [as_text(item, frame) for item in _list(items, frame)]
    between = _text(separator, frame, "the separator")
    frame.text(sum(map(len, texts)) + len(between) * max(0, len(texts) - 1))
    return between.join(texts)


def _replace(frame: Frame, text: Any, old: Any, new: Any) -> str:
    source, old, new = _text(text, frame), _text(old, frame, "what to replace"), _text(new, frame, "the replacement")
    if not old:
        raise Fault("what to replace must have at least one character")
    found = source.count(old)
    frame.spend(found >> 2)
    frame.text(len(source) + found * (len(new) - len(old)))
    return source.replace(old, new)


def _contains(frame: Frame, container: Any, value: Any) -> bool:
    return among(value, container, frame)


def _starts_with(frame: Frame, text: Any, start: Any) -> bool:
    return _text(text, frame).startswith(_text(start, frame, "the beginning"))


def _ends_with(frame: Frame, text: Any, end: Any) -> bool:
    return _text(text, frame).endswith(_text(end, frame, "the end"))


@functools.lru_cache(maxsize=512)
def compile_pattern(pattern: str) -> Any:
    """A regular expression on RE2, whose time is linear in the text. Raises Fault with what is wrong."""
    if len(pattern) > MAX_PATTERN:
        raise Fault(f"a pattern has at most {MAX_PATTERN} characters")
    options = re2.Options()
    options.max_mem = 1 << 20
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        said = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise Fault(f"the pattern `{shorten(pattern, 60)}` cannot be used: {shorten(said)}") from None
    except UnicodeError:
        raise Fault("the pattern has characters that are no text") from None


def _matches(frame: Frame, text: Any, pattern: Any) -> bool:
    source = _text(text, frame)
    frame.spend(50 + (len(source) >> 2))
    try:
        return compile_pattern(_text(pattern, frame, "the pattern")).search(source) is not None
    except UnicodeError:
        raise Fault("the text has characters that cannot be searched") from None


def _round(frame: Frame, value: Any, digits: Any = None) -> Any:
    _number(value)
    if digits is None:
        return number(round(value))
    if not isinstance(digits, int) or abs(digits) > 30:
        raise Fault("the digits must be a whole number from -30 to 30")
    return number(round(value, digits))


def _int(frame: Frame, value: Any) -> int:
    if isinstance(value, str):
        try:
            return int(number(int(value.strip()[:40])))
        except ValueError:
            raise Fault(f"`{shorten(value, 40)}` is not a whole number") from None
    return int(number(int(_number(value))))


def _float(frame: Frame, value: Any) -> float:
    if isinstance(value, str):
        try:
            return float(number(float(value.strip()[:400])))
        except ValueError:
            raise Fault(f"`{shorten(value, 40)}` is not a number") from None
    return float(_number(value))


def _str(frame: Frame, value: Any) -> str:
    return as_text(value, frame)


def _comparable(values: list[Any], what: str) -> list[Any]:
    if all(isinstance(value, (int, float)) for value in values) or all(isinstance(value, str) for value in values):
        return values
    raise Fault(f"{what} takes numbers only or texts only")


def _extreme(frame: Frame, values: tuple[Any, ...], word: str) -> list[Any]:
    items = _list(values[0], frame) if len(values) == 1 else list(values)
    if not items:
        raise Fault(f"{word} of an empty list")
    for item in items:
        if isinstance(item, str) and len(item) > 64:
            frame.text(len(item))
    return _comparable(items, word)


def _min(frame: Frame, *values: Any) -> Any:
    return min(_extreme(frame, values, "min"))


def _max(frame: Frame, *values: Any) -> Any:
    return max(_extreme(frame, values, "max"))


def _sum(frame: Frame, values: Any) -> Any:
    items = _list(values, frame)
    for item in items:
        _number(item, "each item")
    return number(sum(items) + 0)


def _sorted(frame: Frame, values: Any, path: Any = None) -> list[Any]:
    items = _list(values, frame)
    keys = items if path is None else [_get(frame, item, path) for item in items]
    _comparable(keys, "sorted")
    frame.spend(len(items) * max(1, len(items).bit_length() // 2))
    for key in keys:
        if isinstance(key, str) and len(key) > 64:
            frame.text(len(key) * max(1, len(items).bit_length()))
    order = sorted(range(len(items)), key=keys.__getitem__)
    return [items[position] for position in order]


def _unique(frame: Frame, values: Any) -> list[Any]:
    seen: set[Any] = set()
    kept: list[Any] = []
    for item in _list(values, frame):
        key: Any = (type(item) is bool, item) if type(item) in SCALARS else as_json(item, frame)
        if key not in seen:
            seen.add(key)
            kept.append(item)
    return kept


def _first(frame: Frame, values: Any) -> Any:
    if not isinstance(values, list):
        raise Fault(f"the first value must be a list and is {type_name(values)}")
    return values[0] if values else None


def _last(frame: Frame, values: Any) -> Any:
    if not isinstance(values, list):
        raise Fault(f"the first value must be a list and is {type_name(values)}")
    return values[-1] if values else None


def _keys(frame: Frame, value: Any) -> list[str]:
    if not isinstance(value, Mapping):
        raise Fault(f"the first value must be an object and is {type_name(value)}")
    frame.spend(len(value))
    return list(value)


def _values(frame: Frame, value: Any) -> list[Any]:
    if not isinstance(value, Mapping):
        raise Fault(f"the first value must be an object and is {type_name(value)}")
    frame.spend(len(value))
    return list(value.values())


def _get(frame: Frame, value: Any, path: Any, default: Any = None) -> Any:
    if not isinstance(path, str) or len(path) > MAX_PATTERN:
        raise Fault("the path must be a short text like 'customer.name'")
    parts = path.split(".")
    frame.spend(len(parts))
    for part in parts:
        if isinstance(value, Mapping):
            if part.startswith("_") or part not in value:
                return default
            value = value[part]
        elif isinstance(value, list) and part.isascii() and part.isdigit() and len(part) < 10 and int(part) < len(value):
            value = value[int(part)]
        else:
            return default
    return default if value is None else value


def _json(frame: Frame, value: Any) -> str:
    text = as_json(value, frame)
    frame.text(len(text))
    return text


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def _parse_json(frame: Frame, text: Any) -> Any:
    source = _text(text, frame)
    frame.spend(len(source) >> 3)
    try:
        value = json.loads(
            source,
            parse_constant=_no_constant,
            parse_float=lambda word: number(float(word)),
            parse_int=lambda word: number(int(word) if len(word) < 40 else MAX_INTEGER + 1),
        )
    except (ValueError, RecursionError) as error:
        raise Fault(f"the text is not JSON: {shorten(str(error), 80)}") from None
    measure(value)
    return storable(value) if "\\u" in source else value  # escapes can spell what is no text


class Function:
    """A function, the numbers of values it takes, and how it is written."""

    __slots__ = ("call", "least", "most", "usage")

    def __init__(self, call: Callable[..., Any], least: int, most: int, usage: str) -> None:
        self.call, self.least, self.most, self.usage = call, least, most, usage


def _default(frame: Frame, value: Any, otherwise: Any) -> Any:
    return otherwise if value is None else value


FUNCTIONS: Mapping[str, Function] = {
    "len": Function(_len, 1, 1, "len(value)"),
    "lower": Function(_lower, 1, 1, "lower(text)"),
    "upper": Function(_upper, 1, 1, "upper(text)"),
    "trim": Function(_trim, 1, 1, "trim(text)"),
    "split": Function(_split, 1, 2, "split(text, ',')"),
    "join": Function(_join, 1, 2, "join(list, ', ')"),
    "replace": Function(_replace, 3, 3, "replace(text, 'old', 'new')"),
    "contains": Function(_contains, 2, 2, "contains(value, 'part')"),
    "starts_with": Function(_starts_with, 2, 2, "starts_with(text, 'beginning')"),
    "ends_with": Function(_ends_with, 2, 2, "ends_with(text, 'end')"),
    "matches": Function(_matches, 2, 2, "matches(text, 'pattern')"),
    "round": Function(_round, 1, 2, "round(number, digits)"),
    "int": Function(_int, 1, 1, "int(value)"),
    "float": Function(_float, 1, 1, "float(value)"),
    "str": Function(_str, 1, 1, "str(value)"),
    "min": Function(_min, 1, 50, "min(list)"),
    "max": Function(_max, 1, 50, "max(list)"),
    "sum": Function(_sum, 1, 1, "sum(list)"),
    "sorted": Function(_sorted, 1, 2, "sorted(list, 'key')"),
    "unique": Function(_unique, 1, 1, "unique(list)"),
    "first": Function(_first, 1, 1, "first(list)"),
    "last": Function(_last, 1, 1, "last(list)"),
    "keys": Function(_keys, 1, 1, "keys(object)"),
    "values": Function(_values, 1, 1, "values(object)"),
    "get": Function(_get, 2, 3, "get(value, 'a.b', default)"),
    "default": Function(_default, 2, 2, "default(value, otherwise)"),
    "json": Function(_json, 1, 1, "json(value)"),
    "parse_json": Function(_parse_json, 1, 1, "parse_json(text)"),
}
