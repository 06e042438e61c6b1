"""Looking up: names, keys behind dots and in brackets, and cuts of texts and lists. Never attributes."""

# ruff: noqa: ARG005  (every closure takes names and frame)

from __future__ import annotations

import ast
from typing import Any

from flows.engine.building import CONSTANTS, MAX_DEPTH, Builder
from flows.engine.evaluation import ExpressionError, Names, Path, Step, absence, missing
from flows.engine.functions import FUNCTIONS
from flows.engine.problems import shorten
from flows.engine.values import Fault, Frame, MissingFault, type_name


class Lookups(Builder):
    """The nodes that look something up."""

    def name(self, node: ast.Name) -> Step:
        return self.look_up(node, node.id, ())

    def attribute(self, node: ast.Attribute) -> Step:
        key = self.attribute_key(node)
        static = self.static_path(node)
        if static is not None:
            return self.look_up(node, *static)
        return self.look_into(node, node.value, lambda names, frame: key)

    def attribute_key(self, node: ast.Attribute) -> str:
        end = (node.end_col_offset or 0) + self.indent
        key = self.scanned.words.get(end, node.attr)
        if key.startswith("_"):
            raise self.error(node, f"`{key}` does not exist: names that begin with an underscore are not available")
        return key

    def subscript(self, node: ast.Subscript) -> Step:
        if isinstance(node.slice, ast.Slice):
            return self.cut(node, node.slice)
        static = self.static_path(node)
        if static is not None:
            return self.look_up(node, *static)
        return self.look_into(node, node.value, self.visit(node.slice))

    def static_path(self, node: ast.AST) -> tuple[str, Path] | None:
        """The root name and the keys of a chain of dots and constant brackets."""
        keys: list[str | int] = []
        while True:
            if isinstance(node, ast.Attribute):
                keys.append(self.attribute_key(node))
                node = node.value
            elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
                key = node.slice.value
                if isinstance(key, str):
                    keys.append(self.scanned.texts[self.position(node.slice)])
                elif type(key) is int:
                    keys.append(key)
                else:
                    return None
                node = node.value
            elif isinstance(node, ast.Name):
                return node.id, tuple(reversed(keys))
            else:
                return None
            if len(keys) > MAX_DEPTH:
                raise self.error(node, "the expression is nested too deeply")

    def look_up(self, node: ast.AST, root: str, keys: Path) -> Step:
        source, position = self.source, self.position(node)
        if root in CONSTANTS and root not in self.bound:
            if keys:
                raise self.error(node, f"there is nothing in `{root}` to look up")
            value = CONSTANTS[root]
            return lambda names, frame: value
        if root.startswith("_"):
            raise self.error(node, f"`{root}` does not exist: names that begin with an underscore are not available")
        if root in self.bound:
            slot = self.bound[root]

            def run_bound(names: Names, frame: Frame) -> Any:
                value = frame.slots[slot]
                try:
                    for key in keys:
                        value = value[key]
                except (LookupError, TypeError):
                    raise missing({root: frame.slots[slot]}, root, keys, source, position) from None
                return value

            return run_bound
        if root in FUNCTIONS and not keys:
            usage = FUNCTIONS[root].usage
            self.references[(root,)] = None

            def run_function_name(names: Names, frame: Frame) -> Any:
                if root in names:
                    return names[root]
                raise ExpressionError(f"`{root}` is a function; write {usage}", source, position)

            return run_function_name
        self.references[(root, *keys)] = None

        def run(names: Names, frame: Frame) -> Any:
            try:
                value = names[root]
                for key in keys:
                    value = value[key]
            except (LookupError, TypeError):
                raise missing(names, root, keys, source, position) from None
            return value

        return run

    def look_into(self, node: ast.AST, inner: ast.AST, key: Step) -> Step:
        value = self.visit(inner)
        what = shorten(self.source[self.position(inner) : (getattr(inner, "end_col_offset", 0) or 0) + self.indent], 40)

        def run(names: Names, frame: Frame) -> Any:
            container, wanted = value(names, frame), key(names, frame)
            if not isinstance(wanted, (str, int)) or isinstance(wanted, bool):
                raise Fault(f"what stands in brackets must be a text or a whole number, not {type_name(wanted)}")
            try:
                return container[wanted]
            except (LookupError, TypeError):
                raise MissingFault(absence(container, wanted, what)) from None

        return self.guarded(node, run)

    def cut(self, node: ast.Subscript, part: ast.Slice) -> Step:
        value = self.visit(node.value)
        ends = [self.visit(end) if end is not None else None for end in (part.lower, part.upper, part.step)]

        def run(names: Names, frame: Frame) -> Any:
            container = value(names, frame)
            if not isinstance(container, (str, list)):
                raise Fault(f"only a text or a list can be cut, not {type_name(container)}")
            limits = [end(names, frame) if end is not None else None for end in ends]
            for limit in limits:
                if limit is not None and type(limit) is not int:
                    raise Fault(f"the ends of a cut must be whole numbers, not {type_name(limit)}")
            if limits[2] == 0:
                raise Fault("the step of a cut cannot be 0")
            if isinstance(container, str):
                frame.text(len(container))
            else:
                frame.spend(len(container))
            return container[limits[0] : limits[1] : limits[2]]

        self.builds = True
        return self.guarded(node, run)
