"""What the operators of the expression language do, on JSON values only; each pays for its work."""

# ruff: noqa: ARG005  (every operator takes the same values)

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

from flows.engine.values import Fault, Frame, among, equal, number, type_name

NUMBERS = (int, float)


def _both_numbers(left: Any, right: Any, word: str) -> None:
    if not isinstance(left, NUMBERS) or not isinstance(right, NUMBERS):
        other = right if isinstance(left, NUMBERS) else left
        raise Fault(f"`{word}` takes two numbers; one is {type_name(other)}")


def _add(left: Any, right: Any, frame: Frame) -> Any:
    if isinstance(left, NUMBERS) and isinstance(right, NUMBERS):
        return number(left + right)
    if isinstance(left, str) and isinstance(right, str):
        frame.text(len(left) + len(right))
        return left + right
    if isinstance(left, list) and isinstance(right, list):
        frame.spend(len(left) + len(right))
        return left + right
    mend = "; str(…) makes text" if isinstance(left, str) or isinstance(right, str) else ""
    raise Fault(f"`+` joins two numbers, two texts or two lists, not {type_name(left)} and {type_name(right)}{mend}")


def _subtract(left: Any, right: Any, frame: Frame) -> Any:
    _both_numbers(left, right, "-")
    return number(left - right)


def _multiply(left: Any, right: Any, frame: Frame) -> Any:
    if isinstance(left, NUMBERS) and isinstance(right, NUMBERS):
        return number(left * right)
    for items, times in ((left, right), (right, left)):
        if isinstance(items, (str, list)) and type(times) is int:
            length = len(items) * max(0, times)
            if isinstance(items, str):
                frame.text(length)
            else:
                frame.spend(length)
            return items * times
    raise Fault(f"`*` takes two numbers, not {type_name(left)} and {type_name(right)}")


def _divide(left: Any, right: Any, frame: Frame) -> Any:
    _both_numbers(left, right, "/")
    return number(left / right)


def _floor_divide(left: Any, right: Any, frame: Frame) -> Any:
    _both_numbers(left, right, "//")
    return number(left // right)


def _remainder(left: Any, right: Any, frame: Frame) -> Any:
    _both_numbers(left, right, "%")
    return number(left % right)


def _power(left: Any, right: Any, frame: Frame) -> Any:
    _both_numbers(left, right, "**")
    whole = isinstance(left, int) and isinstance(right, int)
    if whole and right > 1 and left not in (0, 1, -1) and int(left).bit_length() * int(right) > 130:
        raise Fault("the whole number needs more than 64 bits")
    result = left**right
    if isinstance(result, complex):
        raise Fault("the number is too large or none at all")
    return number(result)


OPERATIONS: Mapping[type[ast.operator], Callable[[Any, Any, Frame], Any]] = {
    ast.Add: _add,
    ast.Sub: _subtract,
    ast.Mult: _multiply,
    ast.Div: _divide,
    ast.FloorDiv: _floor_divide,
    ast.Mod: _remainder,
    ast.Pow: _power,
}


def _ordered(left: Any, right: Any, word: str, frame: Frame) -> None:
    if isinstance(left, NUMBERS) and isinstance(right, NUMBERS):
        return
    if isinstance(left, str) and isinstance(right, str):
        frame.text(min(len(left), len(right)))
        return
    raise Fault(f"`{word}` cannot compare {type_name(left)} with {type_name(right)}")


def _less(left: Any, right: Any, frame: Frame) -> bool:
    _ordered(left, right, "<", frame)
    return bool(left < right)


def _less_or_equal(left: Any, right: Any, frame: Frame) -> bool:
    _ordered(left, right, "<=", frame)
    return bool(left <= right)


def _greater(left: Any, right: Any, frame: Frame) -> bool:
    _ordered(left, right, ">", frame)
    return bool(left > right)


def _greater_or_equal(left: Any, right: Any, frame: Frame) -> bool:
    _ordered(left, right, ">=", frame)
    return bool(left >= right)


COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any, Frame], bool]] = {
    ast.Eq: equal,
    ast.NotEq: lambda left, right, frame: not equal(left, right, frame),
    ast.Lt: _less,
    ast.LtE: _less_or_equal,
    ast.Gt: _greater,
    ast.GtE: _greater_or_equal,
    ast.In: among,
    ast.NotIn: lambda left, right, frame: not among(left, right, frame),
    ast.Is: lambda left, right, frame: left is right,
    ast.IsNot: lambda left, right, frame: left is not right,
}
