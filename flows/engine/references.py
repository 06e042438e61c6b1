"""Whether the names that an expression uses can exist where it stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flows.engine.functions import FUNCTIONS
from flows.engine.problems import Place, did_you_mean, listed, path_text, shorten
from flows.engine.schemas import missing_field
from flows.engine.wiring import Wiring

Schema = Mapping[str, Any]
STEP_FIELDS = ("output", "outcome", "payload", "error")


def _fields(*names: str) -> Schema:
    return {"type": "object", "properties": {name: {} for name in names}}


ERROR = _fields("step", "class", "message", "attempts")
RUN = _fields("id", "number", "flow", "version", "started_at", "key", "tags", "by")


@dataclass(frozen=True, slots=True)
class Scope:
    """The names of one graph. `extra` are those that its container gives; `container` is that step's key in `outer`."""

    wiring: Wiring
    output_schema: Callable[[str], Schema | None]
    input_schema: Schema | None
    state_keys: frozenset[str]
    extra: Mapping[str, Schema | None]
    outer: Scope | None = None
    container: str | None = None
    error_outside: bool = False  # the container stands behind an error edge

    def fault(self, path: Place, at: str | None) -> tuple[str, str] | None:
        """Message and mend where a path cannot exist at the step `at` (None: at the end of the graph)."""
        root = str(path[0])
        if root == "steps":
            return self._step_fault(path, at)
        if root == "input":
            return _field_fault(self.input_schema, path, 1)
        if root == "state":
            if len(path) > 1 and path[1] not in self.state_keys:
                mend = did_you_mean(str(path[1]), self.state_keys)
                return f"`{path_text(path[:2])}` does not exist: the flow's `state` has no `{path[1]}` and no step sets it", mend
            return None
        if root == "run":
            return _field_fault(RUN, path, 1)
        if root in self.extra:
            return _field_fault(self.extra[root], path, 1)
        if root == "error":
            if self.error_outside or (at is not None and at in self.wiring.behind_error):
                return _field_fault(ERROR, path, 1)
            return "`error` exists only behind an error edge", "Connect the step to an `error` port, or read steps.<key>.error."
        return self._name_fault(root)

    def _name_fault(self, root: str) -> tuple[str, str]:
        if root in ("item", "index"):
            return f"`{root}` exists only in the body of a map", ""
        if root == "loop":
            return "`loop` exists only in the body of a loop", ""
        if root in FUNCTIONS:
            return f"`{root}` is a function", f"Write {FUNCTIONS[root].usage}."
        known = ["input", "steps", "state", "run", *self.extra, *(["error"] if self.error_outside else [])]
        return f"there is no name `{shorten(root, 60)}` here", did_you_mean(root, known)

    def _step_fault(self, path: Place, at: str | None) -> tuple[str, str] | None:
        if len(path) == 1:
            return None
        key = str(path[1])
        scope: Scope | None = self
        while scope is not None and key not in scope.wiring.positions:
            at = scope.container
            scope = scope.outer
        if scope is None:
            return f"`steps.{shorten(key, 60)}`: there is no step `{shorten(key, 60)}`", did_you_mean(key, self._all_steps())
        if at is not None and not scope.wiring.is_upstream(key, at):
            what = "is this step itself" if key == at else f"does not come before `{at}`"
            return (
                f"`steps.{key}` {what}, so its output cannot be read here",
                f"Connect `{key}` so that it leads here, or read another step.",
            )
        if len(path) > 2 and path[2] not in STEP_FIELDS:
            mend = f"Did you mean `steps.{key}.output.{path[2]}`? " if isinstance(path[2], str) else ""
            return f"`{path_text(path[:3])}` does not exist", f"{mend}A step has {listed(STEP_FIELDS)}."
        if len(path) > 3 and path[2] == "output":
            return _field_fault(scope.output_schema(key), path, 3)
        if len(path) > 3 and path[2] == "error":
            return _field_fault(ERROR, path, 3)
        return None

    def _all_steps(self) -> list[str]:
        return [*self.wiring.positions, *(self.outer._all_steps() if self.outer else [])]


def _field_fault(schema: Schema | None, path: Place, known: int) -> tuple[str, str] | None:
    found = missing_field(schema, path[known:]) if schema is not None else None
    if found is None:
        return None
    position, detail = found
    wrong = path[: known + position + 1]
    if detail.startswith("it is"):
        return f"`{path_text(wrong)}` cannot exist: `{path_text(wrong[:-1])}` is {detail[6:]}", ""
    return f"`{path_text(wrong)}` does not exist", detail
