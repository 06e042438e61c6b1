"""JSON values within an expression: what they may grow to, and the operations that are paid for."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

MAX_OPERATIONS = 200_000
MAX_TEXT = 1_000_000
MAX_NODES = 200_000
MAX_INTEGER = 2**63 - 1
MAX_DEPTH = 60

SCALARS = frozenset({str, int, float, bool, type(None)})


class Fault(Exception):
    """An operation that cannot be done; the expression adds where."""


class MissingFault(Fault):
    """What was looked up is not there: `default` answers it."""


class Frame:
    """One evaluation: the operations that are left, and the variables of its comprehensions."""

    __slots__ = ("left", "slots")

    def __init__(self, slots: int = 0) -> None:
        self.left = MAX_OPERATIONS
        self.slots: list[Any] = [None] * slots

    def spend(self, operations: int) -> None:
        """Pays for work; raises when nothing is left."""
        self.left -= operations
        if self.left < 0:
            raise Fault("the expression does too much work; make its lists smaller or split it into steps")

    def text(self, length: int) -> None:
        """Pays for reading or building a text of this length."""
        if length > MAX_TEXT:
            raise Fault(f"the text would have more than {MAX_TEXT:,} characters")
        if length > 64:
            self.spend(length >> 6)


def type_name(value: Any) -> str:
    """What a value is, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "an object"


def measure(value: Any, frame: Frame | None = None) -> None:
    """Refuses what is larger than a result may be, or no JSON value. A shared part counts each time it appears."""
    nodes = size = 0
    stack: list[tuple[Any, int]] = [(value, 0)]
    while stack:
        item, depth = stack.pop()
        nodes += 1
        kind = type(item)
        if kind is str:
            size += len(item)
        elif kind is list:
            nodes += len(item)
            if nodes + len(stack) <= MAX_NODES:
                stack.extend([(each, depth + 1) for each in item])
        elif kind is dict:
            nodes += len(item)
            if nodes + len(stack) <= MAX_NODES:
                for key, each in item.items():
                    size += len(key)
                    stack.append((each, depth + 1))
        elif kind not in SCALARS:
            raise Fault("the result is not a JSON value; name what you want of it, like steps.classify.output")
        if nodes + len(stack) > 2 * MAX_NODES or nodes > MAX_NODES or size > MAX_TEXT * 2:
            raise Fault("the result is too large")
        if depth > MAX_DEPTH:
            raise Fault("the result is nested too deeply")
    if frame is not None:
        frame.spend(nodes + (size >> 6))


def as_json(value: Any, frame: Frame) -> str:
    """A value as JSON text."""
    if type(value) not in SCALARS:
        measure(value, frame)
    elif type(value) is str:
        frame.text(len(value))
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def as_text(value: Any, frame: Frame) -> str:
    """A value within a text: texts as they are, null empty, anything else as JSON."""
    if type(value) is str:
        return str(value)
    if value is None:
        return ""
    return as_json(value, frame)


def equal(left: Any, right: Any, frame: Frame) -> bool:
    """Deep equality that pays for each pair it looks at (values built of shared parts would take for ever)."""
    if type(left) in SCALARS or type(right) in SCALARS:
        if type(left) is str and len(left) > 1024:
            frame.spend(len(left) >> 10)
        return bool(left == right)
    pairs = [(left, right)]
    while pairs:
        one, other = pairs.pop()
        frame.spend(1)
        if isinstance(one, list) and isinstance(other, list):
            if len(one) != len(other):
                return False
            frame.spend(len(one))
            pairs.extend(zip(one, other, strict=True))
        elif isinstance(one, Mapping) and isinstance(other, Mapping):
            if one.keys() != other.keys():
                return False
            frame.spend(len(one))
            pairs.extend((one[key], other[key]) for key in one)
        elif one != other:
            return False
    return True


def among(value: Any, container: Any, frame: Frame) -> bool:
    """Whether a text holds a text, a list an equal item, an object a key."""
    if isinstance(container, str):
        if not isinstance(value, str):
            raise Fault(f"a text can only contain text, not {type_name(value)}")
        frame.text(len(container))
        return value in container
    if isinstance(container, list):
        frame.spend(len(container))
        return any(equal(item, value, frame) for item in container)
    if isinstance(container, Mapping):
        return isinstance(value, str) and value in container
    raise Fault(f"{type_name(container)} cannot contain anything")


def number(value: Any) -> Any:
    """The number itself if it is one that can be kept."""
    if type(value) is int:
        if -MAX_INTEGER <= value <= MAX_INTEGER:
            return value
        raise Fault("the whole number needs more than 64 bits")
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        raise Fault("the number is too large or none at all")
    if isinstance(value, bool):
        return value
    raise Fault(f"the result is {type_name(value) if value is None else 'not a number'}")
