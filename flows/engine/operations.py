"""Operators and conditionals of an expression; what they do to values stands in `operators.py`."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from flows.engine.building import CONSTANTS, Builder
from flows.engine.evaluation import Names, Step
from flows.engine.operators import COMPARISONS, OPERATIONS
from flows.engine.values import Fault, Frame, number, type_name


class Operations(Builder):
    """The nodes that join values."""

    def boolean(self, node: ast.BoolOp) -> Step:
        parts = [self.visit(part) for part in node.values]
        stops_at = isinstance(node.op, ast.Or)

        def run(names: Names, frame: Frame) -> Any:
            value: Any = None
            for part in parts:
                value = part(names, frame)
                if bool(value) is stops_at:
                    return value
            return value

        return run

    def unary(self, node: ast.UnaryOp) -> Step:
        value = self.visit(node.operand)
        if isinstance(node.op, ast.Not):
            return lambda names, frame: not value(names, frame)
        if isinstance(node.op, ast.Invert):
            raise self.error(node, "`~` is not an operator here")
        negative = isinstance(node.op, ast.USub)

        def run(names: Names, frame: Frame) -> Any:
            of = value(names, frame)
            if not isinstance(of, (int, float)):
                raise Fault(f"a sign needs a number, not {type_name(of)}")
            return number(-of if negative else +of)

        return self.guarded(node, run)

    def binary(self, node: ast.BinOp) -> Step:
        operation = OPERATIONS.get(type(node.op))
        if operation is None:
            raise self.error(node, "this operator is not available; there are + - * / // % **")
        left, right = self.visit(node.left), self.visit(node.right)
        self.builds = True
        return self.guarded(node, lambda names, frame: operation(left(names, frame), right(names, frame), frame))

    def compare(self, node: ast.Compare) -> Step:
        first = self.visit(node.left)
        rest: list[tuple[Callable[[Any, Any, Frame], bool], Step]] = []
        for operator, operand in zip(node.ops, node.comparators, strict=True):
            if isinstance(operator, (ast.Is, ast.IsNot)) and not _is_word(operand):
                raise self.error(node, "`is` asks for None, true or false only; write == to compare")
            rest.append((COMPARISONS[type(operator)], self.visit(operand)))
        if len(rest) == 1:
            compare, second = rest[0]
            return self.guarded(node, lambda names, frame: compare(first(names, frame), second(names, frame), frame))

        def run(names: Names, frame: Frame) -> Any:
            left = first(names, frame)
            for comparison, operand in rest:
                right = operand(names, frame)
                if not comparison(left, right, frame):
                    return False
                left = right
            return True

        return self.guarded(node, run)

    def conditional(self, node: ast.IfExp) -> Step:
        condition, then, otherwise = self.visit(node.test), self.visit(node.body), self.visit(node.orelse)
        return lambda names, frame: then(names, frame) if condition(names, frame) else otherwise(names, frame)


def _is_word(node: ast.expr) -> bool:
    if isinstance(node, ast.Name):
        return node.id in CONSTANTS
    return isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, bool))
