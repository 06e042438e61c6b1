"""What of a run's last course still counts in the next one: a function of the flow and of what the journal says.

Kept is what succeeded, failed with consequences that the flow had planned for (an error edge, `on_error: continue`, a map that
collects), or was open. Dropped, so that it runs again, are the steps whose failure nobody handled, what waited, and, where the next
course begins at a step on purpose, that step and everything behind it. A container whose inside runs again in part is reopened:
its other items stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from flows.engine.agents import TURN
from flows.engine.graph import Flow, Graph, Node
from flows.engine.paths import Place, downstream, enclosing, place_of

HANDLER = "error"
"""The key under which the steps of a flow's own error handler stand. What they did belongs to the failure that they handled."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one attempt's row says. `final` is False where another attempt was to follow; `fails_run` says that the run failed by it
    although the flow may have planned for the step's failure."""

    id: int
    path: str
    status: str  # open | waiting | succeeded | failed | skipped
    final: bool = True
    fails_run: bool = False


@dataclass(frozen=True, slots=True)
class Course:
    """The next course. `kept` are the rows that count on, in the order in which they are to be read; those of `reopened` are open
    again. `redone` are paths that had succeeded, `again` all that had begun and runs again, error handlers apart."""

    kept: tuple[int, ...] = ()
    reopened: frozenset[int] = frozenset()
    redone: tuple[str, ...] = ()
    again: tuple[str, ...] = ()


@dataclass(slots=True)
class _Cut:
    """Where the journal is cut: the paths that are dropped with everything inside them, and the containers around them."""

    dropped: set[str] = field(default_factory=set)
    reopened: set[str] = field(default_factory=set)

    def reopen(self, path: str) -> None:
        """Open a container again. What the error handler of a sub-flow did belongs to a failure that does not stand any more."""
        self.reopened.add(path)
        self.dropped.add(f"{path}/{HANDLER}")

    def drops(self, path: str) -> bool:
        return path in self.dropped or any(around in self.dropped for around in enclosing(path))


def next_course(
    flow: Flow, rows: Sequence[Outcome], from_path: str | None = None, inside: Mapping[str, Graph] | None = None
) -> Course:
    """The course that follows one with these rows, which stand in the journal's order. It begins at `from_path`, which must have
    begun, or, without it, where the run failed or was broken off. `inside` are the graphs of the sub-flows, by path."""
    newest = {row.path: row for row in rows}
    places = {path: place_of(flow, path, inside) for path in newest}
    cut = _Cut()
    begins = place_of(flow, from_path, inside) if from_path is not None else None
    if from_path is not None:
        _cut_behind(from_path, begins, newest, cut)
    _cut_failures(places, newest, cut, {at.prefix for at in _outwards(begins)})
    counting = [
        row
        for row in rows
        if newest[row.path] is row and row.final and row.status in {"succeeded", "failed", "open"} and not cut.drops(row.path)
    ]
    reopened = {row.path: row for row in counting if row.path in cut.reopened}
    kept: list[int] = []
    for row in counting:
        kept += [reopened.pop(around).id for around in enclosing(row.path) if around in reopened]  # read before what is inside
        if row.path not in cut.reopened:
            kept.append(row.id)
    chosen = set(kept)
    again = [row for row in newest.values() if row.id not in chosen and row.status != "skipped"]
    return Course(
        tuple(kept),
        frozenset(row.id for row in counting if row.path in cut.reopened and row.id in chosen),
        _outermost(row.path for row in again if row.status == "succeeded" and row.path not in cut.reopened),
        tuple(row.path for row in again if not in_handler(row.path)),  # a handler runs again only where the flow fails again
    )


def _cut_behind(path: str, at: Place | None, newest: Mapping[str, Outcome], cut: _Cut) -> None:
    """Drop a step and all that can follow it, also around the containers that it stands in."""
    cut.dropped.add(path)
    while at is not None:
        cut.dropped.update(at.prefix + key for key in downstream(at.graph, at.node.key))
        if at.owner is not None:
            cut.reopen(at.owner.path)
            if at.index is not None and at.owner.node.kind.slug == "loop":
                cut.dropped.update(_later_rounds(at.owner.path, at.index, newest))
            elif at.index is not None and at.owner.node.kind.slug == "agent":
                cut.dropped.update(_later_rounds(f"{at.owner.path}.turn", at.index - (at.node.key == TURN), newest))
        at = at.owner


def _later_rounds(loop: str, index: int, newest: Mapping[str, Outcome]) -> set[str]:
    """A round sees what the one before it gave."""
    found = set()
    for path in newest:
        if path.startswith(f"{loop}["):
            number = path[len(loop) + 1 :].partition("]")[0]
            if int(number) > index:
                found.add(f"{loop}[{number}]")
    return found


def _outwards(place: Place | None) -> Iterator[Place]:
    """The place, and those of the containers around it."""
    while place is not None:
        yield place
        place = place.owner


def _cut_failures(places: Mapping[str, Place | None], newest: Mapping[str, Outcome], cut: _Cut, going_on: set[str]) -> None:
    """Drop what failed without anybody taking care of it. A container that failed because of what is inside it is reopened; one
    that failed by itself begins anew. Bodies that are `going_on`, by the prefix of their paths, must not end by an old failure."""
    ended = {row.path: row.status for row in newest.values() if row.status in {"succeeded", "failed"} and row.final}
    stopped = {path for path in ended if newest[path].fails_run}
    around_stopped = {around for path in stopped for around in enclosing(path)}  # a map that collects has succeeded all the same
    failed = [path for path, status in ended.items() if status == "failed"]
    broke = (
        {path for path in failed if not (in_handler(path) or _handled(places[path], going_on))}
        | stopped
        | around_stopped & ended.keys()
    )
    because_of_inside = {around for path in broke for around in enclosing(path)}
    for path in broke:
        if path in because_of_inside:
            cut.reopen(path)
        else:
            cut.dropped.add(path)
    cut.dropped.add(HANDLER)


def in_handler(path: str) -> bool:
    """Whether this is an error handler or a step of one: a failure in it changes nothing."""
    return any(part == HANDLER or part.startswith(f"{HANDLER}.") for part in path.split("/"))


def _handled(place: Place | None, going_on: set[str]) -> bool:
    """Whether the flow had planned for the failure of this step, so that the run, and a body that is `going_on`, went on."""
    for at in _outwards(place):
        if "error" in at.node.outgoing or at.node.on_error == "continue":
            return True
        if at.prefix in going_on:
            return False
        if at.owner is not None and _collects(at.owner.node):
            return True
    return False


def _collects(node: Node) -> bool:
    return getattr(node.settings, "on_item_error", "stop") == "collect"


def _outermost(paths: Iterable[str]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for path in sorted(paths, key=len):
        if not any(around in found for around in enclosing(path)):
            found[path] = None
    return tuple(found)
