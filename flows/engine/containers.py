"""What an open container holds: which bodies may begin, what those that ended gave, and what the step gives in the end.

A map begins bodies side by side, a loop one after the other, a sub-flow one. The planner asks `take` for the next body, hands each
result to `settle` or `fail`, and asks for the `ending` when nothing more can begin.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from flows.engine.expressions import Expression
from flows.engine.failures import ExpressionFailed, Failure, RoundsSpent
from flows.engine.graph import Graph, Node
from flows.engine.kinds import Done

if TYPE_CHECKING:
    from flows.engine.frames import Frame
    from flows.engine.plan import Child

MAX_ITEMS = 10_000
"""The items that one map may hold."""

Error = Mapping[str, Any]
"""``{step, class, message}``."""


class Container:
    """The bodies of one open step. `frames` are those in progress, by position."""

    __slots__ = ("broken", "frames", "graph")

    counted: ClassVar[bool] = True  # whether a body counts as a step of the run
    bounds_itself: ClassVar[bool] = False  # whether it heeds its step's limits on steps and duration itself
    collects = False
    """Whether a body may fail without the step failing by it."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.broken: Error | None = None  # what it ends with whatever its bodies give: nothing more begins in it
        self.frames: dict[int, Frame] = {}

    def take(self, reached: int = -1) -> tuple[int, Mapping[str, Any]] | None:
        """The position of the next body that may begin now, and the names that it has beside those around the container. One up to
        `reached` has begun already, however many are in progress."""
        raise NotImplementedError

    def graph_at(self, position: int) -> Graph:
        """The steps of the body at this position, once `take` has given it."""
        return self.graph

    def settle(self, position: int, output: Any, names: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """A body has ended with `output`; `names` is the scope at its end. Gives the container's new checkpoint, if it has one.
        Raises a `Failure` where the container itself fails by it."""
        raise NotImplementedError

    def fail(self, position: int, error: Error) -> None:
        """A body has failed."""
        raise NotImplementedError

    def prefix(self, path: str, position: int) -> str:
        """What the paths of a body's steps begin with."""
        return f"{path}[{position}]."

    @property
    def checkpoint(self) -> Mapping[str, Any] | None:
        """What it goes on from where it has just opened."""
        return None

    @property
    def exhausted(self) -> bool:
        """Whether no other body will begin."""
        raise NotImplementedError

    def ending(self, node: Node, path: str) -> Done | Error:
        """The step's result or error, once no body is in progress and none will begin."""
        raise NotImplementedError


class MapContainer(Container):
    """A map: its items, and the results so far."""

    __slots__ = ("_as", "_failed", "_items", "_limit", "_next", "_results", "collects")

    def __init__(self, node: Node, graph: Graph, items: Any, path: str) -> None:
        """Raises ExpressionFailed where `items` cannot be mapped over."""
        super().__init__(graph)
        if not isinstance(items, list):
            raise ExpressionFailed(f"`over` of {path} is no list but {type(items).__name__}; give a list to map over.")
        if len(items) > MAX_ITEMS:
            raise ExpressionFailed(f"`over` of {path} has {len(items)} items; a map holds at most {MAX_ITEMS}.")
        self._as: str | None = getattr(node.settings, "as_", None)
        self._limit: int = getattr(node.settings, "concurrency", 1)
        self.collects: bool = getattr(node.settings, "on_item_error", "stop") == "collect"
        self._items = items
        self._next = 0
        self._results: list[Any] = [None] * len(items)
        self._failed: dict[int, Error] = {}

    def take(self, reached: int = -1) -> tuple[int, Mapping[str, Any]] | None:
        if self.exhausted or (len(self.frames) >= self._limit and self._next > reached):
            return None
        index, item = self._next, self._items[self._next]
        self._next += 1
        names = {"item": item, "index": index}
        if self._as:
            names[self._as] = item
        return index, names

    def settle(self, position: int, output: Any, names: Mapping[str, Any]) -> Mapping[str, Any] | None:
        self._results[position] = {"output": output} if self.collects else output
        return None

    def fail(self, position: int, error: Error) -> None:
        if self.collects:
            self._results[position] = {"error": error}
        else:
            self._failed[position] = error

    @property
    def exhausted(self) -> bool:
        return self._next == len(self._items) or bool(self._failed)

    def ending(self, node: Node, path: str) -> Done | Error:
        return self._failed[min(self._failed)] if self._failed else Done(self._results)


class LoopContainer(Container):
    """A loop: the round that comes next, and the output of the last one. Rounds left behind are forgotten."""

    __slots__ = ("_error", "_most", "_previous", "_round", "_until", "met")

    def __init__(self, node: Node, graph: Graph, checkpoint: Mapping[str, Any] | None) -> None:
        """`checkpoint` is what `settle` last gave in an earlier life: ``{round, previous, met}``."""
        super().__init__(graph)
        self._until: Expression | None = node.expressions.get("until")
        self._most: int = getattr(node.settings, "max", 1)
        self._error: Error | None = None
        self._round, self._previous, self.met = 0, None, False  # rounds that have begun; the last one's output
        if checkpoint is not None:
            self._round, self._previous, self.met = checkpoint["round"], checkpoint["previous"], checkpoint["met"]

    def take(self, reached: int = -1) -> tuple[int, Mapping[str, Any]] | None:
        if self.exhausted or self.frames:
            return None
        self._round += 1
        return self._round - 1, {"loop": {"round": self._round, "previous": self._previous}}

    def settle(self, position: int, output: Any, names: Mapping[str, Any]) -> Mapping[str, Any] | None:
        self._previous = output
        if self._until is not None:
            scope = {**names, "loop": {"round": self._round, "previous": output}}
            self.met = bool(self._until.evaluate(scope))
        return {"round": self._round, "previous": output, "met": self.met}

    def fail(self, position: int, error: Error) -> None:
        self._error = error

    @property
    def exhausted(self) -> bool:
        return self.met or self._round >= self._most or self._error is not None

    def ending(self, node: Node, path: str) -> Done | Error:
        if self._error is not None:
            return self._error
        if self.met or self._until is None:
            return Done(self._previous)
        if "limit" in node.outgoing:
            return Done(self._previous, "limit")
        rounds = f"{self._most} rounds" if self._most > 1 else "one round"
        failure = RoundsSpent(f"`until` was not met after {rounds}, the loop's `max`, and its port `limit` leads nowhere.")
        return {"step": path, "class": failure.slug, "message": failure.message}


class SubflowContainer(Container):
    """A sub-flow: one body, which is the other flow's own graph."""

    __slots__ = ("_begun", "_ending", "child", "given", "within")

    def __init__(self, child: Child, given: Any, within: float | None = None) -> None:
        """`within` are seconds that it may take, where who calls it says so."""
        super().__init__(child.flow.graph)
        self.child = child
        self.given = given
        self.within = within
        self._begun = False
        self._ending: Done | Error = Done()

    def take(self, reached: int = -1) -> tuple[int, Mapping[str, Any]] | None:
        if self._begun:
            return None
        self._begun = True
        return 0, {"input": self.given}

    def settle(self, position: int, output: Any, names: Mapping[str, Any]) -> Mapping[str, Any] | None:
        self._ending = Done(output)
        return None

    def fail(self, position: int, error: Error) -> None:
        self._ending = error

    def prefix(self, path: str, position: int) -> str:
        return f"{path}/"

    @property
    def checkpoint(self) -> Mapping[str, Any]:
        child = self.child
        facts = {"flow": child.slug, "number": child.number, "version": child.version, "input": self.given}
        return facts if self.within is None else {**facts, "within": self.within}

    @property
    def exhausted(self) -> bool:
        return self._begun

    def ending(self, node: Node, path: str) -> Done | Error:
        return self._ending


def open_container(node: Node, path: str, names: Mapping[str, Any], checkpoint: Any) -> Container:
    """The container of a map or loop. `checkpoint` is what its row in the journal says. Raises a `Failure` where it cannot open."""
    if node.body is None:
        raise Failure(f"{path} has no body.")
    if "over" in node.expressions:
        return MapContainer(node, node.body, node.expressions["over"].evaluate(names), path)
    return LoopContainer(node, node.body, checkpoint)
