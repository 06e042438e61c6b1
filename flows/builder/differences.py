"""What differs between two documents: steps, fields, edges. A pure function of the two.

Documents of one version hash have no changes, and documents without changes have one hash: what only the canvas sees (`layout`)
is kept apart as moves. Steps within a map or loop are compared where they stand, `rate/assess`, and those of the error handler as
runs name them, `error/notify`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from flows.engine.courses import HANDLER
from flows.engine.document import FlowDocument
from flows.engine.drawing import label_of

Pointer = tuple[str | int, ...]
Sort = Literal["added", "removed", "changed"]


class Missing:
    """There is nothing on this side."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field. `pointer` leads to it from the step (or, for settings of the flow, from the document)."""

    pointer: Pointer
    before: Any
    after: Any

    @property
    def sort(self) -> Sort:
        return "added" if self.before is MISSING else "removed" if self.after is MISSING else "changed"

    @property
    def name(self) -> str:
        """The field as a reader knows it: `with` is not said, what stands in it is."""
        parts = self.pointer[1:] if len(self.pointer) > 1 and self.pointer[0] == "with" else self.pointer
        text = ""
        for part in parts:
            text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
        return text


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs: a step, an edge, or the flow's own settings.

    `path` is the step's (`rate/assess`), the edge's text behind the path of its body, or empty for the flow itself.
    """

    what: Literal["step", "edge", "flow"]
    sort: Sort
    path: str
    label: str
    fields: tuple[FieldChange, ...] = ()

    @property
    def box(self) -> str:
        """The step in which a drawing shows it, as `rate.assess`; empty for the flow itself."""
        place = self.path.split("/")
        return ".".join(place[:-1] if self.what == "edge" else place)


@dataclass(frozen=True, slots=True)
class Differences:
    """`moves` are the steps of which the place on the canvas differs; `unchanged` counts the steps that are the same, those of bodies
    too."""

    changes: tuple[Change, ...] = ()
    moves: tuple[str, ...] = ()
    unchanged: int = 0

    def __bool__(self) -> bool:
        return bool(self.changes)

    @property
    def in_words(self) -> str:
        """Such as `2 changed, 1 added`."""
        counts = [(sum(each.sort == sort for each in self.changes), sort) for sort in ("changed", "added", "removed")]
        return ", ".join(f"{count} {sort}" for count, sort in counts if count) or "No functional changes"

    @property
    def by_kind(self) -> str:
        """Such as `2 steps, 1 edge`."""
        names = {"step": "step", "edge": "edge", "flow": "setting"}
        counts = [(sum(each.what == what for each in self.changes), name) for what, name in names.items()]
        return ", ".join(f"{count} {name}{'s' if count != 1 else ''}" for count, name in counts if count)


def differences(before: FlowDocument, after: FlowDocument) -> Differences:
    """What one does to `before` to get `after`, in the order of `after`."""
    old, new = before.as_json(), after.as_json()
    moves = _moves(old.pop("layout", {}), new.pop("layout", {}))
    found = _Found()
    found.graph((), old, new)
    found.graph((HANDLER,), old.get("on_error") or {}, new.get("on_error") or {})
    own = tuple(_fields(_settings(old), _settings(new), ()))
    if own:
        found.changes.insert(0, Change("flow", "changed", "", "Settings of the flow", own))
    return Differences(tuple(found.changes), moves, found.unchanged)


@dataclass
class _Found:
    changes: list[Change] = field(default_factory=list)
    unchanged: int = 0

    def graph(self, place: tuple[str, ...], old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        """Compares the steps and edges of a flow or body; `place` are the steps that hold it, the outermost first."""
        before, after = _steps(old), _steps(new)
        for key, step in after.items():
            self.step((*place, key), before.get(key, MISSING), step)
        for key, step in before.items():
            if key not in after:
                self.step((*place, key), step, MISSING)
        self.order(place, [key for key in before if key in after], [key for key in after if key in before], "steps")
        self.edges(place, list(old.get("edges") or []), list(new.get("edges") or []))

    def step(self, path: tuple[str, ...], before: Any, after: Any) -> None:
        there = before if after is MISSING else after
        label = label_of(path[-1], there.get("label"))
        if before is MISSING or after is MISSING:
            sort: Sort = "added" if before is MISSING else "removed"
            whole = FieldChange((), before, after)
            self.changes.append(Change("step", sort, "/".join(path), label, (whole,)))
            return
        old_body, new_body = _body(before), _body(after)
        both = old_body is not None and new_body is not None
        fields = tuple(_fields(_shell(before), _shell(after), ()) if both else _fields(before, after, ()))
        count = len(self.changes)
        if fields:
            self.changes.append(Change("step", "changed", "/".join(path), label, fields))
        if old_body is not None and new_body is not None:
            self.graph(path, old_body, new_body)
        self.unchanged += len(self.changes) == count

    def edges(self, place: tuple[str, ...], before: list[str], after: list[str]) -> None:
        gone, come = [edge for edge in before if edge not in after], [edge for edge in after if edge not in before]
        differing: list[tuple[Sort, str]] = [*(("added", edge) for edge in come), *(("removed", edge) for edge in gone)]
        for sort, edge in differing:
            self.changes.append(Change("edge", sort, "/".join((*place, edge)), edge))
        self.order(place, [edge for edge in before if edge in after], [edge for edge in after if edge in before], "edges")

    def order(self, place: tuple[str, ...], before: list[str], after: list[str], what: str) -> None:
        if before != after:
            fields = (FieldChange((what,), before, after),)
            path = "/".join(place)
            self.changes.append(Change("flow", "changed", path, f"Order of {what}", fields))


def _fields(before: Any, after: Any, pointer: Pointer) -> Iterator[FieldChange]:
    """The smallest parts that differ, the order of keys included."""
    if _text(before) == _text(after):
        return
    found: list[FieldChange] = []
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in [*after, *(key for key in before if key not in after)]:
            found += _fields(before.get(key, MISSING), after.get(key, MISSING), (*pointer, key))
    elif _are_alike(before, after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            found += _fields(old, new, (*pointer, index))
    yield from found or [FieldChange(pointer, before, after)]


def _are_alike(before: Any, after: Any) -> bool:
    """Whether two lists of objects are compared one by one."""
    lists = isinstance(before, list) and isinstance(after, list) and len(before) == len(after)
    return lists and all(isinstance(each, Mapping) for each in (*before, *after))


def _text(value: Any) -> str | Missing:
    return MISSING if value is MISSING else json.dumps(value, ensure_ascii=False)


def _steps(graph: Mapping[str, Any]) -> Mapping[str, Any]:
    return graph.get("steps") or {}


def _body(step: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The body of a map or loop, where it has the form of one."""
    body = (step.get("with") or {}).get("body")
    if not isinstance(body, Mapping) or not isinstance(body.get("edges", []), list):
        return None
    steps = body.get("steps", {})
    whole = isinstance(steps, Mapping) and all(isinstance(step, Mapping) for step in steps.values())
    return body if whole and all(isinstance(edge, str) for edge in body.get("edges", [])) else None


def _shell(step: Mapping[str, Any]) -> dict[str, Any]:
    """A map or loop without the steps and edges of its body."""
    settings = {**step["with"], "body": _without(step["with"]["body"], "steps", "edges")}
    return {**step, "with": settings}


def _settings(document: Mapping[str, Any]) -> dict[str, Any]:
    """A flow without its steps and edges, and without an error handler that has some."""
    handler = document.get("on_error") or {}
    return _without(document, "steps", "edges", *(["on_error"] if _steps(handler) else []))


def _without(value: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {key: each for key, each in value.items() if key not in names}


def _moves(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    keys: Iterable[str] = [*after, *(key for key in before if key not in after)]
    return tuple(key for key in keys if before.get(key) != after.get(key))
