"""The expression language: restricted Python expressions over JSON values.

The source is scanned (`scanning.py`), parsed to Python's syntax tree and turned once into closures of our own (`building.py`,
`lookups.py`, `operations.py`, `calls.py`); nothing is ever compiled or executed by Python. Dots and brackets look up keys and never
attributes, there are no methods, and every evaluation pays for its work from a fixed number of operations.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from flows.engine.calls import Calls
from flows.engine.evaluation import Expression, ExpressionError, Step
from flows.engine.operations import Operations
from flows.engine.scanning import ScanError, Scanned, scan

__all__ = ["Expression", "ExpressionError", "build", "parse_expression"]


class _Builder(Calls, Operations):
    """The whole language."""

    VISITORS: ClassVar[Mapping[type[ast.AST], Callable[[Any, Any], Step]]] = {
        ast.Constant: Calls.constant,
        ast.List: Calls.list_literal,
        ast.Tuple: Calls.list_literal,
        ast.Dict: Calls.dict_literal,
        ast.Name: Calls.name,
        ast.Attribute: Calls.attribute,
        ast.Subscript: Calls.subscript,
        ast.BoolOp: Operations.boolean,
        ast.UnaryOp: Operations.unary,
        ast.BinOp: Operations.binary,
        ast.Compare: Operations.compare,
        ast.IfExp: Operations.conditional,
        ast.Call: Calls.call,
        ast.ListComp: Calls.comprehension,
        ast.DictComp: Calls.comprehension,
    }


def parse_expression(source: str) -> Expression:
    """The expression of a source text. Raises ExpressionError that says what is not allowed and where."""
    if not isinstance(source, str):
        raise ExpressionError("an expression is text", "")
    if len(source) > 2_000:  # long ones are not worth keeping
        return _parse(source)
    return _parse_and_keep(source)


def _parse(source: str) -> Expression:
    try:
        scanned = scan(source)
    except ScanError as error:
        raise ExpressionError(error.message, source, error.position) from None
    return build(source, scanned)


_parse_and_keep = functools.lru_cache(maxsize=4096)(_parse)


def build(source: str, scanned: Scanned) -> Expression:
    """The expression of a scanned source."""
    indent = len(scanned.line) - len(scanned.line.lstrip())
    if not scanned.line.strip():
        raise ExpressionError("the expression is empty", source)
    try:
        tree = ast.parse(scanned.line[indent:].rstrip(), mode="eval")
    except SyntaxError as error:
        position = max(0, (error.offset or 1) - 1 + indent)
        raise ExpressionError(_syntax(error), source, position) from None
    except (ValueError, RecursionError, MemoryError, OverflowError):
        raise ExpressionError("the expression is nested too deeply", source) from None
    return _Builder(source, scanned, indent).expression(tree.body)


def _syntax(error: SyntaxError) -> str:
    said = str(error.msg or "").split(". Perhaps")[0].split(". Maybe")[0]
    if "nested" in said or "recursion" in said:
        return "the expression is nested too deeply"
    if said in ("invalid syntax", "") or "Did you mean print" in said:
        return "this is not an expression"
    return f"this is not an expression: {said}"
