"""An expression that is ready to be evaluated, and the error that says where it went wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flows.engine.failures import ExpressionFailed
from flows.engine.problems import did_you_mean, listed, shorten
from flows.engine.values import Fault, Frame, measure, type_name

Names = Mapping[str, Any]
Step = Callable[[Names, Frame], Any]
"""One node of an expression, ready to run."""

Path = tuple[str | int, ...]

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


class Missing(ExpressionError):
    """What was looked up is not there."""


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


def missing(names: Names, root: str, keys: Path, source: str, position: int) -> ExpressionError:
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
            return Missing(absence(value, key, what), source, position)
        what += f"[{key}]" if isinstance(key, int) else f".{key}"
    return ExpressionError(f"`{shorten(what, 80)}` cannot be looked up", source, position)


def absence(container: Any, key: str | int, what: str) -> str:
    """Why there is no `key` in a value; `what` is how the expression calls it."""
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
