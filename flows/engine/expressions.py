"""The expression language: restricted Python expressions over JSON values.

The source is scanned (`scanning.py`), parsed to Python's syntax tree and turned once into closures of our own; nothing is ever
compiled or executed by Python. Dots and brackets look up keys and never attributes, there are no methods, and every evaluation
pays for its work from a fixed number of operations.
"""

# ruff: noqa: ARG005  (every closure takes names and frame)

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Mapping
from typing import Any

from flows.engine.failures import ExpressionFailed
from flows.engine.functions import FUNCTIONS
from flows.engine.operators import COMPARISONS, OPERATIONS
from flows.engine.problems import did_you_mean, listed, shorten
from flows.engine.scanning import ScanError, Scanned, scan
from flows.engine.values import Fault, Frame, MissingFault, measure, number, type_name

MAX_DEPTH = 100

Names = Mapping[str, Any]
Step = Callable[[Names, Frame], Any]
"""One node of an expression, ready to run."""

Path = tuple[str | int, ...]

CONSTANTS: Mapping[str, Any] = {"true": True, "false": False, "null": None}
_JSON_TYPES = frozenset({str, int, float, bool, type(None), list, dict})


class ExpressionError(ExpressionFailed):
    """An expression cannot be read or evaluated. `reason` is the bare sentence, `position` the offset in `source`."""

    def __init__(self, message: str, source: str, position: int = 0, path: Path = ()) -> None:
        shown = f" (in `{shorten(source, 80)}`)" if source else ""
        super().__init__(message + shown)
        self.reason = message
        self.source = source
        self.position = position
        self.path = path  # where in a template's value the text stands


class Expression:
    """A parsed expression. `references` are the paths that it looks up, like `("steps", "classify", "output", "topic")`."""

    __slots__ = ("_builds", "_run", "_slots", "references", "source")

    def __init__(self, source: str, run: Step, references: tuple[Path, ...], slots: int, builds: bool) -> None:
        self.source = source
        self.references = references
        self._run = run
        self._slots = slots
        self._builds = builds

    def evaluate(self, names: Names) -> Any:
        """The value for these names: a JSON value. Raises ExpressionError and nothing else."""
        try:
            value = self._run(names, Frame(self._slots))
            if self._builds and (type(value) is list or type(value) is dict):
                measure(value)
        except ExpressionError:
            raise
        except Fault as fault:
            raise ExpressionError(str(fault), self.source) from None
        except (ArithmeticError, ValueError, TypeError, LookupError, RecursionError, MemoryError) as error:
            raise ExpressionError(f"the expression cannot be evaluated: {type(error).__name__}", self.source) from error
        if type(value) not in _JSON_TYPES:
            raise ExpressionError(
                "the result is not a JSON value; name what you want of it, like steps.classify.output", self.source
            )
        return value

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"


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


class _Builder:
    """Turns a syntax tree into closures, noting the references on the way."""

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
                raise _Missing(str(fault), source, position) from None
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
            return {_key(key(names, frame)): value(names, frame) for key, value in pairs}

        return self.guarded(node, run)

    # --- looking up

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
                    raise _missing({root: frame.slots[slot]}, root, keys, source, position) from None
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
                raise _missing(names, root, keys, source, position) from None
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
                raise MissingFault(_absence(container, wanted, what)) from None

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

    # --- operators

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

    # --- functions and comprehensions

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
            except _Missing:
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
        key_of = key

        def run_object(names: Names, frame: Frame) -> Any:
            result: dict[str, Any] = {}

            def take() -> None:
                result[_key(key_of(names, frame))] = element(names, frame)

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

    VISITORS: Mapping[type[ast.AST], Callable[[_Builder, Any], Step]] = {
        ast.Constant: constant,
        ast.List: list_literal,
        ast.Tuple: list_literal,
        ast.Dict: dict_literal,
        ast.Name: name,
        ast.Attribute: attribute,
        ast.Subscript: subscript,
        ast.BoolOp: boolean,
        ast.UnaryOp: unary,
        ast.BinOp: binary,
        ast.Compare: compare,
        ast.IfExp: conditional,
        ast.Call: call,
        ast.ListComp: comprehension,
        ast.DictComp: comprehension,
    }


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


class _Missing(ExpressionError):
    """What was looked up is not there."""


def _missing(names: Names, root: str, keys: Path, source: str, position: int) -> ExpressionError:
    """The error of a path that leads nowhere: walks it again and names the first place that is missing."""
    if root not in names:
        mend = did_you_mean(root, [str(name) for name in names])
        return ExpressionError(f"there is no name `{shorten(root, 60)}` here. {mend}", source, position)
    value: Any = names[root]
    what = root
    for key in keys:
        try:
            value = value[key]
        except (LookupError, TypeError):
            return _Missing(_absence(value, key, what), source, position)
        what += f"[{key}]" if isinstance(key, int) else f".{key}"
    return ExpressionError(f"`{shorten(what, 80)}` cannot be looked up", source, position)


def _absence(container: Any, key: str | int, what: str) -> str:
    place, wanted = shorten(what, 80), shorten(str(key), 60)
    if container is None:
        return f"`{place}` is null, so there is no `{wanted}` in it; get(…, '{wanted}', default) gives a default"
    if isinstance(container, Mapping):
        known = listed([str(name) for name in list(container)[:8]]) or "nothing"
        return f"`{place}` has no `{wanted}`; it has {known}"
    if isinstance(container, (list, str)):
        if isinstance(key, str):
            return f"`{place}` is {type_name(container)}, so there is no `{wanted}` in it"
        return f"`{place}` has {len(container)} {'items' if isinstance(container, list) else 'characters'}; there is no [{key}]"
    return f"`{place}` is {type_name(container)}, so there is no `{wanted}` in it"


def _key(value: Any) -> str:
    if not isinstance(value, str):
        raise Fault(f"the keys of an object are texts, not {type_name(value)}")
    return value


def _each(value: Any, frame: Frame) -> list[Any]:
    if isinstance(value, list):
        return value
    if isinstance(value, Mapping):
        frame.spend(len(value))
        return list(value)
    raise Fault(f"`for` goes over a list or an object's keys, not over {type_name(value)}")


def _is_word(node: ast.expr) -> bool:
    if isinstance(node, ast.Name):
        return node.id in CONSTANTS
    return isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, bool))
