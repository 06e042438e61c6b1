"""Turning a syntax tree into closures: the walk over its nodes, and the values that are written in an expression."""

# ruff: noqa: ARG005  (every closure takes names and frame)

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from flows.engine.evaluation import Expression, ExpressionError, Missing, Names, Path, Step
from flows.engine.scanning import Scanned
from flows.engine.values import Fault, Frame, MissingFault, number, type_name

MAX_DEPTH = 100

CONSTANTS: Mapping[str, Any] = {"true": True, "false": False, "null": None}


class Builder:
    """Turns a syntax tree into closures, noting the references on the way. What a node becomes stands in `VISITORS`."""

    VISITORS: ClassVar[Mapping[type[ast.AST], Callable[[Any, Any], Step]]]

    def __init__(self, source: str, scanned: Scanned, indent: int) -> None:
        self.source = source
        self.scanned = scanned
        self.indent = indent
        self.references: dict[Path, None] = {}
        self.bound: dict[str, int] = {}  # variables of the comprehensions around: name to slot
        self.slots = 0
        self.nodes = 0
        self.depth = 0
        self.builds = False

    def expression(self, tree: ast.expr) -> Expression:
        run = self.visit(tree)
        return Expression(self.source, run, tuple(self.references), self.slots, self.builds)

    def visit(self, node: ast.AST) -> Step:
        self.nodes += 1
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(node, "the expression is nested too deeply")
        visitor = self.VISITORS.get(type(node))
        if visitor is None:
            raise self.error(node, _REFUSED.get(type(node), "this is not part of the expression language"))
        step = visitor(self, node)
        self.depth -= 1
        return step

    def position(self, node: ast.AST) -> int:
        return int(getattr(node, "col_offset", 0)) + self.indent

    def error(self, node: ast.AST, message: str) -> ExpressionError:
        return ExpressionError(message, self.source, self.position(node))

    def guarded(self, node: ast.AST, work: Step) -> Step:
        """Adds the place to what goes wrong in `work`."""
        source, position = self.source, self.position(node)

        def run(names: Names, frame: Frame) -> Any:
            try:
                return work(names, frame)
            except MissingFault as fault:
                raise Missing(str(fault), source, position) from None
            except Fault as fault:
                raise ExpressionError(str(fault), source, position) from None
            except ZeroDivisionError:
                raise ExpressionError("division by zero", source, position) from None
            except ArithmeticError:
                raise ExpressionError("the number is too large or none at all", source, position) from None

        return run

    # --- values

    def constant(self, node: ast.Constant) -> Step:
        value: Any = node.value
        if isinstance(value, str):
            value = self.scanned.texts[self.position(node)]
        elif value is not None and type(value) not in (bool, int, float):
            raise self.error(node, "only numbers, texts, true, false and null can be written")
        elif type(value) in (int, float):
            try:
                number(value)
            except Fault as fault:
                raise self.error(node, str(fault)) from None
        return lambda names, frame: value

    def list_literal(self, node: ast.List | ast.Tuple) -> Step:
        if isinstance(node, ast.Tuple):
            raise self.error(node, "a list is written in square brackets")
        items = [self.visit(item) for item in node.elts]
        self.builds = True
        return lambda names, frame: [item(names, frame) for item in items]

    def dict_literal(self, node: ast.Dict) -> Step:
        pairs: list[tuple[Step, Step]] = []
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                raise self.error(value, "`**` is not allowed in an object; write its keys")
            pairs.append((self.visit(key), self.visit(value)))
        self.builds = True

        def run(names: Names, frame: Frame) -> Any:
            return {key_of(key(names, frame)): value(names, frame) for key, value in pairs}

        return self.guarded(node, run)


_REFUSED: Mapping[type[ast.AST], str] = {
    ast.Lambda: "`lambda` is not part of the expression language",
    ast.NamedExpr: "`:=` is not part of the expression language",
    ast.Set: "sets are not JSON values; write a list in square brackets",
    ast.SetComp: "sets are not JSON values; write the comprehension in square brackets, and unique(…) around it",
    ast.GeneratorExp: "write the comprehension in square brackets",
    ast.JoinedStr: "texts have no prefix such as f; join them with +",
    ast.Starred: "`*` before a value is not part of the expression language",
    ast.Await: "`await` is not part of the expression language",
    ast.Yield: "`yield` is not part of the expression language",
    ast.YieldFrom: "`yield` is not part of the expression language",
}


def key_of(value: Any) -> str:
    """A value as the key of an object. Raises `Fault` where it is no text."""
    if not isinstance(value, str):
        raise Fault(f"the keys of an object are texts, not {type_name(value)}")
    return value
