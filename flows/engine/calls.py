"""Functions and comprehensions of an expression."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

from flows.engine.building import CONSTANTS, key_of
from flows.engine.evaluation import Missing, Names, Step
from flows.engine.functions import FUNCTIONS
from flows.engine.lookups import Lookups
from flows.engine.problems import did_you_mean, listed
from flows.engine.values import Fault, Frame, type_name


class Calls(Lookups):
    """The nodes that do work: a function's, or once for each item."""

    def call(self, node: ast.Call) -> Step:
        self.nodes += 3  # a call costs more than another node
        if isinstance(node.func, ast.Attribute):
            key = self.attribute_key(node.func)
            mend = f"write {FUNCTIONS[key].usage}" if key in FUNCTIONS else f"the functions are {listed(FUNCTIONS, 40)}"
            raise self.error(node, f"values have no methods such as `{key}`; {mend}")
        if not isinstance(node.func, ast.Name):
            raise self.error(node, f"only functions can be called: {listed(FUNCTIONS, 40)}")
        function = FUNCTIONS.get(node.func.id)
        if function is None:
            if node.func.id.startswith("_"):
                raise self.error(node, f"`{node.func.id}` does not exist: names that begin with an underscore are not available")
            raise self.error(node, f"there is no function `{node.func.id}`. {did_you_mean(node.func.id, FUNCTIONS)}")
        if node.keywords or any(isinstance(value, ast.Starred) for value in node.args):
            raise self.error(node, f"write the values of a function one after the other: {function.usage}")
        if not function.least <= len(node.args) <= function.most:
            raise self.error(node, f"`{node.func.id}` is written {function.usage}")
        values = [self.comprehension(value) if isinstance(value, ast.GeneratorExp) else self.visit(value) for value in node.args]
        self.builds = True
        perform = function.call
        if node.func.id == "default":
            return self.default(values[0], values[1])
        if len(values) == 1:
            only = values[0]
            return self.guarded(node, lambda names, frame: perform(frame, only(names, frame)))
        return self.guarded(node, lambda names, frame: perform(frame, *[value(names, frame) for value in values]))

    def default(self, value: Step, otherwise: Step) -> Step:
        """`default(a.b, c)`: c where a.b is null or not there."""

        def run(names: Names, frame: Frame) -> Any:
            try:
                found = value(names, frame)
            except Missing:
                found = None
            return otherwise(names, frame) if found is None else found

        return run

    def comprehension(self, node: ast.ListComp | ast.GeneratorExp | ast.DictComp) -> Step:
        self.builds = True
        outer = dict(self.bound)
        self.depth += 1
        loops: list[tuple[Step, Callable[[Any, Frame], None], list[Step], int]] = []
        for generator in node.generators:
            if generator.is_async:
                raise self.error(node, "`async` is not part of the expression language")
            items = self.visit(generator.iter)
            assign = self.target(generator.target)
            before = self.nodes
            conditions = [self.visit(condition) for condition in generator.ifs]
            loops.append((items, assign, conditions, 1 + self.nodes - before))
        before = self.nodes
        key = self.visit(node.key) if isinstance(node, ast.DictComp) else None
        element = self.visit(node.value if isinstance(node, ast.DictComp) else node.elt)
        cost = 1 + self.nodes - before
        self.depth -= 1
        self.bound = outer

        def walk(level: int, names: Names, frame: Frame, take: Callable[[], None]) -> None:
            items, assign, conditions, price = loops[level]
            last = level == len(loops) - 1
            for item in _each(items(names, frame), frame):
                frame.left -= price
                if frame.left < 0:
                    frame.spend(0)
                assign(item, frame)
                if all(condition(names, frame) for condition in conditions):
                    if last:
                        frame.left -= cost
                        take()
                    else:
                        walk(level + 1, names, frame, take)

        if key is None:

            def run(names: Names, frame: Frame) -> Any:
                result: list[Any] = []
                walk(0, names, frame, lambda: result.append(element(names, frame)))
                return result

            return self.guarded(node, run)
        name_of = key

        def run_object(names: Names, frame: Frame) -> Any:
            result: dict[str, Any] = {}

            def take() -> None:
                result[key_of(name_of(names, frame))] = element(names, frame)

            walk(0, names, frame, take)
            return result

        return self.guarded(node, run_object)

    def target(self, node: ast.expr) -> Callable[[Any, Frame], None]:
        if isinstance(node, ast.Name):
            slot = self.bind(node)

            def assign(value: Any, frame: Frame) -> None:
                frame.slots[slot] = value

            return assign
        if isinstance(node, (ast.Tuple, ast.List)) and all(isinstance(part, ast.Name) for part in node.elts):
            slots = [self.bind(part) for part in node.elts if isinstance(part, ast.Name)]

            def assign_each(value: Any, frame: Frame) -> None:
                if not isinstance(value, list) or len(value) != len(slots):
                    raise Fault(f"each item must be a list of {len(slots)} values")
                for each, item in zip(slots, value, strict=True):
                    frame.slots[each] = item

            return assign_each
        raise self.error(node, "after `for` stands a name")

    def bind(self, node: ast.Name) -> int:
        if node.id.startswith("_"):
            raise self.error(node, f"`{node.id}` does not exist: names that begin with an underscore are not available")
        if node.id in CONSTANTS:
            raise self.error(node, f"`{node.id}` cannot be the name of a variable")
        slot = self.bound[node.id] = self.slots
        self.slots += 1
        return slot


def _each(value: Any, frame: Frame) -> list[Any]:
    if isinstance(value, list):
        return value
    if isinstance(value, Mapping):
        frame.spend(len(value))
        return list(value)
    raise Fault(f"`for` goes over a list or an object's keys, not over {type_name(value)}")
